"""What a running step gets from its caller, and what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.domain.humanize import PAST_THE_LIMIT
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, WaitsFor
from engine.domain.time_limits import Window
from engine.targets.limits import Limits
from engine.targets.waits import OthersLookup, no_others

if TYPE_CHECKING:
    from engine.targets.plans import PlannedStep

NOTHING_CHANGED: Final = "nothing changed"
"""What remains of a step that was rolled back."""
DONE_OR_UNCHANGED: Final = "it is done, or nothing changed: the connection was lost before the server answered"
"""What remains of a step whose end is not known; the server rolls back what it did not complete."""


FilesLookup = Callable[[], Awaitable[frozenset[str] | None]]


async def unknown_files() -> None:
    """A `FilesLookup` that does not know."""


async def _not_stored() -> bool:
    return False


@frozen(kw_only=True)
class StepProgress:
    """Progress of a running step; `fraction` is from 0 to 1, None while it is unknown."""

    fraction: float | None = None
    phase: str | None = None
    waits_for: WaitsFor | None = None


@frozen(kw_only=True)
class StepContext(Limits):
    """What a running step gets from its caller: the attempt that it is part of, and where it reports."""

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    window: Window = field(default_factory=Window)
    report: Callable[[StepProgress], None] = lambda _: None
    """Called with each new progress."""
    save_recovery_data: Callable[[Facts], None] = lambda _: None
    """Called with the facts that crash recovery needs if this process dies."""
    command_finished: Callable[[], None] = lambda: None
    """Called when the command has finished and only its result is left to measure: another step may begin."""

    store_results: Callable[[], Awaitable[bool]] = _not_stored
    """Stores the results of the steps before this one; returns whether they are in the job history now."""
    maintained_files: FilesLookup = unknown_files
    """Returns the paths of all files that are now targets of the config file or of an open job; None if unknown."""
    others_work: OthersLookup = no_others
    """Returns whether other jobs work on the server now: where it has no connection left, one is free when they end."""


@frozen(kw_only=True)
class StepResult:
    """The result of a step.

    `completed`, `failed` (with `error` and `reason`), `cancelled`, or `skipped` (it could not have its effect,
    which does not make the operation a failure; `error` says why). `warnings` are shown with the child job.
    """

    status: Status
    error: str | None = None
    reason: Reason | None = None
    """Why it failed or was not begun, unless by an error of the operation itself."""
    warnings: tuple[str, ...] = ()
    effect: Facts | None = None
    """What it changed, as numbers."""
    findings: tuple[str, ...] = ()
    """What a check found, one sentence each."""
    error_is_finding: bool = False
    """Whether `error` reports the findings: then the step did its work."""
    met_damage: str = ""
    """The error or finding by which it met damage that no check had to look for, as text."""
    damaged_index: str = ""
    """The index that alone is damaged by that, and can be rebuilt."""
    failed_drops: Mapping[str, str] = field(default_factory=dict)
    """Objects that it could not drop, by name, each with its warning. `Session.retry_cleanup` tries again."""
    left: str = ""
    """What remains of it after a cancel or failure, as text and as inspected: `nothing changed`."""
    requeue: bool = False
    """Whether it runs again after the other steps."""
    instead: tuple[PlannedStep, ...] = ()
    """Steps that run after the others for those of its objects that it could not do."""
    stop_reason: str = ""
    """Why no other step can begin either: this ends the operation."""
    never_began: bool = False
    """Whether its command was never sent: it waited to begin until that was too late."""

    @property
    def may_leave_something(self) -> bool:
        """Whether it ended early, without saying what remains of it. The findings of a check need nothing added."""
        return self.status in {Status.CANCELLED, Status.FAILED} and not (self.findings or self.left)


def past_the_limit() -> StepResult:
    """The result of a step that waited to begin until its window closed."""
    return StepResult(status=Status.SKIPPED, reason=Reason.TIME_LIMIT, error=PAST_THE_LIMIT, never_began=True)


def failed_by(error: TargetError) -> StepResult:
    """The result of a step that could not work on its database."""
    why = error.why_and_hint if error.reason is Reason.REFUSED else error.why
    return StepResult(status=Status.FAILED, reason=error.reason, error=why)


def without_room(problems: Sequence[str]) -> StepResult:
    """The result of a step that did not begin, because the disk has no room for it."""
    return StepResult(status=Status.FAILED, reason=Reason.REFUSED, error="; ".join(problems), left=NOTHING_CHANGED)


async def facts_with(facts: Awaitable[Facts], did: Facts) -> Facts:
    """The facts of a database and what steps did there: that is known, also where the database cannot be read now."""
    try:
        return {**await facts, **did}
    except TargetError:
        if not did:
            raise
        return did
