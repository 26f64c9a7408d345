"""The keys of the config file that are no options of a request: each declared once, with its type and meaning.

The key has the name of a field in `engine.config.model`, `Thresholds` or `Retention`, which holds its default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.config.worker_keys import WORKER_KEYS, Key
from engine.domain.batches import MAX_BATCH_NUMBER, Order
from engine.domain.engines import EngineName
from engine.domain.lazy_import import lazy
from engine.domain.notifications import EventKind, Method, Tls
from engine.domain.number_types import Age, Bytes, Duration, Multiple, Seconds, Share, Whole
from engine.domain.option_spec import Lent
from engine.domain.requests import Operation
from engine.domain.schedules import NEEDED
from engine.domain.value_types import (
    Choice,
    ChoiceList,
    FilePath,
    Flag,
    Names,
    Text,
    TimeOfDay,
    ValueType,
    Words,
    WrongValueError,
    shortened,
)

if TYPE_CHECKING:
    from engine.domain import due_times, time_zones
else:
    due_times = lazy("engine.domain.due_times", "only a schedule needs it")
    time_zones = lazy("engine.domain.time_zones", "only a schedule needs it")


class Cron(ValueType):
    rule, example = "a cron expression of five fields", '"0 22 * * mon-fri"'

    def value_of(self, text: str) -> str:
        if problem := due_times.cron_problem(text):
            raise WrongValueError(f"{shortened(repr(text))} {problem}", f"such as {{key}} = {self.example}")
        return " ".join(text.split())

    def from_toml(self, value: object) -> Any:
        return self.value_of(value) if isinstance(value, str) else super().from_toml(value)


class TimeZone(ValueType):
    rule, example = "a time zone", '"Europe/Berlin"'

    def value_of(self, text: str) -> str:
        time_zones.zone_named(text)
        return text

    def wrong_value(self) -> WrongValueError:
        hint = f"such as {{key}} = {self.example}; if it is one, install the package tzdata"
        return WrongValueError(f"must be {self.rule} that this machine knows", hint)


class NeededOrOperations(ChoiceList):
    """A list of operations; None for those that advice calls for."""

    def __init__(self) -> None:
        super().__init__("operation", Operation)
        self.rule = f'"{NEEDED}", or {self.rule}'

    def from_toml(self, value: object) -> Any:
        if value == NEEDED:
            return None
        if isinstance(value, str):
            raise WrongValueError(f"cannot be {shortened(repr(value))}", f'give "{NEEDED}", or a list of operations')
        if isinstance(value, list) and NEEDED in value:
            raise WrongValueError(f'cannot have "{NEEDED}" in a list', f'write {{key}} = "{NEEDED}"')
        return super().from_toml(value)

    def text(self, value: Any) -> str:
        return NEEDED if value is None else ", ".join(value)


TARGET_KEYS: Final[Mapping[str, Key]] = {
    "url": Key(Text(), "a path or a URL; a password in it is refused"),
    "label": Key(Text(), "such as `PROD`: shown wherever the target is named ([production](../how-to/production.md))"),
    "groups": Key(Names("group", '["eu"]'), "the groups it belongs to: `@eu` stands for all targets of the group eu"),
    "exclude": Key(
        Names("pattern", '["test_*"]'), "where the URL is a pattern: names, paths or databases that it leaves out"
    ),
    "operations": Key(ChoiceList("operation", Operation), "the operations chosen by default"),
}
ADVICE_KEYS: Final[Mapping[str, Key]] = {
    "reclaim_soon": Key(Bytes(), "VACUUM is needed soon from so many reclaimable bytes,", only=EngineName.SQLITE),
    "reclaim_soon_share": Key(Share(), "and this share of the file", only=EngineName.SQLITE),
    "reclaim_now": Key(
        Bytes(), "VACUUM is needed now from so many reclaimable bytes; of a server, REINDEX of one index,"
    ),
    "reclaim_now_share": Key(Share(), "and this share of the file or index"),
    "log_size": Key(
        Bytes(), "a checkpoint is needed soon from this size of the write-ahead log,", only=EngineName.SQLITE
    ),
    "log_share": Key(Share(), "and this share of the database", only=EngineName.SQLITE),
    "full_check_every": Key(Duration(math.inf), "a full check is due so long after the last"),
    "quick_check_every": Key(Duration(math.inf), "a quick check is due so long after the last of any kind"),
    "index_bloat": Key(
        Bytes(), "REINDEX is needed soon where so many bytes of an index are dead space,", only=EngineName.POSTGRESQL
    ),
    "index_bloat_share": Key(Share(), "and this share of it", only=EngineName.POSTGRESQL),
    "table_bloat": Key(
        Bytes(),
        "VACUUM FULL of a table is suggested from so many bytes of dead space,",
        only=EngineName.POSTGRESQL,
    ),
    "table_bloat_share": Key(Share(), "and this share of it or of its TOAST table", only=EngineName.POSTGRESQL),
    "pending_list": Key(
        Bytes(), "the pending list of a GIN index is cleaned from this size on", only=EngineName.POSTGRESQL
    ),
    "uncovered": Key(
        Bytes(),
        "a BRIN index is brought up to date once so many bytes of its table are not summarized",
        only=EngineName.POSTGRESQL,
    ),
    "dead_rows_now": Key(
        Multiple(),
        "VACUUM or ANALYZE is needed now from so many times the threshold of autovacuum",
        only=EngineName.POSTGRESQL,
    ),
    "age_now": Key(
        Multiple(), "VACUUM is needed now from so many times `autovacuum_freeze_max_age`", only=EngineName.POSTGRESQL
    ),
    "age_critical": Key(
        Share(), "a database is critical from this share of all transaction ids", only=EngineName.POSTGRESQL
    ),
    "disk_critical": Key(
        Bytes(), "a file is critical with less than so many bytes free on its disk,", only=EngineName.SQLITE
    ),
    "disk_critical_share": Key(Share(), "if that is less than this share of the disk", only=EngineName.SQLITE),
    "small": Key(Bytes(), "smaller tables and files do not make one of many targets urgent by their rows alone"),
}
DEFAULTS_KEYS: Final[Mapping[str, Key]] = {
    **WORKER_KEYS,
    "max_per_host": Key(
        Whole("number of databases", most=MAX_BATCH_NUMBER), "of several targets, how many at once on one server"
    ),
}
CONSOLE_KEYS: Final[Mapping[str, Key]] = {
    "theme": Key(Text(), "`dbtend`, `dbtend-light`, `high-contrast`, `ansi-dark` or `ansi-light`"),
    "refresh": Key(Seconds(), "seconds between two reads of running jobs"),
    "mouse": Key(Flag(), "whether the console uses the mouse"),
    "read_only": Key(Flag(), "show everything, run nothing"),
}
ALLOW_KEYS: Final[Mapping[str, Key]] = {
    "allow": Key(
        ChoiceList("option", Lent), "the options of other logins that the workers take: `pause_while`, `backup_to`"
    ),
    "directories": Key(
        Names("directory", '["/srv"]'),
        "the directories below which they work on files of other logins, and write backups for them",
    ),
}
STORE_KEYS: Final[Mapping[str, Key]] = {
    "url": Key(Text(), "a path, or the URL of a store that many hosts share; a password in it is refused"),
}
RETENTION_KEYS: Final[Mapping[str, Key]] = {
    "completed": Key(Age(), "how long completed jobs are kept; `forever` keeps them all"),
    "failed": Key(Age(), "how long failed jobs are kept"),
    "cancelled": Key(Age(), "how long cancelled jobs are kept"),
    "keep_last": Key(Whole("number of jobs", most=10_000, least=0), "the newest jobs of each target stay at any age"),
}
SCHEDULE_KEYS: Final[Mapping[str, Key]] = {
    "targets": Key(
        Names("target", '["@eu", "/srv/*.db"]'),
        "names and `@GROUP`s of this file, full paths, URLs; patterns of each",
    ),
    "exclude": Key(Names("pattern", '["test_*"]'), "names, paths or databases that it leaves out"),
    "operations": Key(NeededOrOperations(), "which operations; `needed`: those that `dbtend advise` calls for"),
    "start": Key(Cron(), "when it is due: minute, hour, day of month, month, day of week"),
    "timezone": Key(TimeZone(), "the time zone of `start` and `until` (default: that of the machine)"),
    "until": Key(TimeOfDay(), "when its window closes: from then on no operation and no step begins"),
    "stagger": Key(Duration(86_400.0), "spread the starts of its targets over this time, the same way each night"),
    "order": Key(Choice("order", Order), "which target comes first"),
    "max_failures": Key(
        Whole("number of targets", most=MAX_BATCH_NUMBER), "begin no further target after so many have failed"
    ),
    "canary": Key(
        Whole("number of targets", most=MAX_BATCH_NUMBER), "run so many first, the others only if these completed"
    ),
    "max_per_host": Key(
        Whole("number of databases", most=MAX_BATCH_NUMBER), "how many databases at once on one server"
    ),
    "catch_up": Key(Duration(7 * 86_400.0), "start late if no worker was there, at most by this much"),
    "notify": Key(Names("recipient", '["ops"]'), "the recipients of its messages, by name (default: every recipient)"),
}
NOTIFY_KEYS: Final[Mapping[str, Key]] = {
    "on": Key(ChoiceList("event", EventKind), "the events that it gets messages about"),
    "settle": Key(Duration(86_400), "a message is sent when no job has been open for so long,"),
    "latest": Key(Duration(7 * 86_400), "or so long after its first event"),
    "longer_by": Key(Duration(7 * 86_400), "longer than usual is twice the median of earlier runs, and so much longer"),
    "from_runs": Key(
        Flag(), "whether `dbtend run` and `dbtend schedules --run NAME` deliver, too, where no permanent worker does"
    ),
    "timeout": Key(Seconds(600), "how long one attempt to deliver may take"),
    "command": Key(Words(), "a program that gets the message on its standard input", Method.COMMAND),
    "json": Key(Flag(), "whether it gets it as JSON", Method.COMMAND),
    "webhook": Key(Text(), "the URL that gets the message by POST, as JSON", Method.WEBHOOK),
    "webhook_file": Key(FilePath(), "a file with that URL, if it is a secret", Method.WEBHOOK),
    "webhook_command": Key(Words(), "or a program that prints it", Method.WEBHOOK),
    "token_file": Key(FilePath(), "a file with a token, sent as `Authorization: Bearer`", Method.WEBHOOK),
    "token_command": Key(Words(), "or a program that prints it", Method.WEBHOOK),
    "smtp": Key(Text(), "the mail server, `HOST` or `HOST:PORT`", Method.EMAIL),
    "tls": Key(Choice("kind of TLS", Tls), "how the connection to it is encrypted", Method.EMAIL),
    "from": Key(Text(), "the address of the sender", Method.EMAIL),
    "to": Key(Names("address", '["dba@example.org"]'), "the addresses that get the mail", Method.EMAIL),
    "user": Key(Text(), "the user at the mail server, if it wants one", Method.EMAIL),
    "password_file": Key(FilePath(), "a file with the password of the user", Method.EMAIL),
    "password_command": Key(Words(), "or a program that prints it", Method.EMAIL),
    "apprise_file": Key(FilePath(), "a file with the URLs of services, one a line", Method.APPRISE),
    "apprise_command": Key(Words(), "or a program that prints them", Method.APPRISE),
}
