"""What became of a job on one target, in the words in which jobs are counted."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.domain.jobs import ChildJob, ParentJob, is_interrupted
from engine.domain.statuses import PARTIAL, Reason, Status, format_ending


class JobOutcome(StrEnum):
    """What became of a job on one target. In the order in which they are counted."""

    COMPLETED = "completed"
    PARTIAL = PARTIAL
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    INCONSISTENT = "inconsistent"
    """All was done, and a check found rows that break a rule, such as those whose parent row is missing."""
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """An operation began, and waits for a worker while none runs."""
    PENDING = "pending"


OPEN: Final = frozenset({JobOutcome.RUNNING, JobOutcome.INTERRUPTED, JobOutcome.PENDING})
"""Those of jobs that have not ended."""


def outcome_of(job: ParentJob) -> JobOutcome:
    """A job that skipped everything for another reason than that nothing was needed did not complete.

    The store counts by the same rule: `JOB_OUTCOME` in its queries.
    """
    children = job.children
    if job.status is Status.FAILED and any(child.reason is Reason.UNREACHABLE for child in children):
        return JobOutcome.UNREACHABLE
    if job.status is Status.FAILED and all(child.leaves_nothing or child.found_inconsistency for child in children):
        return JobOutcome.INCONSISTENT
    if is_interrupted(job):
        return JobOutcome.INTERRUPTED
    if job.status is not Status.COMPLETED:
        return JobOutcome(job.status.value)
    left = [child for child in children if child.is_left_out]
    if left and len(left) == len(children):
        return JobOutcome.SKIPPED
    is_partial = left or any(child.is_partly_completed for child in children)
    return JobOutcome.PARTIAL if is_partial else JobOutcome.COMPLETED


def child_outcome(child: ChildJob) -> JobOutcome:
    """What became of one operation, in the same words."""
    return JobOutcome(format_ending(child.status, child.reason))


def shown_status(job: ParentJob) -> Status:
    """Its status, where there is no word for the outcome: a job that skipped everything did not complete."""
    return Status.SKIPPED if outcome_of(job) is JobOutcome.SKIPPED else job.status
