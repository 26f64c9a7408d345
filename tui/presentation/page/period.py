"""What happened in a period, worked out of jobs, surveys and schedules: numbers and facts, no markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from engine import ChildJob, Operation, ParentJob, Status, run_duration
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.schedules import Firing, FiringStatus
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, Survey
from tui.presentation.batch_summary import TROUBLE, given_back
from tui.presentation.effect_summary import error_of
from tui.presentation.fact_format import number
from tui.presentation.schedule_format import ScheduleRow

_DAY: Final = 86_400_000_000
"""Microseconds."""
MOST_DAYS: Final = 120
"""Longer periods are shown by weeks,"""
BY_THE_HOUR: Final = 2 * _DAY
"""and periods up to this length by the hour."""


@frozen(kw_only=True)
class Period:
    """What a report is made of."""

    since: Micros
    until: Micros
    jobs: Sequence[ParentJob]
    """Those that ended in it or are open, newest first, without steps."""
    is_cut: bool = False
    """Whether there are more."""
    surveys: Mapping[str, Survey]
    firings: Sequence[Firing] = ()
    """Due times in it, newest first."""
    schedules: Sequence[ScheduleRow] = ()


@frozen
class Failure:
    """Operations of a target that failed for the same reason."""

    target: str
    operation: str
    error: str
    times: int
    job: int
    """The newest of them."""
    at: Micros
    is_over: bool
    """Whether the operation completed later."""


@frozen
class OperationSum:
    """All runs of an operation."""

    operation: Operation
    completed: int
    failed: int
    other: int
    seconds: float
    longest: float


@frozen
class TargetTrend:
    """A target over the period."""

    target: str
    survey: Survey | None
    jobs: int
    failed: int
    sizes: Sequence[float]
    """In bytes, after each job in which it is known, oldest first."""
    seconds: Sequence[float]
    """How long each of its jobs took."""
    given_back: float
    last: ParentJob | None


def outcomes(jobs: Iterable[ParentJob]) -> Mapping[JobOutcome, int]:
    return Counter(map(outcome_of, jobs))


def failures(jobs: Sequence[ParentJob]) -> list[Failure]:
    """The newest first, those that are not over before all others."""
    completed: dict[tuple[str, Operation], int] = {}
    for job in jobs:
        for child in job.children:
            if child.is_complete:
                key = job.target, child.operation
                completed[key] = max(completed.get(key, 0), job.id)
    found: dict[tuple[str, str, str], list[tuple[ParentJob, ChildJob]]] = {}
    for job in jobs:
        for child in job.children:
            if child.status is Status.FAILED:
                error = " ".join(error_of(child, job.target).split())
                is_reached = outcome_of(job) is not JobOutcome.UNREACHABLE
                what = child.operation.value if is_reached else JobOutcome.UNREACHABLE.value
                found.setdefault((job.target, what, error), []).append((job, child))
    rows = [
        Failure(
            target, operation, error,
            len({job.id for job, _ in those}),
            max(job.id for job, _ in those),
            max(child.finished_at or job.created_at for job, child in those),
            all(completed.get((target, child.operation), 0) > job.id for job, child in those),
        )
        for (target, operation, error), those in found.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row.is_over, -row.at))


def operation_sums(jobs: Iterable[ParentJob]) -> Iterator[OperationSum]:
    children = [child for job in jobs for child in job.children if child.status.is_final]
    for operation in Operation:
        those = [child for child in children if child.operation is operation]
        took = [run_duration(child, child.finished_at or 0) or 0.0 for child in those]
        completed = sum(child.is_complete for child in those)
        failed = sum(child.status is Status.FAILED for child in those)
        if those:
            other = len(those) - completed - failed
            yield OperationSum(operation, completed, failed, other, sum(took), max(took))


def trends(period: Period) -> list[TargetTrend]:
    """Of all targets with a job or a survey; the most urgent first, then those with failures, then the largest."""
    by_target: dict[str, list[ParentJob]] = {url: [] for url in period.surveys}
    for job in reversed(period.jobs):
        by_target.setdefault(job.target, []).append(job)
    found = [_trend(target, jobs, period.surveys.get(target)) for target, jobs in by_target.items()]
    levels = list(FleetLevel)

    def urgency(trend: TargetTrend) -> tuple[int, int, float]:
        level = len(levels) if trend.survey is None else levels.index(trend.survey.level)
        return level, -trend.failed, -(trend.sizes[-1] if trend.sizes else 0)

    return sorted(found, key=urgency)


def _trend(target: str, jobs: Sequence[ParentJob], survey: Survey | None) -> TargetTrend:
    sizes = [found for job in jobs if (found := _size_after(job)) is not None]
    seconds = [found for job in jobs if job.finished_at and (found := run_duration(job, job.finished_at)) is not None]
    failed = sum(outcome_of(job) in TROUBLE for job in jobs)
    return TargetTrend(
        target, survey, len(jobs), failed, sizes, seconds, given_back(jobs), jobs[-1] if jobs else None
    )  # fmt: skip


def _size_after(job: ParentJob) -> float | None:
    known = [number(child.after, "size") or number(child.before, "size") for child in job.children]
    return next((found for found in reversed(known) if found is not None), None)


def belongs(job: ParentJob, since: Micros) -> bool:
    """Whether a job is told of from `since` on: each end once, in the period in which it was, and what is open."""
    return job.finished_at is None or job.finished_at >= since


def days(period: Period) -> list[tuple[str, list[ParentJob]]]:
    """The jobs that ended on each local day, the oldest first, without a gap; what is open counts as created.

    Of a short period by the hour; of a long one by weeks, from its first job on.
    """
    ends = [job.finished_at or job.created_at for job in period.jobs]
    since, until = period.since, max([period.until, *ends])  # the clock may have been set back
    if until - since > MOST_DAYS * _DAY:
        since = max(since, min(ends, default=until))
    step, form = _step(until - since)
    first = _begin(since, step)
    starts = [first]
    while starts[-1] + step <= _moment(until):
        starts.append(starts[-1] + step)
    found: list[list[ParentJob]] = [[] for _ in starts]
    for job, at in zip(period.jobs, ends, strict=True):
        found[min(max((_moment(at) - first) // step, 0), len(starts) - 1)].append(job)
    return [(f"{start:{form}}", jobs) for start, jobs in zip(starts, found, strict=True)]


def _step(length: Micros) -> tuple[timedelta, str]:
    """How much time is in a bar, and how its begin is told."""
    if length <= BY_THE_HOUR:
        return timedelta(hours=1), "%H:%M"
    number = length // _DAY + 2  # the first and the last may be parts of days
    return timedelta(days=1 if number <= MOST_DAYS + 1 else 7 * -(-number // (7 * (MOST_DAYS - 1)))), "%m-%d"


def not_fired(firings: Iterable[Firing]) -> list[Firing]:
    return [firing for firing in firings if firing.status is not FiringStatus.FIRED]


def critical(surveys: Iterable[Survey]) -> list[Survey]:
    return sorted(
        (one for one in surveys if one.level is FleetLevel.CRITICAL), key=lambda one: (-one.surveyed_at, one.target)
    )


def _moment(at: Micros) -> datetime:
    """On the clock of the wall."""
    return datetime.fromtimestamp(at / 1e6)


def _begin(at: Micros, step: timedelta) -> datetime:
    hour = _moment(at).replace(minute=0, second=0, microsecond=0)
    return hour if step < timedelta(days=1) else hour.replace(hour=0)
