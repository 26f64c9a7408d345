from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.engines import EngineName
from engine.domain.jobs import ChildJob, JobId, ParentJob, parent_progress, parent_remaining, remaining, run_duration
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


RUNNING = ChildJob(
    parent_id=1,
    ordinal=1,
    operation=Operation.VACUUM,
    status=R,
    started_at=0,
    progress=Progress(fraction=0.25),
)


def _parent(*children: ChildJob) -> ParentJob:
    return ParentJob(
        id=1,
        engine=EngineName.SQLITE,
        request=Request(target="sqlite:///x", operations=ALL_FOUR),
        status=parent_status((child.status, child.status is not P) for child in children),
        created_at=0,
        children=children,
    )


def test_parent_progress_counts_ended_children_whole_and_running_ones_in_part() -> None:
    parent = _parent(_child(1, C), _child(2, F), _child(3, R, 0.5), _child(4, P))
    assert parent_progress(parent) == pytest.approx(2.5 / 4)
    assert parent.done == 2


def _estimated(child: ChildJob, *estimates: float | None) -> list[ChildJob]:
    return [replace(child, ordinal=ordinal, estimate=estimate) for ordinal, estimate in enumerate(estimates, 1)]


def test_children_weigh_as_much_as_they_are_expected_to_take() -> None:
    (running,) = _estimated(_child(1, R, 0.5), 90.0)
    others = _estimated(_child(2, P), 9.0, 1.0)
    assert parent_progress(_parent(running, *others)) == pytest.approx(0.45)
    unknown = _estimated(_child(2, P), 10.0, None)
    assert parent_progress(_parent(running, *unknown)) == pytest.approx(45 / 150)  # the average of the others


def test_nothing_is_said_of_the_whole_before_anything_is_known_of_a_part() -> None:
    assert parent_progress(_parent(_child(1, R), _child(2, P))) is None
    assert parent_progress(_parent(_child(1, P), _child(2, P))) is None


@st.composite
def _histories(draw: st.DrawFn) -> list[ParentJob]:
    """A job read again and again: one child after the other runs, and ends with a status of its own."""
    seconds = st.none() | st.floats(0, 1e6)
    estimates = draw(st.lists(seconds, min_size=1, max_size=6))
    waiting = _estimated(_child(1, P), *estimates)
    history, ended = [_parent(*waiting)], list[ChildJob]()
    for at, child in enumerate(waiting):
        for fraction in draw(st.lists(st.floats(0, 1), max_size=4).map(sorted)):
            running = replace(child, status=R, progress=Progress(fraction=fraction))
            history.append(_parent(*ended, running, *waiting[at + 1 :]))
        ended.append(replace(child, status=draw(st.sampled_from([C, F, S, X])), finished_at=2_000_000))
        history.append(_parent(*ended, *waiting[at + 1 :]))
    return history


@given(_histories())
def test_the_progress_of_a_parent_never_falls_and_is_whole_only_at_its_end(history: list[ParentJob]) -> None:
    told = [progress for parent in history if (progress := parent_progress(parent)) is not None]
    assert all(before <= after or before == pytest.approx(after) for before, after in pairwise(told))
    assert [parent_progress(parent) == 1.0 for parent in history] == [parent.status.is_final for parent in history]


def test_what_is_left_of_a_parent_is_what_is_left_of_its_children() -> None:
    (running,) = _estimated(RUNNING, 12.0)
    pending = _estimated(_child(2, P), 9.0, 1.0)
    ended = replace(_child(1, C), finished_at=3_000_000, estimate=8.0)
    # What has run takes 42 seconds, and was expected to take 20.
    assert parent_remaining(_parent(ended, running, *pending), now=10_000_000) == pytest.approx(30.0 + 10.0 * 42 / 20)
    begun = replace(running, progress=Progress())
    assert parent_remaining(_parent(begun, *pending), now=10_000_000) == pytest.approx(2.0 + 10.0)  # by its estimate


@pytest.mark.parametrize(
    "children",
    [
        (RUNNING, _child(2, P)),
        (replace(RUNNING, progress=Progress()),),
        (replace(RUNNING, progress=Progress(), estimate=9.0),),  # it takes longer than that already
        (replace(RUNNING, progress=Progress(waits_for=WaitsFor.LOCK), estimate=90.0),),
        (replace(RUNNING, cancel_requested_at=1, estimate=90.0),),
        (_child(1, C), *_estimated(_child(2, P), 3.0)),  # no worker runs it
        (_child(1, C), _child(2, F)),
    ],
)
def test_what_is_left_of_a_parent_is_unknown_while_a_child_has_no_basis(children: Sequence[ChildJob]) -> None:
    assert parent_remaining(_parent(*children), now=10_000_000) is None


def test_run_duration_goes_on_until_the_job_is_over() -> None:
    assert run_duration(_child(1, R), now=3_500_000) == pytest.approx(2.5)


@pytest.mark.parametrize("name", ["", "VACUUM", "drop", "vacuum "])
def test_r1_an_unknown_operation_cannot_be_constructed(name: str) -> None:
    with pytest.raises(ValueError, match="valid Operation"):
        Operation(name)


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
