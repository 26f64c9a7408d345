"""What became of many jobs, in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine import ParentJob
from engine.domain.batches import Batch, BatchId
from engine.domain.job_outcomes import JobOutcome, outcome_of
from tui.presentation.fact_format import number
from tui.presentation.server_effects import is_of_a_server
from tui.presentation.text import counted, duration, precise_duration, size

_MINUTE: Final = 60


TROUBLE: Final = (JobOutcome.FAILED, JobOutcome.UNREACHABLE, JobOutcome.INCONSISTENT)


def counts(jobs: Sequence[ParentJob]) -> Mapping[JobOutcome, int]:
    """How many jobs had each outcome, in the order of the outcomes."""
    found = Counter(map(outcome_of, jobs))
    return {outcome: found[outcome] for outcome in JobOutcome if found[outcome]}


def counts_text(jobs: Sequence[ParentJob]) -> str:
    """`298 completed, 1 failed, 1 unreachable`."""
    return ", ".join(f"{many:,} {outcome}" for outcome, many in counts(jobs).items())


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
    text = counts_text(jobs) + (f" in {_took(max(took, 0))}" if took is not None else "")
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


def fraction_done(jobs: Sequence[ParentJob]) -> float:
    """How much of all is done, with each target as much as any other: from 0 to 1."""
    return sum(map(_fraction, jobs)) / len(jobs) if jobs else 1.0


def _fraction(job: ParentJob) -> float:
    if job.status.is_final:
        return 1.0
    done = sum(1.0 if child.status.is_final else child.progress.fraction or 0.0 for child in job.children)
    return done / len(job.children)


def time_to_go(jobs: Sequence[ParentJob], at: int) -> float | None:
    """Seconds until its end, at the speed so far; None without a basis for it."""
    begun = [job.started_at for job in jobs if job.started_at is not None]
    fraction = fraction_done(jobs)
    if not begun or fraction < 0.03 or fraction >= 1 or at - min(begun) < 1e6:
        return None
    return (at - min(begun)) / 1e6 * (1 - fraction) / fraction
