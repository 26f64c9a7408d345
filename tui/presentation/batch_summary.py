"""What became of many jobs, in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine import ParentJob
from engine.domain.batches import Batch, BatchId
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.steps import Micros
from tui.presentation.fact_format import number
from tui.presentation.server_effects import is_of_a_server
from tui.presentation.text import counted, duration, precise_duration, size

_MINUTE: Final = 60


TROUBLE: Final = (JobOutcome.FAILED, JobOutcome.UNREACHABLE, JobOutcome.INCONSISTENT)


def counts_text(found: Mapping[JobOutcome, int]) -> str:
    """`298 completed, 1 failed, 1 unreachable`, in the order of the outcomes."""
    return ", ".join(f"{found[outcome]:,} {outcome}" for outcome in JobOutcome if outcome in found)


def targets_in(batch: Batch) -> str:
    """`400 of 3,000 targets` while it is being submitted, or where that has ended before all were."""
    so_far = f"{batch.total:,} of " if batch.unsubmitted else ""
    return f"{so_far}{counted(batch.total + batch.unsubmitted, 'target')}"


def not_submitted(batch: Batch, how: Callable[[BatchId], str]) -> str:
    """What to do about jobs that are not submitted; `how`: what retries a batch, as text."""
    what = f"{counted(batch.unsubmitted, 'target')} of it {'is' if batch.unsubmitted == 1 else 'are'} not submitted"
    if batch.retry_of is None:
        return f"{what}. If that does not go on, run them again: what is open already is joined."
    return f"{what}. If that does not go on, {how(BatchId(batch.retry_of))} submits them."


def batch_summary(jobs: Sequence[ParentJob]) -> str:
    """`298 completed, 1 failed, 1 unreachable in 12:40; 41.2 GB given back`."""
    ends = [job.finished_at for job in jobs if job.finished_at is not None]
    took = (max(ends) - min(job.created_at for job in jobs)) / 1e6 if ends else None
    text = counts_text(Counter(map(outcome_of, jobs))) + (f" in {_took(max(took, 0))}" if took is not None else "")
    back = given_back(jobs)
    return f"{text}; {size(back)} given back" if size(back) != size(0) else text


def _took(seconds: float) -> str:
    """`84 ms`, `12 s`, `12:40`."""
    if seconds < 1:
        return precise_duration(seconds)
    return f"{seconds:.0f} s" if seconds < _MINUTE - 0.5 else duration(seconds)


def given_back(jobs: Sequence[ParentJob]) -> float:
    """Bytes that the databases lost; those that grew do not count."""
    return sum(max(_smaller_by(job), 0.0) for job in jobs)


def _smaller_by(job: ParentJob) -> float:
    if any(map(is_of_a_server, job.children)):
        return sum(number(child.after, "back_bytes") or 0 for child in job.children)
    before = [found for child in job.children if (found := number(child.before, "size")) is not None]
    after = [found for child in job.children if (found := number(child.after, "size")) is not None]
    return before[0] - after[-1] if before and after else 0.0


def time_to_go(begun: float, fraction: float, at: Micros) -> float | None:
    """Seconds until its end, at the speed so far; None without a basis for it."""
    if fraction < 0.03 or fraction >= 1 or at - begun < 1e6:
        return None
    return (at - begun) / 1e6 * (1 - fraction) / fraction
