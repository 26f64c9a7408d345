"""The model of the config file: targets, defaults, console, retention; and the default paths."""

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
    """Its name: from the config, or the file name."""
    url: str
    """A path or a URL, as `Engine.inspect` and `Request.target` take it."""
    label: str | None = None
    """Such as PROD: shown as text and colour with the name."""
    groups: tuple[str, ...] = ()
    """The groups it belongs to: `@eu` stands for all targets of the group eu."""
    exclude: tuple[str, ...] = ()
    """If its URL is a pattern: shell patterns of the names, paths or databases that it leaves out."""
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
        """This entry with the defaults for its missing values."""
        is_server = names_server(self.url)
        missing = {name for name in SHARED if getattr(self, name) is None} - (FOR_FILES if is_server else set())
        server = self.server.merged_over(defaults.server) if is_server else self.server
        return replace(self, server=server, **{name: getattr(defaults, name) for name in missing})

    @property
    def options(self) -> Options:
        """The default options of operations on it."""
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
"""The keys of a target that are also allowed in [defaults], besides those for servers."""
FOR_FILES: Final = frozenset({"analysis_limit"})
"""The keys that do not apply to a database server."""


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
    """Seconds that running operations may take to end at a shutdown."""


@frozen(kw_only=True)
class ConsoleConfig:
    theme: str | None = None
    refresh: float = 0.25
    """Seconds between two reads of the progress of running jobs."""
    mouse: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys by action id: `{"retry": "R"}`. The console defines the actions."""
    read_only: bool = False
    """Whether the console changes nothing."""


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
    """The default path of the store."""
    return user_state_path("dbtend") / "jobs.db"


def default_config_path() -> Path:
    return user_config_path("dbtend") / "config.toml"


def inapplicable_key(entry: TargetEntry) -> str:
    """The first key of a target that does not apply to its kind of database; "" without one."""
    if names_server(entry.url):
        return next((key for key in FOR_FILES if getattr(entry, key) is not None), "")
    return next((key for key in SERVER_KEYS if getattr(entry.server, key) is not None), "")


def expand_home(url: str) -> str:
    """The path with ~ expanded. Raises RuntimeError if the user has no home."""
    return str(Path(url).expanduser()) if url.startswith("~") else url
