"""What every database engine offers: one protocol, implemented once per engine.

A `Target` is a database by name. It has no connection; a `Session` is one connection to it, opened for one
child job (or for one look) and closed after it. What a plan shows is what runs: `Session.execute` takes the
very steps that `Session.plan` returned.
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
from engine.domain.jobs import (
    DEFAULT_OPTIONS,
    EngineName,
    Facts,
    Operation,
    Options,
    Reason,
    Request,
    Status,
    Step,
    WaitsFor,
)
from engine.domain.time_limits import Window
from engine.targets.lock_impact import Lock, strongest
from engine.targets.target_info import TargetInfo


class Verdict(StrEnum):
    """What preflight says of an operation."""

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
    """What a cancel while it runs leaves behind."""
    disk_needed: int | None = None
    """Bytes of free disk space the step needs while it runs; None where it needs none worth naming."""
    disk_free: int | None = None
    """Bytes that are free there now; None where it needs none worth naming, or that cannot be told."""
    estimate: float | None = None
    """Seconds it is expected to take; None where nothing is known."""
    mandatory_follow_up: bool = False
    """Without it those before have only half their effect: it runs to its end if one of them completed, even where a
    cancel came in between, and only then."""
    lost_without_next: bool = False
    """Whether what it did does not stay where the next one does not complete."""
    missing_effect: str = ""
    """What is wrong until it has run, where its lack does harm."""
    conflict: str = ""
    """Of steps that run at once no two have the same; an empty one gets on with all."""
    frees_when_over: bool = False
    """Whether another of the same `conflict` may begin when its command is over, before what it did is known."""
    by_advice: bool = False
    """Whether what the advice says of the operation is its reason, where there is advice."""
    weight: float | None = None
    """How much of the whole it is, beside the other steps, where nothing is known of seconds."""
    objects: tuple[str, ...] = ()
    """The tables or indexes of a step that is for several of them; `object` says how many."""


@frozen(kw_only=True)
class StepProgress:
    """How far a running step is; `fraction` is from 0 to 1, None while nothing honest can be said."""

    fraction: float | None = None
    phase: str | None = None
    waits_for: WaitsFor | None = None


@frozen(kw_only=True)
class StepContext:
    """What a step is given while it runs."""

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the step is to stop as soon as it is safe."""
    window: Window = field(default_factory=Window)
    """What has not begun when it closes, because it was made to wait, does not begin."""
    report: Callable[[StepProgress], None] = lambda _: None
    """Takes how far it is, as often as there is news."""
    note: Callable[[Facts], None] = lambda _: None
    """Takes what whoever finds it unfinished has to know of it, should this process die."""
    over: Callable[[], None] = lambda: None
    """To be called where the command is over, and only looks at what it did are left: another step may begin."""


@frozen(kw_only=True)
class StepResult:
    """What really happened to a step.

    `completed`, `failed` (with `error` and `reason`), `cancelled`, or `skipped` (it could not have its effect,
    which does not make the operation a failure; `error` says why). `warnings` are shown with the child job.
    """

    status: Status
    error: str | None = None
    reason: Reason | None = None
    """Why it failed, where that is other than an error of the operation."""
    warnings: tuple[str, ...] = ()
    effect: Facts | None = None
    """What it did, in numbers."""
    findings: tuple[str, ...] = ()
    """What a check found, one sentence each."""
    error_is_finding: bool = False
    """Whether `error` reports the findings: then the step did its work."""
    left_over: Mapping[str, str] = field(default_factory=dict)
    """What it could not remove, by name, each with the warning about that. It is tried again after the last step; see
    Session.tidy_up."""
    left: str = ""
    """What there is of it where it was cancelled or has failed, in words, by what was seen: `nothing changed`."""
    again: bool = False
    """Whether it is to have another turn, once the others have had theirs."""
    no_more: str = ""
    """Why none of the other steps can begin either; it ends the operation."""
    never_began: bool = False
    """Whether none of its command was sent: it was still waiting to begin when it was too late for that."""


@frozen(kw_only=True)
class Recovery:
    """How a database was found after a process died that worked on it."""

    unfinished: str
    """What became of what was not finished: `was rolled back`."""
    found: str
    """`a quick check found nothing wrong`, or what is wrong, or why nobody could look."""
    is_well: bool
    is_damaged: bool = False


@frozen(kw_only=True)
class OperationPlan:
    """The steps that one child job would execute now: none where it would be refused or has nothing to do."""

    operation: Operation
    steps: tuple[PlannedStep, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the DBA should know before saying yes; nothing that keeps it from running."""
    refused: str | None = None
    """Why it would be refused, and what to do."""
    not_needed: str | None = None
    """Why there is nothing to do."""
    settings: tuple[str, ...] = ()
    """The commands that prepare the connection for the steps."""
    tuned: str = ""
    """Why these settings, in words."""
    parallel: int = 1
    """How many of the steps run at once."""
    estimated_from: str = ""
    """What the estimates of the steps go by, where that is more than the size of things."""
    needs_confirmation: str = ""
    """What somebody has to say yes to before it runs."""
    waits: bool = False
    """Whether somebody holds a lock that it would have to wait for; a warning says who."""
    left_out: int = 0
    """How many tables or indexes of what was asked for are not done for lack of a right; a warning says which."""

    @property
    def lock(self) -> Lock:
        """The strongest of those that its steps take."""
        return strongest(step.lock for step in self.steps)

    @property
    def verdict(self) -> Verdict:
        if self.refused is not None:
            return Verdict.REFUSE
        return Verdict.WARN if self.warnings else Verdict.OK


@frozen(kw_only=True)
class Plan:
    """Exactly what a request would do now, operation by operation."""

    target: str
    engine: EngineName
    before: Facts
    operations: tuple[OperationPlan, ...]
    warnings: tuple[str, ...] = ()
    """What is odd about the request as a whole."""
    options: Options = DEFAULT_OPTIONS
    """How it would be carried out."""


class Waiting(Protocol):
    """Hears what is waited for before any step begins."""

    def __call__(self, why: str, waits_for: WaitsFor = WaitsFor.LOCK) -> None:
        """`why`: of a lock, who holds it."""
        ...


class Inspection(Protocol):
    """One connection to a database, to look at it."""

    async def info(self) -> TargetInfo: ...

    async def advise(self, past: TargetHistory, *, budget: float | None) -> tuple[Advice, ...]:
        """What needs which operation, and why: one for each operation that the engine offers advice on.

        `budget`: seconds that facts which are dear to get may take; None takes the time it needs.
        """
        ...

    @property
    def measured(self) -> Measurement | None:
        """What the last advice found out by looking at everything; None where it did not, or where the database does
        not tell whether somebody has written to it."""
        ...


class Session(Inspection, Protocol):
    """One connection to a database, to plan and carry out operations."""

    async def facts(self, operation: Operation | None = None, cancel: asyncio.Event | None = None) -> Facts:
        """Sizes and counts as they are now; cheap (milliseconds). With what `operation` changes, where one is named.

        Waits for no lock once `cancel` is set, nor where a step has waited for one in vain. Raises TargetError.
        """
        ...

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> OperationPlan:
        """The steps that `operation` would execute now, and what preflight says. Changes nothing.

        `past`: what is known of the database, by which what only does what is needed decides what that is.

        Raises TargetError where the database cannot be looked at, UsageError for an object it does not have.
        """
        ...

    async def remarks(self, operations: Sequence[Operation], past: TargetHistory | None = None) -> tuple[str, ...]:
        """What a plan should say besides: what is odd about these operations in this order, and with what is known to
        be damaged; who uses the database."""
        ...

    async def on_damage(self, operations: Sequence[Operation], past: TargetHistory) -> tuple[str, ...]:
        """Of that, what is known to be damaged and may be made worse."""
        ...

    async def in_the_way(self, operation: Operation) -> str:
        """Who would keep the operation waiting if it began now; "" for nobody. A plan warns of that, a job waits."""
        ...

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        """Run one step of a plan to its end and say what happened; an error of the database is a result, not a raise.

        When `context.cancel` is set the database is asked to stop; the result says whether it did. Cancelling the
        awaiting task does the same, waits for the statement's end, then raises CancelledError.
        """
        ...

    async def tidy_up(self, cancel: asyncio.Event) -> Collection[str]:
        """After the last step: try once more to remove what steps had to leave over. The names of what is gone now.

        Waits for nobody once `cancel` is set. Raises nothing: what is left is told by the steps.
        """
        ...

    async def settle(self, earlier: Sequence[Step]) -> tuple[str, ...]:
        """After a process died here, before anything else: end what still runs for it, and remove what its steps left.

        `earlier`: those steps, as far as they were told. What was done, in words. Raises TargetError where something
        of it goes on: then nothing may be begun.
        """
        ...

    async def recover(self, options: Options, context: StepContext) -> Recovery:
        """After a process died in the middle of an operation with these options, and `settle`: undo what it left half
        done, and look for damage."""
        ...


class Target(Protocol):
    """A database that can be maintained, by name."""

    @property
    def url(self) -> str:
        """The canonical URL, such as `sqlite:///srv/sales.db`. Never holds a password."""
        ...

    async def identify(self) -> str:
        """The same for every name of the same database: what mutual exclusion goes by.

        Raises TargetError where there is no such database, or it does not tell.
        """
        ...

    @property
    def engine(self) -> EngineName: ...

    @property
    def operations(self) -> Sequence[Operation]:
        """All that can be asked for."""
        ...

    @property
    def default_operations(self) -> Sequence[Operation]:
        """What runs when nothing else is asked for, in the order that suits the engine."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process takes from its environment to connect, beside what the URL says: variables, with values."""
        ...

    def presence(self) -> str:
        """The same for as long as the same database is there and may be read. Cheap: it is not opened.

        Raises TargetUnavailableError where it is not.
        """
        ...

    @property
    def by_object(self) -> Sequence[Operation]:
        """The operations that can be done to some tables and indexes only."""
        ...

    def validate(self, request: Request) -> None:
        """Raise UsageError for options that contradict each other; those that mean nothing to it are not there."""
        ...

    def needs_confirmation(self, operation: Operation, options: Options) -> str:
        """What somebody has to say yes to before it runs, such as `locks its tables for everybody`; "" for nothing."""
        ...

    def after_cancel(self, operation: Operation) -> str:
        """What a cancel while it runs leaves behind, in words: `nothing changed`."""
        ...

    def is_repeatable(self, operation: Operation) -> bool:
        """Whether it may simply be run again after the process that ran it died."""
        ...

    def writes(self, operation: Operation) -> bool:
        """Whether the database must be writable for it."""
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
        """Open a session that can maintain this database, or with `writing=False` at least look at it.

        `planning`: nothing is carried out, so that a log which waits to be written back goes on to wait. `read_only`:
        through it nothing can be written, whatever `writing` says, not even to put in order what a crash has left half
        done. `lock_timeout`: seconds that a step, and opening itself, waits for a lock. `name`: what a
        server is told of who connects; what comes before the last space is the same for all jobs of a store.
        `waiting`: hears what is waited for before any step begins. `server_wait`: seconds for which a server that is
        down is waited for, here.

        Raises TargetError, in plain words, if maintenance cannot or must not be started at all.
        """
        ...

    def look(self, *, lock_timeout: float, read_only: bool = False) -> AbstractAsyncContextManager[Inspection]:
        """The same with `writing=False`, where nothing is to be planned or carried out."""
        ...

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> None:
        """Raise what `connect` would raise, and UsageError for an object that the database does not have, or to which
        one of the operations can do nothing."""
        ...
