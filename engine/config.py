"""The config file: targets, defaults, console, retention; and where dbtend keeps its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Final

from platformdirs import user_config_path, user_state_path

from engine.config_servers import NOTHING_SAID, SERVER_KEYS, ServerSettings, server_settings
from engine.config_table import Table, root_table
from engine.errors import ConfigError
from engine.jobs import CheckLevel, OnFailure, Operation, Options
from engine.retention import Retention
from engine.targets import names_server
from engine.values import frozen


@frozen(kw_only=True)
class TargetEntry:
    """A database the user named in the config file, or gave on the command line."""

    name: str
    """What the user calls it: the config name, or the file's name."""
    url: str
    """What `Engine.inspect` and `Request.target` take: a path or a URL."""
    label: str | None = None
    """Such as PROD: shown as text and colour wherever the target is named."""
    operations: tuple[Operation, ...] | None = None
    on_failure: OnFailure | None = None
    on_step_failure: OnFailure | None = None
    lock_timeout: float | None = None
    verify: bool | None = None
    check: CheckLevel | None = None
    jobs: int | None = None
    analysis_limit: int | None = None
    """As SQLite counts: 0 for all rows."""
    server: ServerSettings = NOTHING_SAID

    def with_defaults(self, defaults: Defaults) -> TargetEntry:
        """This entry, with what it leaves open as it is for all targets of its kind."""
        is_server = names_server(self.url)
        missing = {name for name in _SHARED if getattr(self, name) is None} - (_FOR_FILES if is_server else set())
        server = self.server.over(defaults.server) if is_server else self.server
        return replace(self, server=server, **{name: getattr(defaults, name) for name in missing})

    @property
    def options(self) -> Options:
        """How operations on it are carried out where nothing else is asked for."""
        usual = Options()
        return Options(
            on_failure=self.on_failure or usual.on_failure,
            on_step_failure=self.on_step_failure or usual.on_step_failure,
            lock_timeout=usual.lock_timeout if self.lock_timeout is None else self.lock_timeout,
            verify=bool(self.verify),
            check=self.check,
            jobs=self.jobs,
            analysis_limit=self.analysis_limit or None,
            server=self.server.options,
        )


_SHARED: Final = ("on_failure", "on_step_failure", "lock_timeout", "verify", "check", "jobs", "analysis_limit")
"""What can be said of one target, and of all in [defaults]; as can be what is for servers."""
_FOR_FILES: Final = frozenset({"analysis_limit"})
"""What means nothing to a database server."""


@frozen(kw_only=True)
class Defaults:
    on_failure: OnFailure = OnFailure.CONTINUE
    on_step_failure: OnFailure = OnFailure.CONTINUE
    lock_timeout: float = 5.0
    verify: bool = False
    check: CheckLevel | None = None
    jobs: int | None = None
    analysis_limit: int | None = None
    server: ServerSettings = NOTHING_SAID
    workers: int = 2
    grace: float = 30.0
    """Seconds that what runs may go on for when its process is asked to end."""


@frozen(kw_only=True)
class ConsoleConfig:
    theme: str | None = None
    refresh: float = 0.25
    """Seconds between two looks at the progress of running jobs."""
    mouse: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)
    """Other keys for actions, by their ids: `{"retry": "R"}`. What they mean, the console knows."""
    read_only: bool = False
    """Whether the console looks at everything and changes nothing."""


@frozen(kw_only=True)
class Config:
    targets: tuple[TargetEntry, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    console: ConsoleConfig = field(default_factory=ConsoleConfig)
    retention: Retention = field(default_factory=Retention)


MAX_KEEP_LAST: Final = 10_000
MAX_WORKERS: Final = 64
MAX_JOBS: Final = 64
MAX_ANALYSIS_LIMIT: Final = 1_000_000


def default_store_path() -> Path:
    """Where the jobs are kept unless the user says otherwise."""
    return user_state_path("dbtend") / "jobs.db"


def default_config_path() -> Path:
    return user_config_path("dbtend") / "config.toml"


def load_config(path: Path, *, required: bool) -> Config:
    """Read the config file; without one, and if it is not `required`, everything is at its default.

    Raises ConfigError, with file, key and line.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        if required:
            raise ConfigError(str(path), "there is no such config file", "check --config and DBTEND_CONFIG") from None
        return Config()
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}", "it must be a readable file") from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), "is not UTF-8 text", "a config file is TOML in UTF-8") from None
    return parse_config(text, str(path))


def parse_config(text: str, file: str) -> Config:
    """The config that `text` holds; `file` is what errors call it. Raises ConfigError."""
    root = root_table(text, file)
    root.only("targets", "defaults", "console", "retention")
    return Config(
        targets=tuple(_target(entry) for entry in root.table("targets").tables()),
        defaults=_defaults(root.table("defaults")),
        console=_console(root.table("console")),
        retention=_retention(root.table("retention")),
    )


def _target(entry: Table) -> TargetEntry:
    entry.only("url", "label", "operations", *_SHARED, *SERVER_KEYS)
    url = entry.text("url")
    if not url:
        entry.wrong("url", "is missing", 'give a path or a URL, such as url = "/srv/sales.db"')
    _refuse_of_another_kind(entry, is_server=names_server(url))
    return TargetEntry(
        name=entry.path[-1],
        url=_expanded(url, entry),
        label=entry.text("label"),
        operations=entry.operations("operations"),
        on_failure=entry.choice("on_failure", OnFailure),
        on_step_failure=entry.choice("on_step_failure", OnFailure),
        lock_timeout=entry.seconds("lock_timeout"),
        verify=entry.flag("verify"),
        check=entry.choice("check", CheckLevel),
        jobs=entry.count("jobs", MAX_JOBS),
        analysis_limit=entry.count("analysis_limit", MAX_ANALYSIS_LIMIT, least=0),
        server=server_settings(entry),
    )


def means_nothing(entry: TargetEntry) -> str:
    """What is said of a target that means nothing to a database of its kind; "" for nothing of it."""
    if names_server(entry.url):
        return next((key for key in _FOR_FILES if getattr(entry, key) is not None), "")
    return next((key for key in SERVER_KEYS if getattr(entry.server, key) is not None), "")


def _refuse_of_another_kind(entry: Table, *, is_server: bool) -> None:
    """Raise ConfigError for what means nothing to a database of this kind."""
    for key in _FOR_FILES if is_server else SERVER_KEYS:
        if entry.has(key):
            kind = "a database server" if is_server else "a SQLite file"
            entry.wrong(key, f"means nothing to {kind}, as this target is", "leave it out here")


def _expanded(url: str, entry: Table) -> str:
    try:
        return expanded(url)
    except RuntimeError:
        entry.wrong("url", f"begins with {url.partition('/')[0]}, which is no home", "give the whole path")


def expanded(url: str) -> str:
    """What a path that begins with ~ means. Raises RuntimeError where that is no one's home."""
    return str(Path(url).expanduser()) if url.startswith("~") else url


def _defaults(table: Table) -> Defaults:
    table.only(*_SHARED, *SERVER_KEYS, "workers", "grace")
    given = Defaults()
    on_failure = table.choice("on_failure", OnFailure)
    on_step_failure = table.choice("on_step_failure", OnFailure)
    lock_timeout = table.seconds("lock_timeout")
    workers = table.count("workers", MAX_WORKERS)
    grace = table.seconds("grace")
    return Defaults(
        on_failure=given.on_failure if on_failure is None else on_failure,
        on_step_failure=given.on_step_failure if on_step_failure is None else on_step_failure,
        lock_timeout=given.lock_timeout if lock_timeout is None else lock_timeout,
        verify=bool(table.flag("verify")),
        check=table.choice("check", CheckLevel),
        jobs=table.count("jobs", MAX_JOBS),
        analysis_limit=table.count("analysis_limit", MAX_ANALYSIS_LIMIT, least=0),
        server=server_settings(table),
        workers=given.workers if workers is None else workers,
        grace=given.grace if grace is None else grace,
    )


def _console(table: Table) -> ConsoleConfig:
    table.only("theme", "refresh", "mouse", "read_only", "keys")
    refresh = table.seconds("refresh")
    if refresh is not None and refresh < 0.05:
        table.wrong("refresh", "must be at least 0.05 seconds", "0.25 suits most terminals")
    mouse = table.flag("mouse")
    return ConsoleConfig(
        theme=table.text("theme"),
        refresh=ConsoleConfig().refresh if refresh is None else refresh,
        mouse=mouse is not False,
        read_only=bool(table.flag("read_only")),
        keys=table.table("keys").texts(),
    )


def _retention(table: Table) -> Retention:
    table.only("completed", "failed", "cancelled", "keep_last")
    given = Retention()
    keep_last = table.count("keep_last", MAX_KEEP_LAST, least=0)
    return Retention(
        completed=table.age("completed", given.completed),
        failed=table.age("failed", given.failed),
        cancelled=table.age("cancelled", given.cancelled),
        keep_last=given.keep_last if keep_last is None else keep_last,
    )
