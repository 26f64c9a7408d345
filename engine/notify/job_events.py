"""What a job that ended gives rise to: failed, not begun, recovered, longer than usual, critical. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.jobs import ChildJob, ParentJob
from engine.domain.median import median
from engine.domain.notifications import Event, EventKind, Recipient
from engine.domain.past_runs import PastRun
from engine.domain.requests import Operation
from engine.domain.schedules import Firing, FiringStatus, Schedule
from engine.domain.statuses import LEFT_BY_WINDOW, Reason, Status
from engine.domain.steps import Facts, Micros
from engine.domain.surveys import FleetLevel, Survey, SurveyCause
from engine.history.estimates import extent

LEAST_RUNS: Final = 3
"""Earlier runs without which nothing is usual."""
LONGER: Final = 2.0
"""Times the median."""


LEFT_OUT: Final = 3
"""Jobs in a row whose window let nothing begin on a target, from which on that is urgent."""


@frozen
class PastOperations:
    """What came before a job, for each of its operations that completed."""

    runs: Mapping[Operation, Sequence[PastRun]]
    """Earlier runs, newest first."""
    failed: Mapping[Operation, int]
    """The job in which it failed, if it failed the last time."""
    left_out: int = 0
    """How many jobs just before it were left out as a whole, of those of the same schedule."""
    damaged_in: int | None = None
    """The job whose check found damage, if no complete full check has been clean since."""
    is_damaged: bool = False
    """Whether damage of the target is on record."""


def events_of(job: ParentJob, past: PastOperations) -> Iterator[Event]:
    """All events of a job that has ended. An operation that took longer than usual says by how much."""
    at = job.finished_at or job.created_at
    facts: Facts
    damaged = [child for child in job.children if found_damage(child)]
    for child in damaged[:1]:
        facts = {"cause": SurveyCause.DAMAGE.value, "operation": child.operation.value, "error": child.error or ""}
        yield _event(EventKind.CRITICAL, job, child, at, facts)
    failed = [child for child in job.children if child.status is Status.FAILED]
    if failed:
        # Damage is why others fail, too. Not that an operation was not begun as its target cannot be opened, if there
        # is more to say.
        reached = [child for child in failed if child.reason is not Reason.UNREACHABLE]
        child = [*damaged, *reached, *failed][0]
        facts = {
            "outcome": JobOutcome.FAILED.value if damaged else outcome_of(job).value,
            "operation": child.operation.value,
            "error": child.error or "",
            "reason": child.reason.value if child.reason else None,
            "failed": len(failed),
            "is_damage": bool(damaged) and len(failed) == len(damaged),
        }
        yield _event(EventKind.FAILED, job, child, at, facts)
    if not_begun := [child for child in job.children if _is_left_by_window(child)]:
        times = past.left_out + 1 if job.is_left_out else 0
        facts = {
            "operations": [child.operation.value for child in not_begun],
            "left_out_times": times,
            "is_urgent": times >= LEFT_OUT,
        }
        yield _event(EventKind.NOT_BEGUN, job, not_begun[0], at, facts)
    for child in job.children:
        if child.is_complete:
            runs = past.runs.get(child.operation, ())
            usual = _usual(job, child.operation, runs)
            seconds = next((run.seconds for run in runs if run.job == child.id), None)
            if usual is not None and seconds is not None and seconds >= LONGER * usual[0]:
                yield _longer(job, child, at, seconds, usual, is_running=False)
    failed_again = {child.operation for child in failed}
    failed_before = dict(past.failed)
    if past.damaged_in is not None:
        is_sound = any(child.is_complete and is_full_check(child) for child in job.children)
        failed_before = failed_before | {Operation.CHECK: past.damaged_in} if is_sound else {}
    recovered = [
        child
        for child in job.children
        if child.is_complete and child.operation in failed_before and child.operation not in failed_again
    ]
    if recovered and not past.is_damaged:
        again = dict.fromkeys(child.operation for child in recovered)
        facts = {
            "operations": [operation.value for operation in again],
            "failed_job": max(failed_before[operation] for operation in again),
        }
        yield _event(EventKind.RECOVERED, job, recovered[0], at, facts)


def _event(kind: EventKind, job: ParentJob, child: ChildJob, at: Micros, facts: Facts) -> Event:
    return Event(kind=kind, at=at, target=job.target, schedule=job.schedule or "", job=child.id, facts=facts)


def _is_left_by_window(child: ChildJob) -> bool:
    return child.reason in LEFT_BY_WINDOW and child.status in {Status.SKIPPED, Status.COMPLETED}


def found_damage(child: ChildJob) -> bool:
    """Whether it is a check that found damage, rather than broken constraints."""
    check = child.check_result
    return child.status is Status.FAILED and check is not None and check.met_damage


def is_full_check(child: ChildJob) -> bool:
    """Whether it is a check that looked at all that a check can see."""
    check = child.check_result
    return check is not None and check.is_full


def critical(survey: Survey) -> Event | None:
    """The event of a target that is critical by its survey, or gone."""
    reason = survey.reason
    if reason is None or not (survey.level is FleetLevel.CRITICAL or reason.cause is SurveyCause.GONE):
        return None
    facts = {**reason.facts, "cause": reason.cause.value}
    return Event(kind=EventKind.CRITICAL, at=survey.surveyed_at, target=survey.target, facts=facts)


def of_firing(firing: Firing) -> Event:
    """The event of a due time that was missed or skipped, or that fired with something to put right by hand."""
    kind = EventKind.FAILED if firing.status is FiringStatus.FIRED else EventKind(firing.status.value)
    facts = {"reason": firing.reason.value if firing.reason else None, "error": firing.error}
    return Event(kind=kind, at=firing.due_at, schedule=firing.schedule, facts=facts)


def fired_after_all(firing: Firing) -> Event:
    """The event of a due time that fired after a message had called it missed, as the clock was ahead."""
    return Event(kind=EventKind.RECOVERED, at=firing.due_at, schedule=firing.schedule)


def longer_already(
    job: ParentJob, child: ChildJob, past: Iterable[PastRun], at: Micros, seconds: float
) -> Event | None:
    """The event of a running operation that takes longer than usual.

    `past`: earlier runs, newest first. `seconds`: see `worked`.
    """
    usual = _usual(job, child.operation, past)
    if usual is None or seconds < LONGER * usual[0]:
        return None
    return _longer(job, child, at, seconds, usual, is_running=True)


def worked(child: ChildJob, elapsed: float) -> float | None:
    """Of the seconds since an operation began those without waits; None if it does not run, or waits now."""
    if child.status is not Status.RUNNING or child.progress.waits_for:
        return None
    return elapsed - child.progress.waited / 1e6


def is_told(event: Event, recipient: Recipient, schedules: Iterable[Schedule] = ()) -> bool:
    """Whether this recipient hears of the event. `schedules`: those of the config file."""
    if event.kind not in recipient.on:
        return False
    chosen = next((schedule.notify for schedule in schedules if schedule.name == event.schedule), ())
    if chosen and recipient.name not in chosen:
        return False
    if event.kind is EventKind.LONGER_THAN_USUAL:
        seconds, usual = event.facts.get("seconds"), event.facts.get("median")
        if isinstance(seconds, int | float) and isinstance(usual, int | float):
            return seconds - usual >= recipient.longer_by
    return True


def _longer(
    job: ParentJob, child: ChildJob, at: Micros, seconds: float, usual: tuple[float, int], *, is_running: bool
) -> Event:
    facts = {
        "operation": child.operation.value,
        "seconds": seconds,
        "median": usual[0],
        "runs": usual[1],
        "is_running": is_running,
    }
    return _event(EventKind.LONGER_THAN_USUAL, job, child, at, facts)


def _usual(job: ParentJob, operation: Operation, past: Iterable[PastRun]) -> tuple[float, int] | None:
    """The median seconds of comparable earlier runs, and their number; None if they are too few."""
    wanted = extent(operation, job.request.options)
    earlier = [
        run.seconds
        for run in past
        if run.job.parent < job.id and run.status is Status.COMPLETED and extent(operation, run.options) == wanted
    ]
    return (median(earlier), len(earlier)) if len(earlier) >= LEAST_RUNS else None
