"""A job as a small record for a report, so that many thousands fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine import ChildJob, EngineName, JobId, Operation, ParentJob, Status, run_duration
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.jobs import format_child_reason, never_began
from engine.domain.option_specs import covers_whole_database
from engine.domain.requests import CheckLevel
from engine.domain.statuses import Reason
from engine.domain.steps import Micros
from tui.presentation.batch_summary import TROUBLE, given_back
from tui.presentation.effect_summary import error_of, job_effect
from tui.presentation.fact_format import number
from tui.presentation.job_notes import Instructions, advice_to_open

_EXPLAINED: Final = frozenset({Reason.NOT_NEEDED, Reason.PREVIOUS_FAILED})
"""Reasons for left operations that the report omits: nothing was needed, or the failed one is listed."""


@frozen(kw_only=True)
class OperationRun:
    operation: Operation
    status: Status
    is_complete: bool
    seconds: float
    """0 if it never began, or has not ended."""
    is_left: bool = False
    """Whether it did not fail, and did not do all that it should."""
    why: str = ""
    """Why it failed, or was left."""
    to_do: str = ""
    """What to do about the failure, or the work that is left."""
    is_full: bool = True
    """Whether a check was a full one."""
    objects: frozenset[str] | None = None
    """What a check was asked to look at; None: the whole database."""

    def makes_good(self, earlier: OperationRun) -> bool:
        """Whether it, completed, is the end of an earlier failure: a clean check tells nothing of what it left out."""
        looked_at_all = self.objects is None or (earlier.objects is not None and self.objects >= earlier.objects)
        return looked_at_all and self.is_full >= earlier.is_full


@frozen(kw_only=True)
class Run:
    id: int
    target: str
    engine: EngineName
    outcome: JobOutcome
    created_at: Micros
    started_at: Micros | None
    ended_at: Micros | None
    seconds: float | None
    """None while it is open, and if it never began."""
    back: float
    """Bytes given back."""
    size: float | None
    """Bytes of the database at its end."""
    effect: str
    batch: int | None
    schedule: str | None
    operations: tuple[OperationRun, ...]

    @property
    def at(self) -> Micros:
        """When it ended; while it is open, when it was created."""
        return self.created_at if self.ended_at is None else self.ended_at


def run_of(job: ParentJob, how: Callable[[JobId], Instructions]) -> Run:
    """`how`: how a person acts on an operation."""
    outcome = outcome_of(job)
    return Run(
        id=job.id,
        target=job.target,
        engine=job.engine,
        outcome=outcome,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.finished_at,
        seconds=None if job.finished_at is None else run_duration(job, job.finished_at),
        back=max(given_back([job]), 0.0),
        size=_size_after(job),
        effect="" if outcome in TROUBLE else job_effect(job),
        batch=job.batch,
        schedule=job.schedule,
        operations=tuple(_operation_run(job, child, how) for child in job.children),
    )


def _operation_run(job: ParentJob, child: ChildJob, how: Callable[[JobId], Instructions]) -> OperationRun:
    is_failed, is_left = child.status is Status.FAILED, _is_left(child)
    is_told = is_failed or is_left
    is_check, options = child.operation is Operation.CHECK, job.request.options
    whole = not is_check or covers_whole_database(child.operation, options)
    return OperationRun(
        operation=child.operation,
        status=child.status,
        is_complete=child.is_complete,
        seconds=0.0 if child.finished_at is None else run_duration(child, child.finished_at) or 0.0,
        is_left=is_left,
        why=_why(job, child) if is_told else "",
        to_do=advice_to_open(job, child, how(child.id)) if is_told and not job.is_pattern else "",
        is_full=not is_check or options.check_level is CheckLevel.FULL,
        objects=None if whole else frozenset(options.objects_for(child.operation)),
    )


def _is_left(child: ChildJob) -> bool:
    is_done = child.is_complete or child.status is Status.FAILED
    return child.status.is_final and not is_done and child.reason not in _EXPLAINED


def _why(job: ParentJob, child: ChildJob) -> str:
    error = " ".join(error_of(child, job.target).split())
    return error or ("not begun" if never_began(child) else format_child_reason(child)) or child.status.value


def _size_after(job: ParentJob) -> float | None:
    known = [number(child.after, "size") or number(child.before, "size") for child in job.children]
    return next((found for found in reversed(known) if found is not None), None)
