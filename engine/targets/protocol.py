"""What every database engine offers: one protocol, implemented once per engine.

A `Target` is a database by name. It has no connection; a `Session` is one connection to it, opened for one
child job or one inspection and closed after it. What a plan shows is what runs: `Session.execute` takes the
steps that `Session.plan` returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from enum import StrEnum
from typing import Protocol

from engine.domain.advice import Advice, Measurement, TargetHistory
from engine.domain.frozen import frozen
from engine.domain.requests import DEFAULT_OPTIONS, EngineName, Operation, Options, Request
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, Step, WaitsFor
from engine.domain.time_limits import Window
from engine.targets.lock_impact import Lock, strongest
from engine.targets.target_info import TargetInfo


class Verdict(StrEnum):
    """The result of preflight for an operation."""

    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"


@frozen(kw_only=True)
class PlannedStep:
    """One SQL command that would run now."""

    object: str
    command: str
    reason: str
    lock: Lock
    operation: Operation | None = None
    """The kind of work, if it differs from the operation of the plan: OPTIMIZE plans steps of VACUUM and REINDEX."""
    after_cancel: str = ""
    """What remains after a cancel while it runs, as text."""
    disk_needed: int | None = None
    """Bytes of free disk space that the step needs while it runs; None where it needs next to none."""
    disk_free: int | None = None
    """Bytes free at that place; None if next to none are needed, or if that is unknown."""
    estimate: float | None = None
    """Expected seconds; None where unknown."""
    mandatory_follow_up: bool = False
    """Whether the steps before it are incomplete without it: it runs if one of them completed, even after a cancel."""
    lost_without_next: bool = False
    """Whether its effect is lost unless the next step completes."""
    missing_effect: str = ""
    """What stays wrong until it has run, as text; "" where skipping it does no harm."""
    conflict: str = ""
    """Steps with the same key never run at the same time; "" conflicts with none."""
    frees_conflict_early: bool = False
    """Whether the next step of the same `conflict` may begin when its command has finished, before its result is
    measured."""
    by_advice: bool = False
    """Whether the reason of the advice, where there is one, replaces `reason`."""
    weight: float | None = None
    """Its share of the work relative to the other steps, where seconds are unknown."""
    objects: tuple[str, ...] = ()
    """The tables or indexes of a step for several; `object` then says how many."""


@frozen(kw_only=True)
class StepProgress:
    """Progress of a running step; `fraction` is from 0 to 1, None while it is unknown."""

    fraction: float | None = None
    phase: str | None = None
    waits_for: WaitsFor | None = None


@frozen(kw_only=True)
class StepContext:
    """What a running step gets from its caller."""

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to ask the step to stop as soon as that is safe."""
    window: Window = field(default_factory=Window)
    """A step that still waits to begin when the window closes does not begin."""
    report: Callable[[StepProgress], None] = lambda _: None
    """Called with each new progress."""
    save_recovery_data: Callable[[Facts], None] = lambda _: None
    """Called with the facts that crash recovery needs if this process dies."""
    command_finished: Callable[[], None] = lambda: None
    """Called when the command has finished and only its result is left to measure: another step may begin."""


@frozen(kw_only=True)
class StepResult:
    """The result of a step.

    `completed`, `failed` (with `error` and `reason`), `cancelled`, or `skipped` (it could not have its effect,
    which does not make the operation a failure; `error` says why). `warnings` are shown with the child job.
    """

    status: Status
    error: str | None = None
    reason: Reason | None = None
    """Why it failed, unless by an error of the operation itself."""
    warnings: tuple[str, ...] = ()
    effect: Facts | None = None
    """What it changed, as numbers."""
    findings: tuple[str, ...] = ()
    """What a check found, one sentence each."""
    error_is_finding: bool = False
    """Whether `error` reports the findings: then the step did its work."""
    undropped: Mapping[str, str] = field(default_factory=dict)
    """Objects that it could not drop, by name, each with its warning. `Session.retry_cleanup` tries again."""
    left: str = ""
    """What remains of it after a cancel or failure, as text and as inspected: `nothing changed`."""
    requeue: bool = False
    """Whether it runs again after the other steps."""
    stop_reason: str = ""
    """Why no other step can begin either: this ends the operation."""
    never_began: bool = False
    """Whether its command was never sent: it waited to begin until that was too late."""


@frozen(kw_only=True)
class Recovery:
    """The state of a database after a worker process died."""

    unfinished: str
    """What happened to the unfinished work: `was rolled back`."""
    found: str
    """The result of a check, as text: `a quick check found nothing wrong`, or why it failed."""
    is_well: bool
    is_damaged: bool = False


@frozen(kw_only=True)
class OperationPlan:
    """The steps that one child job would execute now: none where it would be refused or has nothing to do."""

    operation: Operation
    steps: tuple[PlannedStep, ...] = ()
    warnings: tuple[str, ...] = ()
    """What to know before confirming; a warning does not refuse the operation."""
    refused: str | None = None
    """Why preflight refuses it, and what to do."""
    not_needed: str | None = None
    """Why there is nothing to do."""
    settings: tuple[str, ...] = ()
    """The commands that set up the connection for the steps."""
    settings_reason: str = ""
    """The reason for these settings, as text."""
    parallel: int = 1
    """How many steps run at the same time."""
    estimated_from: str = ""
    """The source of the estimates, as text; "" where they come from sizes alone."""
    needs_confirmation: str = ""
    """What a person must confirm before it runs, as text; "" for nothing."""
    waits: bool = False
    """Whether it would wait for a lock now; a warning names the holder."""
    left_out: int = 0
    """How many of the requested tables or indexes are skipped for lack of a privilege; a warning names them."""

    @property
    def lock(self) -> Lock:
        """The strongest lock of its steps."""
        return strongest(step.lock for step in self.steps)

    @property
    def verdict(self) -> Verdict:
        if self.refused is not None:
            return Verdict.REFUSE
        return Verdict.WARN if self.warnings else Verdict.OK


@frozen(kw_only=True)
class Plan:
    """What a request would do now, operation by operation."""

    target: str
    engine: EngineName
    before: Facts
    operations: tuple[OperationPlan, ...]
    warnings: tuple[str, ...] = ()
    """Warnings about the request as a whole."""
    options: Options = DEFAULT_OPTIONS
    """The options of the request."""


class Waiting(Protocol):
    """Called with what a session waits for before any step begins."""

    def __call__(self, why: str, waits_for: WaitsFor = WaitsFor.LOCK) -> None:
        """`why`: for a lock, its holder."""
        ...


class Inspection(Protocol):
    """One connection to a database, to inspect it."""

    async def info(self) -> TargetInfo: ...

    async def advise(self, past: TargetHistory, *, budget: float | None) -> tuple[Advice, ...]:
        """Which operations the database needs, and why: one Advice for each operation that the engine advises on.

        `budget`: seconds for expensive queries; None for no limit.
        """
        ...

    @property
    def measured(self) -> Measurement | None:
        """The facts of the last full inspection, to keep; None after a partial one, or where later writes to the
        database would go unnoticed."""
        ...


class Session(Inspection, Protocol):
    """One connection to a database, to plan and run operations."""

    async def facts(self, operation: Operation | None = None, cancel: asyncio.Event | None = None) -> Facts:
        """Sizes and counts now, with those that `operation` changes; takes milliseconds.

        Waits for no lock once `cancel` is set, nor after a step timed out waiting for one. Raises TargetError.
        """
        ...

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> OperationPlan:
        """The steps that `operation` would run now, and the result of preflight. Changes nothing.

        `past`: the history of the database, for operations that only do necessary work.

        Raises TargetError where the database cannot be read, UsageError for an object that does not exist.
        """
        ...

    async def remarks(self, operations: Sequence[Operation], past: TargetHistory | None = None) -> tuple[str, ...]:
        """Further warnings of a plan: about the order of the operations, known damage, and who uses the database."""
        ...

    async def damage_warnings(self, operations: Sequence[Operation], past: TargetHistory) -> tuple[str, ...]:
        """Of these, the warnings that an operation may make known damage worse."""
        ...

    async def find_blockers(self, operation: Operation) -> str:
        """Who would block the operation now, as text; "" for no one. A plan warns of that, a job waits."""
        ...

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        """Run one step of a plan to its end. An error of the database is a result, not a raise.

        When `context.cancel` is set, the database is asked to stop; the result says whether it did. Cancelling the
        task that waits here does the same, waits for the end of the statement, then raises CancelledError.
        """
        ...

    async def retry_cleanup(self, cancel: asyncio.Event) -> Collection[str]:
        """After the last step, try again to drop the objects that steps could not drop. Returns those now gone.

        Waits for no lock once `cancel` is set. Raises nothing: the steps carry the warnings.
        """
        ...

    async def cleanup_orphans(self, earlier: Sequence[Step]) -> tuple[str, ...]:
        """After a worker process died, before anything else: end what it still runs, and remove what its steps left.

        `earlier`: its recorded steps. Returns a report, as text. Raises TargetError if something still
        runs: then no job may begin.
        """
        ...

    async def recover(self, options: Options, context: StepContext) -> Recovery:
        """After a worker process died in an operation with these options, and after `cleanup_orphans`: undo its
        unfinished work and check for damage."""
        ...


class Target(Protocol):
    """A database that can be maintained, by name."""

    @property
    def url(self) -> str:
        """The canonical URL, such as `sqlite:///srv/sales.db`. It never holds a password."""
        ...

    async def identify(self) -> str:
        """The key for mutual exclusion: equal for all names of the same database.

        Raises TargetError where the database does not exist or does not answer.
        """
        ...

    @property
    def engine(self) -> EngineName: ...

    @property
    def operations(self) -> Sequence[Operation]:
        """All operations that the engine offers."""
        ...

    @property
    def default_operations(self) -> Sequence[Operation]:
        """The operations of a request that names none, in the best order for the engine."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that connecting uses besides the URL, with their values."""
        ...

    @property
    def host_key(self) -> str | None:
        """The key of its server, the same for all databases there; None for a file. Nothing is connected to."""
        ...

    def fingerprint(self) -> str:
        """Fingerprint of the database: another one means another database. Cheap: it does not open the database.

        Raises TargetUnavailableError where the database does not exist or cannot be read.
        """
        ...

    @property
    def object_operations(self) -> Sequence[Operation]:
        """The operations that can be limited to some tables and indexes."""
        ...

    def validate(self, request: Request) -> None:
        """Raise UsageError for options that contradict each other. Options of other engines are gone by then."""
        ...

    def needs_confirmation(self, operation: Operation, options: Options) -> str:
        """The risk that a person must confirm first, such as `locks its tables for all sessions`; "" for none."""
        ...

    def after_cancel(self, operation: Operation) -> str:
        """What remains after a cancel while it runs, as text: `nothing changed`."""
        ...

    def is_repeatable(self, operation: Operation) -> bool:
        """Whether it may simply run again after its worker process died."""
        ...

    def writes(self, operation: Operation) -> bool:
        """Whether it needs a writable database."""
        ...

    def connect(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        planning: bool = False,
        read_only: bool = False,
        name: str = "",
        waiting: Waiting | None = None,
        server_wait: float = 0.0,
    ) -> AbstractAsyncContextManager[Session]:
        """Open a session that can maintain this database, or with `writing=False` only read it.

        planning: Runs no step, so a write-ahead log is not written back.
        read_only: Writes nothing, whatever `writing` says; does not even roll back after a crash.
        lock_timeout: Seconds to wait for a lock, at opening and in each step.
        name: The application name that a server sees; the part before the last space is the same for all jobs of a
            store.
        waiting: Called with what the session waits for before any step begins.
        server_wait: Seconds to wait for a server that is down.

        Raises TargetError if maintenance cannot or must not start.
        """
        ...

    def look(self, *, lock_timeout: float, read_only: bool = False) -> AbstractAsyncContextManager[Inspection]:
        """As `connect(writing=False)`, only to inspect: no plan, no step."""
        ...

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> None:
        """Raise what `connect` would raise, and UsageError for an object that does not exist or that one of the
        operations cannot work on."""
        ...
