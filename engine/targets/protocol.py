"""What every database engine offers: one protocol, implemented once per engine.

A `Target` is a database by name. It has no connection; a `Session` is one connection to it, opened for one
child job or one inspection and closed after it. What a plan shows is what runs: `Session.plan` returns a
`PlannedOperation`, which carries the plan and runs its steps. A session keeps nothing for a later call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from engine.domain.advice import Advice, Measurement, TargetHistory
from engine.domain.damage import Damage
from engine.domain.frozen import frozen
from engine.domain.requests import DEFAULT_OPTIONS, EngineName, Operation, Options, Request
from engine.domain.steps import Facts, Step, WaitsFor
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.operation_specs import Autovacuum, OperationSpec, TargetInfo
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.step_execution import StepContext, StepResult
from engine.targets.waits import OthersLookup, no_others


@frozen(kw_only=True)
class Recovery:
    """The state of a database after a worker process died."""

    unfinished: str
    """What happened to the unfinished work: `was rolled back`."""
    found: str
    """The result of a check, as text: `a quick check found nothing wrong`, or why it failed."""
    is_well: bool
    is_damaged: bool = False


class Waiting(Protocol):
    """Called with what a session waits for before any step begins."""

    def __call__(self, why: str, waits_for: WaitsFor = WaitsFor.LOCK) -> None:
        """`why`: for a lock, its holder."""


JournalCheck = Callable[[], Awaitable[None]]
"""Called before a file is opened that has a journal or a log; raises TargetError if that belongs to another file."""


class Inspection(Protocol):
    """One connection to a database, to inspect it."""

    async def info(self, past: TargetHistory | None = None) -> TargetInfo:
        """`past`: see `Session.facts`."""

    async def autovacuum(self) -> Autovacuum | None:
        """Whether the server keeps up by itself; None where nothing of the kind runs. Raises TargetError."""

    async def seen_damage(self) -> Sequence[Damage]:
        """Damage that a quick look shows, and that may not be seen once something is written. Raises TargetError."""

    async def advise(
        self, past: TargetHistory, *, budget: float | None, limits: Thresholds = DEFAULT_THRESHOLDS
    ) -> tuple[tuple[Advice, ...], Measurement | None]:
        """Which operations the database needs, and why: one Advice for each operation that the engine advises on.

        With it the facts of a full inspection, to keep; None after a partial one, or where later writes to the database
        would go unnoticed.

        `budget`: seconds for expensive queries; None for no limit.
        """


class PlannedOperation(Protocol):
    """An operation on the database of a session: its plan, and what runs its steps. The session closes it."""

    @property
    def plan(self) -> OperationPlan: ...

    async def facts(self, cancel: asyncio.Event | None = None) -> Facts:
        """The facts of the session with those that this operation changes; after its steps, also what they did.

        Waits for no lock once `cancel` is set, nor after a step timed out waiting for one. Raises TargetError.
        """

    async def find_blockers(self, *, has_window: bool) -> str:
        """Who would block it now, as text; "" for no one. A plan warns of that, a job waits.

        `has_window`: whether a window closes over it, by its own limits or those of a schedule.
        """

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        """Run one step of the plan to its end. An error of the database is a result, not a raise.

        When `context.cancel` is set, the database is asked to stop; the result says whether it did. Cancelling the
        task that waits here does the same, waits for the end of the statement, then raises CancelledError.
        """

    async def further_plan(self) -> OperationPlan | None:
        """After the last step: the steps that those so far have shown to be needed, for the same tables; None for none.

        They are steps of this operation. Raises TargetError.
        """

    async def retry_cleanup(self, cancel: asyncio.Event) -> Collection[str]:
        """Try again, after the last step, to drop the objects that steps could not drop. Returns those now gone.

        Waits for no lock once `cancel` is set. Raises nothing: the steps carry the warnings.
        """


class Session(Inspection, Protocol):
    """One connection to a database, to plan and run operations."""

    async def lock(self) -> Sequence[str]:
        """Take the lock at the database that each attempt at a child job holds until its session is closed.

        No two processes hold it at once, whatever their stores, and no application waits for it. A session that only
        inspects or plans does not take it. Returns warnings, as text: where no lock can be had. Raises TargetBusyError
        after the lock timeout.
        """

    async def facts(self, past: TargetHistory | None = None) -> Facts:
        """Sizes and counts now; takes milliseconds. Raises TargetError.

        `past`: the history of the database, where a server would repair known damage by itself if it were read.
        """

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> PlannedOperation:
        """The steps that `operation` would run now, and the result of preflight. Changes nothing.

        `past`: the history of the database, for operations that only do necessary work.

        Raises TargetError where the database cannot be read, UsageError for an object that does not exist.
        """

    async def remarks(self, plans: Sequence[OperationPlan]) -> Sequence[str]:
        """Further warnings of plans: about their order, and who uses the database."""

    async def cleanup_orphans(self, earlier: Sequence[Step]) -> Sequence[str]:
        """Clean up after a worker process died, before anything else.

        Ends what the process still runs, takes the lock, and removes what its steps left. `earlier`: its recorded
        steps. Returns a report, as text. Raises TargetError if something still runs: then no job may begin.
        """

    async def recover(self, earlier: Sequence[Step], options: Options, context: StepContext) -> Recovery:
        """Undo the unfinished work of an operation whose worker process died, and check for damage.

        Called after `cleanup_orphans`. `earlier`: the recorded steps of the operation.
        """


class Target(Protocol):
    """A database that can be maintained, by name."""

    @property
    def url(self) -> str:
        """The canonical URL, such as `sqlite:///srv/sales.db`. It never holds a password."""

    @property
    def elsewhere(self) -> str | None:
        """The host that alone can look at it: it is a file there; None: this one can."""

    async def identify(self) -> str:
        """The key for mutual exclusion: equal for all names of the same database.

        Raises TargetError where the database does not exist or does not answer.
        """

    @property
    def engine(self) -> EngineName: ...

    @property
    def operations(self) -> Mapping[Operation, OperationSpec]:
        """All operations that the engine offers."""

    @property
    def default_operations(self) -> Sequence[Operation]:
        """The operations of a request that names none, in the best order for the engine."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that connecting uses besides the URL, with their values."""

    @property
    def host_key(self) -> str | None:
        """The key of its server by its name, the same for all databases there; None for a file. It does not connect."""

    async def identify_for_damage(self) -> str:
        """The key of its database for damage on record: the same for all names of the database. A new file that got
        the inode of a deleted one has another key, where the file system keeps the time when a file was made.

        Raises as `identify`.
        """

    async def identify_host(self) -> str | None:
        """The key of its server, equal for all names of the server; None for a file.

        Raises TargetError where the database does not exist or does not answer.
        """

    def fingerprint(self) -> str:
        """Fingerprint of the database: another one means another database. Cheap: it does not open the database.

        Raises TargetUnavailableError where the database does not exist or cannot be read.
        """

    def state(self) -> str:
        """A fingerprint that changes with every write to the database; "" if that is unknown without opening it,
        or where there is none."""

    def validate(self, request: Request) -> None:
        """Raise UsageError for options that contradict each other. Options of other engines are gone by then."""

    def needs_confirmation(self, operation: Operation, options: Options) -> str:
        """The risk that a person must confirm first, such as `locks its tables for all sessions`; "" for none."""

    async def goes_in_turns(self, operation: Operation, options: Options) -> bool:
        """Whether the operation may take several steps, so that their order counts. Reads no database."""

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
        others_work: OthersLookup = no_others,
        journal_check: JournalCheck | None = None,
    ) -> AbstractAsyncContextManager[Session]:
        """Open a session that can maintain this database, or with `writing=False` only read it.

        planning: Runs no step, so a write-ahead log is not written back.
        read_only: Writes nothing, whatever `writing` says; does not even roll back after a crash.
        lock_timeout: Seconds to wait for a lock, at opening and in each step.
        name: The application name that a server sees; the part before the last space is the same for all jobs of a
            store.
        waiting: Called with what the session waits for before any step begins.
        server_wait: Seconds to wait for a server that is down, or has no connection left.
        others_work: See `StepContext`.
        journal_check: see `JournalCheck`.

        Raises TargetError if maintenance cannot or must not start.
        """

    def look(
        self, *, lock_timeout: float, read_only: bool = False, recover: bool = False
    ) -> AbstractAsyncContextManager[Inspection]:
        """Open a session only to inspect, like `connect(writing=False)`: no plan, no step.

        recover: May roll back what a crash left in a file; else HotJournalError is raised.
        """

    def key_at_once(self, *, writing: bool) -> str | None:
        """What `preflight` of no objects returns, where a moment tells; None where only `preflight` can. For a thread.

        Raises what `preflight` raises.
        """

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> str:
        """What `identify` returns. Raises what `connect` would raise, and UsageError for an object that does not exist
        or that one of the operations cannot work on."""
