"""The model of the config file: targets, defaults, console, retention, schedules, recipients; and the default paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from platformdirs import user_config_path, user_state_path

from engine.domain.batches import NO_BATCH_OPTIONS, BatchOptions
from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy
from engine.domain.option_spec import Lent
from engine.domain.option_specs import BY_NAME, with_values
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.domain.retention import Retention
from engine.domain.server_names import names_server
from engine.domain.steps import Micros
from engine.domain.thresholds import Thresholds, with_settings

if TYPE_CHECKING:
    from engine import targets as kinds
    from engine.domain.notifications import Recipient
    from engine.domain.schedules import Schedule
else:
    kinds = lazy("engine.targets", "--version and --help do without it")

GROUP: Final = "@"
"""What the name of a group begins with, where it stands for its targets."""


NO_SETTINGS: Final[Mapping[str, Any]] = {}
"""One for all: most of very many targets have none."""


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
    exclude: tuple[str, ...] = ()
    pattern: str = ""
    """The URL of the pattern that stands for it; "" if it was named itself."""
    is_word: bool = False
    """Whether it is a word of a command that is no name in the config file: a shell may have made it of a pattern."""
    is_found: bool = True
    """False for a database that the store knows, and which its pattern does not find now."""
    operations: tuple[Operation, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: NO_SETTINGS)
    """The options that are set for it, by name."""
    advice: Mapping[str, Any] = field(default_factory=lambda: NO_SETTINGS)
    """The thresholds that are set for it, by name."""

    def with_defaults(self, defaults: Defaults) -> TargetEntry:
        """This entry with the defaults for its missing options, if they apply to its kind of database."""
        engine = kinds.engine_named(self.url)
        usual = {name: value for name, value in defaults.settings.items() if BY_NAME[name].is_for(engine)}
        if not (usual or defaults.advice):
            return self
        return replace(self, settings={**usual, **self.settings}, advice={**defaults.advice, **self.advice})

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds from which on this target needs something."""
        return with_settings(self.advice)

    @property
    def options(self) -> Options:
        """The default options of operations on it."""
        return replace(with_values(DEFAULT_OPTIONS, self.settings), limits=self.thresholds if self.advice else None)

    @property
    def inapplicable_key(self) -> str:
        """The first key of it that does not apply to its kind of database; "" without one."""
        engine = kinds.engine_named(self.url)
        return next((name for name in self.settings if not BY_NAME[name].is_for(engine)), "")


def targets_called(word: str, targets: Iterable[TargetEntry]) -> list[TargetEntry]:
    """Those that a name stands for, or a pattern of names; after `GROUP` also a group, or a pattern of groups."""
    wanted = word.removeprefix(GROUP)
    names = [
        ((*target.groups, target.name) if word.startswith(GROUP) else (target.name,), target) for target in targets
    ]
    named = [target for called, target in names if wanted in called]
    if named or set(wanted).isdisjoint("*?[") or not set(wanted).isdisjoint("/:="):
        return named
    return [target for called, target in names if any(fnmatchcase(name, wanted) for name in called)]


@frozen(kw_only=True)
class Defaults:
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The options that are set for all targets, by name."""
    advice: Mapping[str, Any] = field(default_factory=dict)
    """The thresholds that are set for all targets, by name: the section [advice]."""
    workers: int = 2
    grace: float = 30.0
    max_per_host: int | None = None

    def batch_options(self, urls: Iterable[str], given: BatchOptions = NO_BATCH_OPTIONS) -> BatchOptions:
        """The options of a batch of jobs on these targets. `given`: those of the request."""
        if self.max_per_host is None or given.max_per_host is not None or not any(map(names_server, urls)):
            return given
        return replace(given, max_per_host=self.max_per_host)


@frozen(kw_only=True)
class ConsoleConfig:
    theme: str | None = None
    refresh: float = 0.25
    mouse: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys by action id: `{"retry": "R"}`. The console defines the actions."""
    read_only: bool = False


@frozen(kw_only=True)
class WorkerConfig:
    """What the workers of a shared store do for other logins than their own."""

    allow: tuple[Lent, ...] = ()
    directories: tuple[str, ...] = ()
    """Where files of theirs are, absolute."""


@frozen(kw_only=True)
class StoreConfig:
    url: str | None = None
    """A path or a URL, as `--store` takes it; None: the usual store."""


@frozen(kw_only=True)
class Config:
    targets: tuple[TargetEntry, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    console: ConsoleConfig = field(default_factory=ConsoleConfig)
    retention: Retention = field(default_factory=Retention)
    store: StoreConfig = field(default_factory=StoreConfig)
    worker: WorkerConfig = field(default_factory=WorkerConfig)
    schedules: tuple[Schedule, ...] = ()
    notify: tuple[Recipient, ...] = ()
    changed_at: Micros | None = None
    """When the file was changed last; None without one."""


def default_store_path() -> Path:
    """The default path of the store."""
    return user_state_path("dbtend") / "jobs.db"


def default_config_path() -> Path:
    return user_config_path("dbtend") / "config.toml"


def expand_home(url: str) -> str:
    """The path with ~ expanded. Raises RuntimeError if the user has no home."""
    return str(Path(url).expanduser()) if url.startswith("~") else url
