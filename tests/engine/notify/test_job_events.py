"""Which events a job that ended has: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import ChildJob, Operation, Options, ParentJob, Reason, Status
from engine.domain.engines import EngineName
from engine.domain.jobs import JobId
from engine.domain.notifications import Event, EventKind, Method, Recipient
from engine.domain.past_runs import PastRun
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from engine.notify.job_events import PastOperations, critical, events_of, is_told
from tests.tui.jobs import child, parent

NOTHING = PastOperations({}, {})
OPS = Recipient(name="ops", method=Method.COMMAND)


def run(job: int, seconds: float, status: Status = Status.COMPLETED, **options: Any) -> PastRun:
    return PastRun(JobId(job, 1), status, 0, seconds, None, Options(**options))


def kinds(job: ParentJob, past: PastOperations = NOTHING) -> list[EventKind]:
    return [event.kind for event in events_of(job, past)]


def check(status: Status = Status.FAILED, **facts: Any) -> ChildJob:
    made = child(operation=Operation.CHECK, status=status, reason=Reason.OPERATION_ERROR, error="index x is damaged")
    return replace(made, after={"findings": 1, **facts})


def test_a_job_that_completed_has_no_event() -> None:
    assert kinds(parent(child())) == []


def test_a_failed_job_has_one_event_that_names_its_operation_and_error() -> None:
    job = parent(child(), child(2, Status.FAILED, Reason.OPERATION_ERROR, error="disk I/O error"), child(3))
    (event,) = events_of(job, NOTHING)
    assert (event.kind, event.job, event.target) == (EventKind.FAILED, JobId(42, 2), job.target)
    assert (event.facts["operation"], event.facts["error"]) == ("vacuum", "disk I/O error")


@pytest.mark.parametrize(
    "status", [Status.CANCELLED, Status.SKIPPED, Status.COMPLETED], ids=lambda status: status.value
)
def test_what_did_not_fail_is_no_failure(status: Status) -> None:
    assert EventKind.FAILED not in kinds(parent(child(1, status, Reason.TIME_LIMIT)))


@pytest.mark.parametrize("facts", [{"damage": "row missing"}, {"damaged_indexes": ("x",)}, {"damaged_tables": ("t",)}])
def test_a_check_that_found_damage_is_critical_and_failed(facts: dict[str, Any]) -> None:
    events = list(events_of(parent(check(**facts)), NOTHING))
    assert [event.kind for event in events] == [EventKind.CRITICAL, EventKind.FAILED]
    assert events[1].facts["is_damage"]


@pytest.mark.parametrize("reason", [Reason.OPERATION_ERROR, Reason.UNREACHABLE, Reason.REFUSED])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_damage_that_a_check_found_leads_before_what_failed_beside_it(reason: Reason, is_first: bool) -> None:
    found, other = check(damage="row missing"), child(2, Status.FAILED, reason, error="too damaged (run a check)")
    job = parent(found, other) if is_first else parent(other, found)
    critical_one, failed = events_of(job, NOTHING)
    assert (critical_one.kind, critical_one.job) == (EventKind.CRITICAL, found.id)
    assert (failed.facts["operation"], failed.facts["error"], failed.facts["outcome"]) == (
        "check", "index x is damaged", "failed",
    )  # fmt: skip
    assert (failed.facts["failed"], failed.facts["is_damage"]) == (2, False)


@pytest.mark.parametrize(("before", "is_urgent"), [(0, False), (1, False), (2, True)])
def test_what_a_window_let_not_begin_is_an_event_and_urgent_the_third_time(before: int, is_urgent: bool) -> None:
    left = (child(1, Status.SKIPPED, Reason.TIME_LIMIT), child(2, Status.SKIPPED, Reason.WILL_NOT_FIT))
    (event,) = events_of(parent(*left), replace(NOTHING, left_out=before))
    assert (event.kind, event.facts["left_out_times"]) == (EventKind.NOT_BEGUN, before + 1)
    assert event.facts["is_urgent"] is is_urgent
    (begun,) = events_of(parent(child(1, Status.COMPLETED, Reason.TIME_LIMIT), left[1]), replace(NOTHING, left_out=9))
    assert (begun.kind, begun.facts["is_urgent"]) == (EventKind.NOT_BEGUN, False)


def test_a_broken_constraint_is_no_damage() -> None:
    assert kinds(parent(check(broken_rule="3 orphans", damage=None, damaged_indexes=()))) == [EventKind.FAILED]


@pytest.mark.parametrize(
    ("seconds", "earlier", "is_longer"),
    [
        (40.0, [20.0, 20.0, 20.0], True),
        (39.9, [20.0, 20.0, 20.0], False),
        (400.0, [20.0, 20.0], False),
        (40.0, [10.0, 20.0, 20.0, 300.0], True),
        (0.0, [0.0, 0.0, 0.0], True),
    ],
)
def test_longer_than_usual_is_twice_the_median_of_at_least_three_runs(
    seconds: float, earlier: list[float], is_longer: bool
) -> None:
    runs = [run(42, seconds), *(run(number, took) for number, took in enumerate(earlier, 1))]
    found = kinds(parent(child()), PastOperations({Operation.VACUUM: runs}, {}))
    assert (EventKind.LONGER_THAN_USUAL in found) is is_longer


def test_only_comparable_runs_that_completed_are_usual() -> None:
    others = [run(1, 1.0, Status.FAILED), run(2, 1.0, objects=("t",)), run(3, 1.0), run(4, 1.0)]
    assert kinds(parent(child()), PastOperations({Operation.VACUUM: [run(42, 90.0), *others]}, {})) == []


def test_a_difference_that_is_too_small_is_not_told() -> None:
    facts: dict[str, Any] = {"seconds": 3.0, "median": 1.0}
    event = Event(kind=EventKind.LONGER_THAN_USUAL, at=1, target="x", facts=facts)
    assert not is_told(event, OPS)
    assert is_told(event, replace(OPS, longer_by=2.0))


def test_an_operation_that_had_failed_the_last_time_recovers() -> None:
    (event,) = events_of(parent(child()), PastOperations({}, {Operation.VACUUM: 41}))
    assert (event.kind, event.facts) == (EventKind.RECOVERED, {"operations": ["vacuum"], "failed_job": 41})


def test_an_operation_recovers_although_another_one_of_its_job_failed() -> None:
    """The next job would not tell it: by then it completed the last time."""
    job = parent(child(1, Status.FAILED, operation=Operation.ANALYZE, error="no"), child(2))
    failed, recovered = events_of(job, PastOperations({}, {Operation.VACUUM: 41, Operation.ANALYZE: 40}))
    assert failed.kind is EventKind.FAILED
    assert (recovered.kind, recovered.job) == (EventKind.RECOVERED, JobId(42, 2))
    assert recovered.facts == {"operations": ["vacuum"], "failed_job": 41}


def test_nothing_recovers_from_damage_without_a_full_check_and_with_damage_on_record() -> None:
    damaged = PastOperations({}, {Operation.VACUUM: 41}, damaged_in=40)
    quick = check(Status.COMPLETED, level="quick", complete=True)
    full = check(Status.COMPLETED, level="full", complete=True)
    assert kinds(parent(child(2), quick), damaged) == []
    (event,) = events_of(parent(child(2), full), damaged)
    assert event.facts == {"operations": ["vacuum", "check"], "failed_job": 41}
    assert kinds(parent(child(2), full), replace(damaged, is_damaged=True)) == []


def test_an_operation_that_failed_again_does_not_recover() -> None:
    job = parent(child(), child(2, Status.FAILED, error="no"))
    assert kinds(job, PastOperations({}, {Operation.VACUUM: 41})) == [EventKind.FAILED]


def test_a_recipient_is_told_of_what_it_wants_only() -> None:
    event = Event(kind=EventKind.RECOVERED, at=1)
    assert is_told(event, OPS)
    assert not is_told(event, replace(OPS, on=(EventKind.FAILED, EventKind.MISSED)))


def test_a_critical_survey_is_an_event_with_its_cause() -> None:
    reason = SurveyReason(FleetLevel.CRITICAL, SurveyCause.DISK_FULL, {"free": 1, "size": 9})
    survey = Survey(
        target="sqlite:///t.db", engine=EngineName.SQLITE, surveyed_at=7, level=FleetLevel.CRITICAL, reasons=(reason,)
    )
    event = critical(survey)
    assert event is not None
    assert (event.kind, event.at, event.facts) == (
        EventKind.CRITICAL, 7, {"free": 1, "size": 9, "cause": "disk_full"}
    )  # fmt: skip
    assert critical(replace(survey, level=FleetLevel.NOW)) is None
