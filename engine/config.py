"""The config file: targets, defaults, console."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.jobs import OnFailure, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
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
    lock_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    on_failure: OnFailure = OnFailure.CONTINUE
    lock_timeout: float = 5.0
    workers: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleConfig:
    theme: str | None = None
    refresh: float = 0.25
    """Seconds between two looks at the progress of running jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    targets: tuple[TargetEntry, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    console: ConsoleConfig = field(default_factory=ConsoleConfig)
