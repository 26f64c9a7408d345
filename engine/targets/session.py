"""One connection to a database: what every database engine implements to inspect it, and to plan and run operations.

What a plan shows is what runs: `Session.plan` returns a `PlannedOperation`, which carries the plan and runs its steps.
A session keeps nothing for a later call. What an engine has nothing to say about has a default here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from engine.domain.frozen import frozen
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Sequence

    from engine.domain.advice import Advice, Measurement, TargetHistory
    from engine.domain.damage import Damage
    from engine.domain.requests import Operation, Options
    from engine.domain.steps import Facts, Step
    from engine.targets.operation_specs import Autovacuum, TargetInfo
    from engine.targets.plans import OperationPlan, PlannedStep
    from engine.targets.step_execution import StepContext, StepResult


@frozen(kw_only=True)
class Recovery:
    """The state of a database after a worker process died."""

    unfinished: str
    """What happened to the unfinished work: `was rolled back`."""
    found: str
    """The result of a check, as text: `a quick check found nothing wrong`, or why it failed."""
    is_well: bool
    is_damaged: bool = False


class Inspection(ABC):
    """One connection to a database, to inspect it."""

    @abstractmethod
    async def info(self, past: TargetHistory | None = None) -> TargetInfo:
        """`past`: see `Session.facts`."""

    async def autovacuum(self) -> Autovacuum | None:
        """Whether the server keeps up by itself; None where nothing of the kind runs. Raises TargetError."""
        return None

    async def seen_damage(self) -> Sequence[Damage]:
        """Damage that a quick look shows, and that may not be seen once something is written. Raises TargetError."""
        return ()

    @abstractmethod
    async def advise(
        self, past: TargetHistory, *, budget: float | None, limits: Thresholds = DEFAULT_THRESHOLDS
    ) -> tuple[tuple[Advice, ...], Measurement | None]:
        """Which operations the database needs, and why: one Advice for each operation that the engine advises on.

        With it the facts of a full inspection, to keep; None after a partial one, or where later writes to the database
        would go unnoticed.

        `budget`: seconds for expensive queries; None for no limit.
        """


class PlannedOperation(ABC):
    """An operation on the database of a session: its plan, and what runs its steps. The session closes it."""

    plan: OperationPlan

    @abstractmethod
    async def facts(self, cancel: asyncio.Event | None = None) -> Facts:
        """The facts of the session with those that this operation changes; after its steps, also what they did.

        Waits for no lock once `cancel` is set, nor after a step timed out waiting for one. Raises TargetError.
        """

    @abstractmethod
    async def find_blockers(self, *, has_window: bool) -> str:
        """Who would block it now, as text; "" for no one. A plan warns of that, a job waits.

        `has_window`: whether a window closes over it, by its own limits or those of a schedule.
        """

    @abstractmethod
    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        """Run one step of the plan to its end. An error of the database is a result, not a raise.

        When `context.cancel` is set, the database is asked to stop; the result says whether it did. Cancelling the
        task that waits here does the same, waits for the end of the statement, then raises CancelledError.
        """

    async def further_plan(self) -> OperationPlan | None:
        """After the last step: the steps that those so far have shown to be needed, for the same tables; None for none.

        They are steps of this operation. Raises TargetError.
        """
        return None

    async def retry_cleanup(self, cancel: asyncio.Event) -> Collection[str]:
        """Try again, after the last step, to drop the objects that steps could not drop. Returns those now gone.

        Waits for no lock once `cancel` is set. Raises nothing: the steps carry the warnings.
        """
        return ()


class Session(Inspection):
    """One connection to a database, to plan and run operations."""

    @abstractmethod
    async def lock(self) -> Sequence[str]:
        """Take the lock at the database that each attempt at a child job holds until its session is closed.

        No two processes hold it at once, whatever their stores, and no application waits for it. A session that only
        inspects or plans does not take it. Returns warnings, as text: where no lock can be had. Raises TargetBusyError
        after the lock timeout.
        """

    @abstractmethod
    async def facts(self, past: TargetHistory | None = None) -> Facts:
        """Sizes and counts now; takes milliseconds. Raises TargetError.

        `past`: the history of the database, where a server would repair known damage by itself if it were read.
        """

    @abstractmethod
    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> PlannedOperation:
        """The steps that `operation` would run now, and the result of preflight. Changes nothing.

        `past`: the history of the database, for operations that only do necessary work.

        Raises TargetError where the database cannot be read, UsageError for an object that does not exist.
        """

    async def remarks(self, plans: Sequence[OperationPlan]) -> Sequence[str]:
        """Further warnings of plans: about their order, and who uses the database."""
        return ()

    async def cleanup_orphans(self, earlier: Sequence[Step]) -> Sequence[str]:
        """Clean up after a worker process died, before anything else.

        Ends what the process still runs, takes the lock, and removes what its steps left. `earlier`: its recorded
        steps. Returns a report, as text. Raises TargetError if something still runs: then no job may begin.
        """
        return ()

    @abstractmethod
    async def recover(self, earlier: Sequence[Step], options: Options, context: StepContext) -> Recovery:
        """Undo the unfinished work of an operation whose worker process died, and check for damage.

        Called after `cleanup_orphans`. `earlier`: the recorded steps of the operation.
        """
