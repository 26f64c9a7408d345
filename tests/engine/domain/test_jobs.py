from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.engines import EngineName
from engine.domain.jobs import ChildJob, JobId, ParentJob, parent_progress, remaining, run_duration
from engine.domain.requests import Operation, Request
from engine.domain.statuses import CHILD_TRANSITIONS, FINAL, PARENT_TRANSITIONS, Status, may_follow, parent_status
from engine.domain.steps import FINISHING, WRITING_BACK, Progress, WaitsFor
from tests.building import ALL_FOUR

P, R, C, F, X, S = Status


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([(P, False), (P, False)], P),
        ([(R, True), (P, False)], R),
        ([(C, True), (P, False)], R),
        ([(P, True), (P, False)], R),  # handed back: it has begun
        ([(S, False), (P, False)], P),
        ([(C, True), (C, True)], C),
        ([(C, True), (F, True)], F),
        ([(F, True), (X, True)], F),
        ([(C, True), (X, False)], X),
        ([(C, True), (S, False)], C),
        ([(S, False), (S, False)], C),
    ],
)
def test_parent_status(children: list[tuple[Status, bool]], expected: Status) -> None:
    assert parent_status(children) is expected


@given(st.lists(st.tuples(st.sampled_from(Status), st.booleans()), min_size=1))
def test_r2_a_parent_is_final_exactly_when_all_its_children_are(children: list[tuple[Status, bool]]) -> None:
    assert parent_status(children).is_final == all(status.is_final for status, _ in children)


@given(st.lists(st.tuples(st.sampled_from(Status), st.booleans()), min_size=1))
def test_r3_a_failed_child_is_never_hidden(children: list[tuple[Status, bool]]) -> None:
    if any(status is Status.FAILED for status, _ in children):
        assert parent_status(children) in {Status.PENDING, Status.RUNNING, Status.FAILED}


@pytest.mark.parametrize("transitions", [CHILD_TRANSITIONS, PARENT_TRANSITIONS])
def test_r15_nothing_follows_a_final_status(transitions: dict[Status, frozenset[Status]]) -> None:
    assert not any(may_follow(transitions, old, new) for old in FINAL for new in Status)


@pytest.mark.parametrize(("text", "expected"), [("42", JobId(42)), ("#42", JobId(42)), ("42.2", JobId(42, 2))])
def test_job_id_reads_what_the_console_shows(text: str, expected: JobId) -> None:
    assert JobId.parse(text) == expected
    assert str(expected) == text.removeprefix("#")


@pytest.mark.parametrize("text", ["9" * 20, "1." + "9" * 20, "", "x", "4x", "42.", ".2", "-1", "1.2.3", "²", "4 2"])
def test_job_id_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match="a job id"):
        JobId.parse(text)


def _child(ordinal: int, status: Status, fraction: float | None = None) -> ChildJob:
    return ChildJob(
        parent_id=1,
        ordinal=ordinal,
        operation=Operation.VACUUM,
        status=status,
        progress=Progress(fraction=fraction),
        started_at=1_000_000,
    )


def test_parent_progress_counts_ended_children_whole_and_running_ones_in_part() -> None:
    parent = ParentJob(
        id=1,
        engine=EngineName.SQLITE,
        request=Request(target="sqlite:///x", operations=ALL_FOUR),
        status=R,
        created_at=0,
        children=(_child(1, C), _child(2, F), _child(3, R, 0.5), _child(4, P)),
    )
    assert parent_progress(parent) == pytest.approx(2.5 / 4)
    assert parent.done == 2


def test_run_duration_goes_on_until_the_job_is_over() -> None:
    assert run_duration(_child(1, R), now=3_500_000) == pytest.approx(2.5)


@pytest.mark.parametrize("name", ["", "VACUUM", "drop", "vacuum "])
def test_r1_an_unknown_operation_cannot_be_constructed(name: str) -> None:
    with pytest.raises(ValueError, match="valid Operation"):
        Operation(name)


RUNNING = ChildJob(
    parent_id=1,
    ordinal=1,
    operation=Operation.VACUUM,
    status=R,
    started_at=0,
    progress=Progress(fraction=0.25),
)


def test_what_is_left_goes_on_as_fast_as_until_now() -> None:
    assert remaining(RUNNING, now=10_000_000) == pytest.approx(30.0)
    assert remaining(replace(RUNNING, progress=Progress(fraction=1.0)), now=10_000_000) == 0.0


def test_time_in_which_it_waited_for_others_says_nothing_of_what_is_left() -> None:
    progress = Progress(fraction=0.25, waited=8_000_000)
    assert remaining(replace(RUNNING, progress=progress), now=10_000_000) == pytest.approx(6.0)
    assert remaining(replace(RUNNING, progress=progress), now=8_999_999) is None


@pytest.mark.parametrize("phase", [FINISHING, WRITING_BACK])
def test_what_cannot_be_interrupted_goes_on_as_fast_as_before_when_it_is_asked_to_stop(phase: str) -> None:
    child = replace(RUNNING, cancel_requested_at=1, progress=Progress(fraction=0.25, phase=phase))
    assert remaining(child, now=10_000_000) == pytest.approx(30.0)


@pytest.mark.parametrize(
    "child",
    [
        replace(RUNNING, progress=Progress()),
        replace(RUNNING, progress=Progress(fraction=0.029)),
        replace(RUNNING, started_at=9_000_001),
        replace(RUNNING, started_at=None, status=P),
        replace(RUNNING, cancel_requested_at=1),
        replace(RUNNING, progress=Progress(fraction=0.25, waits_for=WaitsFor.LOCK)),
        replace(RUNNING, status=C, finished_at=9_000_000),
    ],
)
def test_no_guess_is_made_while_it_would_mean_nothing(child: ChildJob) -> None:
    assert remaining(child, now=10_000_000) is None
