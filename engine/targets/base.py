"""What every database engine offers: one protocol, implemented once per engine.

A `Target` is a database by name. It has no connection; a `Session` is one connection to it, opened for one
child job (or for one look) and closed after it. What a plan shows is what runs: `Session.execute` takes the
very steps that `Session.plan` returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from engine.jobs import EngineName, Facts, Operation, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationInfo:
    """What an engine says of an operation it offers, in words a DBA reads before choosing it."""

    operation: Operation
    summary: str
    lock: str
    """Whom it blocks while it runs, for the database as it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One SQL command that would run now."""

    object: str
    command: str
    reason: str
    lock: str
    disk_needed: int | None = None
    """Bytes of free disk space the step needs while it runs; None where it needs none worth naming."""
    estimate: float | None = None
    """Seconds it is expected to take; None where nothing is known."""
    completes_previous: bool = False
    """Without it the step before has only half its effect: it runs even where a cancel came in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What really happened to a step.

    `completed`, `failed` (with `error`), `cancelled`, or `skipped` (it could not have its effect, which
    does not make the operation a failure; `error` says why). `warning` is shown with the child job.
    """

    status: Status
    error: str | None = None
    warning: str | None = None
    busy: bool = False
    """It failed because a lock could not be had in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetInfo:
    """A look at a database: what it is, and what can be done with it."""

    url: str
    engine: EngineName
    version: str
    facts: Facts
    operations: tuple[OperationInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPlan:
    """The steps that one child job would execute now: none where the operation would be refused."""

    operation: Operation
    steps: tuple[PlannedStep, ...] = ()
    refused: str | None = None
    """Why it would be refused, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Exactly what a request would do now, operation by operation."""

    target: str
    engine: EngineName
    before: Facts
    operations: tuple[OperationPlan, ...]


class Session(Protocol):
    """One connection to a database."""

    async def facts(self) -> Facts:
        """Sizes and counts as they are now; cheap (milliseconds)."""
        ...

    async def info(self) -> TargetInfo: ...

    async def plan(self, operation: Operation) -> tuple[PlannedStep, ...]:
        """The steps that `operation` would execute now; at least one. Changes nothing.

        Raises TargetError where the operation must not or cannot run on this database.
        """
        ...

    async def execute(self, step: PlannedStep, cancel: asyncio.Event) -> StepResult:
        """Run one step to its end and say what happened; an error of the database is a result, not a raise.

        When `cancel` is set the database is asked to stop; the result says whether it did. Cancelling the
        awaiting task does the same, waits for the statement's end, then raises CancelledError.
        """
        ...


class Target(Protocol):
    """A database that can be maintained, by name."""

    @property
    def url(self) -> str:
        """The canonical URL, such as `sqlite:///srv/sales.db`. Never holds a password."""
        ...

    @property
    def key(self) -> str:
        """The same for every name of the same database: what mutual exclusion goes by.

        Raises TargetUnavailableError where there is no such database.
        """
        ...

    @property
    def engine(self) -> EngineName: ...

    @property
    def default_operations(self) -> Sequence[Operation]:
        """What runs when nothing else is asked for, in the order that suits the engine."""
        ...

    def is_repeatable(self, operation: Operation) -> bool:
        """Whether it may simply be run again after the process that ran it died."""
        ...

    def connect(self, *, lock_timeout: float) -> AbstractAsyncContextManager[Session]:
        """Open a session that can maintain this database.

        `lock_timeout`: seconds that a step, and opening itself, waits for a lock. Raises TargetError, in plain
        words, if maintenance cannot or must not be started at all.
        """
        ...

    async def preflight(self, *, lock_timeout: float) -> None:
        """Raise what `connect` would raise."""
        ...
