"""What happened in a period, worked out of jobs, surveys and schedules: numbers and facts, no markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from itertools import groupby, takewhile
from typing import Final

from engine import Operation, Status
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome
from engine.domain.schedules import Firing, FiringReason, FiringStatus
from engine.domain.steps import Micros
from engine.domain.surveys import URGENCY, FleetLevel, Survey
from tui.presentation.batch_summary import TROUBLE
from tui.presentation.page.layouts import Layout
from tui.presentation.page.runs import OperationRun, Run
from tui.presentation.schedule_format import ScheduleRow

_DAY: Final = 86_400_000_000
"""Microseconds."""
MOST_DAYS: Final = 120
"""Days of a period that is shown by days; a longer one is shown by weeks."""
BY_THE_HOUR: Final = 2 * _DAY
"""Microseconds of a period that is shown by hours, at most."""


@frozen(kw_only=True)
class Period:
    since: Micros
    until: Micros
    jobs: Sequence[Run]
    """Jobs that ended in it or are open, newest first."""
    is_cut: bool = False
    """Whether there are more."""
    surveys: Mapping[str, Survey]
    firings: Sequence[Firing] = ()
    """Due times in it, newest first."""
    schedules: Sequence[ScheduleRow] = ()
    next_due: Mapping[str, Micros] = field(default_factory=dict)
    """When schedules start a target next."""
    is_served: bool = True
    """Whether a permanent worker starts the schedules."""
    layouts: Sequence[Layout] = ()
    """The pages of SQLite files before and after their last operation."""


@frozen(kw_only=True)
class Problem:
    """Runs of an operation on a target that failed, or were left, for the same reason."""

    target: str
    what: str
    why: str
    to_do: str
    """What to do about the newest of them; "" where nothing is."""
    jobs: frozenset[int]
    at: Micros
    is_over: bool
    """Whether the operation completed later."""
    others: Sequence[Problem] = ()
    """Further ones of its target, over or open as it is; `jobs` has theirs, too."""

    @property
    def times(self) -> int:
        return len(self.jobs)

    @property
    def job(self) -> int:
        """The newest one."""
        return max(self.jobs)


@frozen(kw_only=True)
class LeftOfBatch:
    """What a batch left: on how many targets, by what became of each."""

    batch: int
    schedule: str | None
    targets: Mapping[JobOutcome, int]
    why: Sequence[tuple[str, int]]
    """The reasons with their numbers of targets, the most frequent first."""
    at: Micros
    is_over: bool
    """Whether all that was left completed later."""


@frozen(kw_only=True)
class MissedNights:
    """Due times of a schedule that were missed for the same reason."""

    schedule: str
    reason: FiringReason | None
    error: str
    times: int
    due_at: Micros
    """The newest of them."""
    is_over: bool
    """Whether the schedule fired later."""


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
    last: Run | None


@frozen(kw_only=True)
class NightSum:
    """A due time that fired, with the jobs that it started."""

    firing: Firing
    jobs: Sequence[Run]

    @property
    def seconds(self) -> float | None:
        return seconds_of(self.jobs)


def outcomes(jobs: Iterable[Run]) -> Mapping[JobOutcome, int]:
    return Counter(job.outcome for job in jobs)


def given_back(jobs: Iterable[Run]) -> float:
    return sum(job.back for job in jobs)


def seconds_of(jobs: Iterable[Run]) -> float | None:
    """The seconds from the first start of jobs to their last end; None while one is open, and if none began."""
    starts, ends = [], []
    for job in jobs:
        if job.ended_at is None:
            return None
        if job.started_at is not None:
            starts.append(job.started_at)
        ends.append(job.ended_at)
    return max(max(ends) - min(starts), 0) / 1e6 if starts else None


def failures(jobs: Sequence[Run]) -> list[Problem]:
    """One for each target, but for those that are over: the newest first, those that are not over before all others."""
    by_target: dict[tuple[str, bool], list[Problem]] = {}
    for row in _problems(jobs, lambda _, one: one.status is Status.FAILED):
        by_target.setdefault((row.target, row.is_over), []).append(row)
    return [
        replace(newest, others=others, jobs=newest.jobs.union(*(other.jobs for other in others)))
        for newest, *others in by_target.values()
    ]


def left(jobs: Sequence[Run]) -> list[Problem]:
    """Single jobs that were cancelled, skipped or done in part, in the same order."""
    return _problems(jobs, lambda job, one: one.is_left and job.batch is None)


def left_of_batches(jobs: Sequence[Run]) -> list[LeftOfBatch]:
    """Batches with such jobs, in the same order."""
    completed = _completed(jobs)
    of_batch: dict[int, list[Run]] = {}
    for job in jobs:
        if job.batch is not None and any(operation.is_left for operation in job.operations):
            of_batch.setdefault(job.batch, []).append(job)
    rows = [
        LeftOfBatch(
            batch=batch,
            schedule=those[0].schedule,
            targets=outcomes(those),
            why=Counter(
                why for job in those for why in {operation.why for operation in job.operations if operation.is_left}
            ).most_common(),
            at=max(job.at for job in those),
            is_over=all(
                _is_made_good(job, operation, completed)
                for job in those
                for operation in job.operations
                if operation.is_left
            ),
        )
        for batch, those in of_batch.items()
    ]
    return sorted(rows, key=lambda row: (row.is_over, -row.at))


Completed = Mapping[tuple[str, Operation], Sequence[tuple[int, OperationRun]]]


def _completed(jobs: Iterable[Run]) -> Completed:
    """The completed runs of each operation of a target, with their jobs, newest first."""
    found: dict[tuple[str, Operation], list[tuple[int, OperationRun]]] = {}
    for job in sorted(jobs, key=lambda job: -job.id):
        for operation in job.operations:
            if operation.is_complete:
                found.setdefault((job.target, operation.operation), []).append((job.id, operation))
    return found


def _is_made_good(job: Run, one: OperationRun, completed: Completed) -> bool:
    later = takewhile(lambda run: run[0] > job.id, completed.get((job.target, one.operation), ()))
    return any(run.makes_good(one) for _, run in later)


def _problems(jobs: Sequence[Run], is_one: Callable[[Run, OperationRun], bool]) -> list[Problem]:
    completed = _completed(jobs)
    found: dict[tuple[str, str, str], list[tuple[Run, OperationRun]]] = {}
    for job in jobs:
        for one in job.operations:
            if is_one(job, one):
                is_reached = job.outcome is not JobOutcome.UNREACHABLE
                what = one.operation.value if is_reached else JobOutcome.UNREACHABLE.value
                found.setdefault((job.target, what, one.why), []).append((job, one))
    rows = []
    for (target, what, why), those in found.items():
        newest, newest_run = max(those, key=lambda one: one[0].id)
        is_over = all(_is_made_good(job, one, completed) for job, one in those)
        row = Problem(
            target=target,
            what=what,
            why=why,
            to_do="" if is_over else newest_run.to_do,
            jobs=frozenset(job.id for job, _ in those),
            at=newest.at,
            is_over=is_over,
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (row.is_over, -row.at))


def operation_sums(jobs: Iterable[Run]) -> Iterator[OperationSum]:
    ended: dict[Operation, list[OperationRun]] = {operation: [] for operation in Operation}
    for job in jobs:
        for one in job.operations:
            if one.status.is_final:
                ended[one.operation].append(one)
    for operation, those in ended.items():
        if those:
            took = [one.seconds for one in those]
            completed = sum(one.is_complete for one in those)
            failed = sum(one.status is Status.FAILED for one in those)
            other = len(those) - completed - failed
            yield OperationSum(operation, completed, failed, other, sum(took), max(took))


def trends(period: Period) -> list[TargetTrend]:
    """Trends of targets with a job or a survey: the most urgent first, then those with failures, then the largest."""
    by_target: dict[str, list[Run]] = {url: [] for url in period.surveys}
    for job in reversed(period.jobs):
        by_target.setdefault(job.target, []).append(job)
    found = [_trend(target, jobs, period.surveys.get(target)) for target, jobs in by_target.items()]

    def urgency(trend: TargetTrend) -> tuple[int, int, float]:
        level = len(URGENCY) if trend.survey is None else URGENCY[trend.survey.level]
        return level, -trend.failed, -(trend.sizes[-1] if trend.sizes else 0)

    return sorted(found, key=urgency)


def _trend(target: str, jobs: Sequence[Run], survey: Survey | None) -> TargetTrend:
    sizes = [job.size for job in jobs if job.size is not None]
    seconds = [job.seconds for job in jobs if job.seconds is not None]
    failed = sum(job.outcome in TROUBLE for job in jobs)
    last = jobs[-1] if jobs else None
    return TargetTrend(target, survey, len(jobs), failed, sizes, seconds, given_back(jobs), last)


def nights(period: Period) -> list[NightSum]:
    """The due times that fired, newest first."""
    of_batch: dict[int, list[Run]] = {}
    for job in period.jobs:
        if job.batch is not None:
            of_batch.setdefault(job.batch, []).append(job)
    return [
        NightSum(firing=firing, jobs=of_batch.get(firing.batch, []) if firing.batch is not None else [])
        for firing in period.firings
        if firing.status is FiringStatus.FIRED
    ]


def requests(jobs: Sequence[Run]) -> list[list[Run]]:
    """The jobs of each batch together, each other job alone, newest first: those of a batch follow each other."""
    return [list(same) for _, same in groupby(jobs, key=lambda job: (job.batch, job.batch is None and job.id))]


def days(period: Period) -> list[tuple[str, list[Run]]]:
    """The jobs that ended on each local day, the oldest first, without a gap; open jobs by their creation.

    Of a short period by the hour; of a long one by weeks, from its first job on.
    """
    ends = [job.at for job in period.jobs]
    since, until = period.since, max([period.until, *ends])  # the clock may have been set back
    if until - since > MOST_DAYS * _DAY:
        since = max(since, min(ends, default=until))
    step, form = _step(until - since)
    first = _begin(since, step)
    starts = [first]
    while starts[-1] + step <= _moment(until):
        starts.append(starts[-1] + step)
    found: list[list[Run]] = [[] for _ in starts]
    for job, at in zip(period.jobs, ends, strict=True):
        found[min(max((_moment(at) - first) // step, 0), len(starts) - 1)].append(job)
    return [(f"{start:{form}}", jobs) for start, jobs in zip(starts, found, strict=True)]


def _step(length: Micros) -> tuple[timedelta, str]:
    """The time that one bar covers, and the format of its begin."""
    if length <= BY_THE_HOUR:
        return timedelta(hours=1), "%H:%M"
    number = length // _DAY + 2  # the first and the last may be parts of days
    return timedelta(days=1 if number <= MOST_DAYS + 1 else 7 * -(-number // (7 * (MOST_DAYS - 1)))), "%m-%d"


def not_fired(firings: Iterable[Firing]) -> list[Firing]:
    return [firing for firing in firings if firing.status is not FiringStatus.FIRED]


def missed(firings: Iterable[Firing]) -> list[MissedNights]:
    """The newest first, those that are not over before all others."""
    fired_at: dict[str, Micros] = {}
    found: dict[tuple[str, FiringReason | None, str], list[Micros]] = {}
    for firing in firings:
        if firing.status is FiringStatus.FIRED:
            fired_at[firing.schedule] = max(fired_at.get(firing.schedule, 0), firing.due_at)
        elif firing.status is FiringStatus.MISSED:
            found.setdefault((firing.schedule, firing.reason, firing.error or ""), []).append(firing.due_at)
    rows = [
        MissedNights(
            schedule=schedule,
            reason=reason,
            error=error,
            times=len(due),
            due_at=max(due),
            is_over=fired_at.get(schedule, 0) > max(due),
        )
        for (schedule, reason, error), due in found.items()
    ]
    return sorted(rows, key=lambda row: (row.is_over, -row.due_at))


def in_danger(surveys: Iterable[Survey]) -> list[Survey]:
    """The critical ones, then the unreachable ones."""
    found = [survey for survey in surveys if survey.level in {FleetLevel.CRITICAL, FleetLevel.UNREACHABLE}]
    return sorted(found, key=lambda one: (URGENCY[one.level], -one.surveyed_at, one.target))


def _moment(at: Micros) -> datetime:
    """On the clock of the wall."""
    return datetime.fromtimestamp(at / 1e6)


def _begin(at: Micros, step: timedelta) -> datetime:
    hour = _moment(at).replace(minute=0, second=0, microsecond=0)
    return hour if step < timedelta(days=1) else hour.replace(hour=0)
