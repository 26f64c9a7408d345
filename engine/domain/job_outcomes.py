"""What became of a job on one target, in the words in which jobs are counted."""

from __future__ import annotations

from enum import StrEnum

from engine.domain.jobs import ParentJob
from engine.domain.statuses import PARTIAL, Reason, Status


class JobOutcome(StrEnum):
    """What became of a job on one target. In the order in which they are counted."""

    COMPLETED = "completed"
    PARTIAL = PARTIAL
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    RUNNING = "running"
    PENDING = "pending"


def outcome_of(job: ParentJob) -> JobOutcome:
    """A job that skipped everything for another reason than that nothing was needed did not complete.

    The store counts by the same rule: `JOB_OUTCOME` in its queries.
    """
    children = job.children
    if job.status is Status.FAILED and any(child.reason is Reason.UNREACHABLE for child in children):
        return JobOutcome.UNREACHABLE
    if job.status is not Status.COMPLETED:
        return JobOutcome(job.status.value)
    left = [c for c in children if c.status is Status.SKIPPED and c.reason is not Reason.NOT_NEEDED]
    if left and len(left) == len(children):
        return JobOutcome.SKIPPED
    is_partial = left or any(child.is_partly_completed for child in children)
    return JobOutcome.PARTIAL if is_partial else JobOutcome.COMPLETED
