"""Parses the text of a config file to a `Config`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from engine.config.keys import (
    ADVICE_KEYS,
    ALLOW_KEYS,
    CONSOLE_KEYS,
    DEFAULTS_KEYS,
    RETENTION_KEYS,
    SCHEDULE_KEYS,
    STORE_KEYS,
    TARGET_KEYS,
)
from engine.config.model import (
    GROUP,
    NO_SETTINGS,
    Config,
    ConsoleConfig,
    Defaults,
    StoreConfig,
    TargetEntry,
    WorkerConfig,
    expand_home,
    targets_called,
)
from engine.config.recipients import recipient
from engine.config.typed_table import Table, root_table
from engine.domain.engines import EngineName, engine_spec
from engine.domain.humanize import listed, span
from engine.domain.lazy_import import lazy
from engine.domain.masking import holds_password
from engine.domain.notifications import Recipient
from engine.domain.option_spec import OptionSpec, Place
from engine.domain.option_specs import options_at
from engine.domain.retention import Retention
from engine.domain.schedules import Schedule
from engine.domain.server_names import server_engine
from engine.domain.spelling import closest
from engine.domain.value_types import shortened
from engine.targets import engine_named

if TYPE_CHECKING:
    from engine.domain import due_times
else:
    due_times = lazy("engine.domain.due_times", "only a schedule needs it")

_OF_TARGETS: Final = options_at(Place.TARGET)
_KNOWN_OF_TARGETS: Final = (*TARGET_KEYS, "advice", *_OF_TARGETS)
_OF_ALL: Final = options_at(Place.DEFAULTS)


def parse_config(text: str, file: str) -> Config:
    """The config in `text`; `file` is its name in errors. Raises ConfigError."""
    root = root_table(text, file)
    root.allow_only("targets", "defaults", "advice", "console", "retention", "store", "schedules", "notify", "worker")
    targets = tuple(_target(entry) for entry in root.table("targets").tables())
    recipients = tuple(recipient(entry) for entry in root.table("notify").tables())
    schedules = parse_schedules(root.table("schedules"), targets)
    _require_recipients(root.table("schedules"), schedules, recipients)
    return Config(
        targets=targets,
        defaults=_defaults(root.table("defaults"), root.table("advice")),
        console=_console(root.table("console")),
        retention=_retention(root.table("retention")),
        store=_store(root.table("store")),
        worker=_worker(root.table("worker")),
        schedules=schedules,
        notify=recipients,
    )


def parse_store(text: str, file: str) -> StoreConfig:
    """Parse `[store]` alone, as `parse_config` does."""
    return _store(root_table(text, file).table("store"))


def _require_recipients(table: Table, schedules: Iterable[Schedule], recipients: Iterable[Recipient]) -> None:
    """Raise ConfigError if a schedule names a recipient that is not in the file."""
    known = [recipient.name for recipient in recipients]
    for schedule in schedules:
        for name in schedule.notify:
            if name not in known:
                close = closest(name, known)
                hint = f"did you mean {close}?" if close else f"add [notify.{shortened(name)}], or leave it out"
                why = f"names {shortened(name)}, which is no recipient of the file"
                table.table(schedule.name).fail("notify", why, hint)


def _target(entry: Table) -> TargetEntry:
    entry.allow_only(*_KNOWN_OF_TARGETS)
    values = entry.values(TARGET_KEYS)
    url = values.get("url")
    if not url:
        entry.fail("url", "is missing", 'give a path or a URL, such as url = "/srv/sales.db"')
    engine = engine_named(url)
    settings = entry.values(_OF_TARGETS)
    for name in settings:
        if not _OF_TARGETS[name].is_for(engine):
            entry.fail(name, f"does not apply to {engine_spec(engine).kind}", "leave it out here")
    values["url"] = _expanded(url, entry)
    advice = _advice(entry.table("advice"), engine) if entry.has("advice") else NO_SETTINGS
    return TargetEntry(name=entry.path[-1], **values, settings=settings or NO_SETTINGS, advice=advice)


def _expanded(url: str, entry: Table) -> str:
    try:
        return expand_home(url)
    except RuntimeError:
        entry.fail("url", f"begins with {url.partition('/')[0]}, which has no home directory", "give the full path")


def _advice(table: Table, engine: EngineName | None = None) -> dict[str, Any]:
    """The thresholds that are set. `engine`: the engine of the target that they are for; None: they are for all."""
    table.allow_only(*ADVICE_KEYS)
    for name in table.keys_of(ADVICE_KEYS):
        only = ADVICE_KEYS[name].only
        if engine is not None and only not in {None, engine} and name not in engine_spec(engine).thresholds:
            table.fail(name, f"does not apply to {engine_spec(engine).kind}", "leave it out here")
    return table.values(ADVICE_KEYS)


def _defaults(table: Table, advice: Table) -> Defaults:
    table.allow_only(*_OF_ALL, *DEFAULTS_KEYS)
    return Defaults(**table.values(DEFAULTS_KEYS), settings=table.values(_OF_ALL), advice=_advice(advice))


def _console(table: Table) -> ConsoleConfig:
    table.allow_only(*CONSOLE_KEYS, "keys")
    values = table.values(CONSOLE_KEYS)
    if values.get("refresh", 1) < 0.05:
        table.fail("refresh", "must be at least 0.05 seconds", "0.25 suits most terminals")
    return ConsoleConfig(**values, keys=table.table("keys").texts())


def _retention(table: Table) -> Retention:
    table.allow_only(*RETENTION_KEYS)
    return Retention(**table.values(RETENTION_KEYS))


def _worker(table: Table) -> WorkerConfig:
    table.allow_only(*ALLOW_KEYS)
    values = table.values(ALLOW_KEYS)
    for directory in values.get("directories", ()):
        if not PurePath(directory).is_absolute() or "\0" in directory:
            table.fail(
                "directories", f"has {shortened(directory)!r}, which is no absolute path", 'give one, such as "/srv"'
            )
    return WorkerConfig(**values)


def _store(table: Table) -> StoreConfig:
    table.allow_only(*STORE_KEYS)
    url = table.values(STORE_KEYS).get("url")
    if not url:
        return StoreConfig()
    if holds_password(url):
        table.fail("url", "holds a password", "put it into ~/.pgpass or a service file of libpq")
    url = _expanded(url, table)
    if server_engine(url) != EngineName.POSTGRESQL and not url.startswith("/"):
        table.fail("url", "is neither a full path nor the URL of a database", "such as postgresql://dba@db1/dbtend")
    return StoreConfig(url=url)


_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_OPTIONS: Final[Mapping[str, OptionSpec]] = options_at(Place.TARGET)


def parse_schedules(table: Table, targets: Collection[TargetEntry]) -> tuple[Schedule, ...]:
    """`targets`: all of the file. Raises ConfigError."""
    return tuple(_schedule(entry, targets) for entry in table.tables())


def _schedule(entry: Table, targets: Collection[TargetEntry]) -> Schedule:
    name = entry.path[-1]
    if not _NAME.fullmatch(name):
        entry.fail_itself("cannot be its name", "use letters, digits, _, - and ., at most 64")
    entry.allow_only(*SCHEDULE_KEYS, *_OPTIONS)
    values: dict[str, Any] = entry.values(SCHEDULE_KEYS)
    for key, hint in (("targets", 'such as targets = ["@eu", "/srv/*.db"]'), ("start", 'such as start = "0 22 * * *"')):
        if key not in values:
            entry.fail(key, "is missing", hint)
    for key in ("targets", "exclude"):
        if any(map(holds_password, values.get(key, ()))):
            entry.fail(key, "must not hold a password", "put it into ~/.pgpass, a libpq service file, or ~/.my.cnf")
    values["targets"] = tuple(_target_word(word, entry, targets) for word in values["targets"])
    schedule = Schedule(name=name, **values, settings=entry.values(_OPTIONS))
    window = due_times.shortest_window(schedule)
    if window == 0:
        entry.fail("until", "is also a time at which it starts: the window is empty", "give another time of day")
    if window is not None and schedule.stagger >= 60 * window:
        hint = f"give less than {span(60 * window)}"
        entry.fail("stagger", "is as long as the window: some targets would never start", hint)
    return schedule


def _target_word(word: str, entry: Table, targets: Collection[TargetEntry]) -> str:
    """The word, with ~ expanded. Raises ConfigError if it names no target of the file, and no path or URL."""
    is_path_or_url = word.startswith(("/", "~")) or "://" in word or "=" in word or ":/" in word
    is_named = bool(targets_called(word, targets))
    if word.startswith(GROUP) and not is_named:
        known = sorted({GROUP + group for target in targets for group in target.groups})
        hint = f"there is {listed(known)}" if known else "no target of the file has groups"
        entry.fail("targets", f"names {shortened(word)}, which is no group of the file", hint)
    elif not is_named and not is_path_or_url:
        close = closest(word, [target.name for target in targets])
        hint = f"did you mean {close}?" if close else "give the name of a target, @GROUP, a full path or a URL"
        entry.fail("targets", f"names {shortened(word)}, which is no target of the file", hint)
    try:
        return expand_home(word)
    except RuntimeError:
        entry.fail("targets", f"has {shortened(word)}, whose home directory is unknown", "give the full path")
