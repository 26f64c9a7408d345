"""The config file: targets, defaults, console, retention; and where dbtend keeps its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Final

from platformdirs import user_config_path, user_state_path

from engine.config.servers import NO_SETTINGS, SERVER_KEYS, ServerSettings
from engine.domain.frozen import frozen
from engine.domain.requests import CheckLevel, OnFailure, Operation, Options
from engine.domain.retention import Retention
from engine.targets import names_server


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
    server: ServerSettings = NO_SETTINGS

    def with_defaults(self, defaults: Defaults) -> TargetEntry:
        """This entry, with what it leaves open as it is for all targets of its kind."""
        is_server = names_server(self.url)
        missing = {name for name in SHARED if getattr(self, name) is None} - (FOR_FILES if is_server else set())
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


SHARED: Final = ("on_failure", "on_step_failure", "lock_timeout", "verify", "check", "jobs", "analysis_limit")
"""What can be said of one target, and of all in [defaults]; as can be what is for servers."""
FOR_FILES: Final = frozenset({"analysis_limit"})
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
    server: ServerSettings = NO_SETTINGS
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


def inapplicable_key(entry: TargetEntry) -> str:
    """What is said of a target that means nothing to a database of its kind; "" for nothing of it."""
    if names_server(entry.url):
        return next((key for key in FOR_FILES if getattr(entry, key) is not None), "")
    return next((key for key in SERVER_KEYS if getattr(entry.server, key) is not None), "")


def expanded(url: str) -> str:
    """What a path that begins with ~ means. Raises RuntimeError where that is no one's home."""
    return str(Path(url).expanduser()) if url.startswith("~") else url
