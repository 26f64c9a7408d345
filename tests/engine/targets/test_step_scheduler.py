"""Steps that run at once get their turns so that none hinders another."""

from __future__ import annotations

from typing import Any

import pytest

from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import PlannedStep
from engine.targets.step_scheduler import StepScheduler


def step(conflict: str = "", *, last: bool = False, frees: bool = False) -> PlannedStep:
    return PlannedStep(
        object="o",
        command="c",
        reason="",
        lock=NO_LOCK,
        conflict=conflict,
        mandatory_follow_up=last,
        frees_conflict_early=frees,
    )


def begun(turns: StepScheduler) -> list[int]:
    """The numbers of all that may begin now."""
    numbers = []
    while (turn := turns.next()) is not None:
        numbers.append(turn[0])
    return numbers


def test_one_at_a_time_is_in_order() -> None:
    turns = StepScheduler([step(), step("a"), step("a"), step(last=True)], at_once=1)
    for number in (1, 2, 3, 4):
        assert begun(turns) == [number]
        turns.step_finished(number)
    assert begun(turns) == []


def test_each_comes_with_what_it_is() -> None:
    first, second = step("a"), step("b")
    turns = StepScheduler([first, second], at_once=2)
    assert [turns.next(), turns.next(), turns.next()] == [(1, first), (2, second), None]


def test_two_of_the_same_conflict_are_never_under_way() -> None:
    turns = StepScheduler([step("a"), step("a"), step("b"), step("a"), step("b")], at_once=3)
    assert begun(turns) == [1, 3]
    turns.step_finished(3)
    assert begun(turns) == [5]
    turns.step_finished(1)
    assert begun(turns) == [2]
    turns.step_finished(5)
    assert begun(turns) == []
    turns.step_finished(2)
    assert begun(turns) == [4]


def test_what_completes_those_before_waits_for_them_all_and_the_others_for_it() -> None:
    turns = StepScheduler([step(), step(), step(last=True), step()], at_once=4)
    assert begun(turns) == [1, 2]
    turns.step_finished(2)
    assert begun(turns) == []
    turns.command_finished(1)
    assert begun(turns) == []
    turns.step_finished(1)
    assert begun(turns)[:1] == [3]


def test_one_that_is_to_be_repeated_comes_after_the_others_and_before_what_completes_it() -> None:
    turns, seen = StepScheduler([step("a"), step(), step(last=True), step()], at_once=1), list[int]()
    while turn := turns.next():
        seen.append(turn[0])
        turns.step_finished(turn[0], again=seen.count(1) < 3 and turn[0] == 1)
    assert seen == [1, 2, 1, 1, 3, 4]


def test_a_step_that_is_looked_at_takes_no_turn_but_keeps_those_of_its_conflict_waiting() -> None:
    turns = StepScheduler([step("a"), step("a"), step("b"), step("c")], at_once=1)
    assert begun(turns) == [1]
    turns.command_finished(1)
    assert begun(turns) == [3]
    turns.command_finished(3)
    turns.step_finished(1)
    assert begun(turns) == [2]


def test_one_that_frees_when_over_is_in_nobodys_way_while_somebody_still_looks_at_what_it_did() -> None:
    turns = StepScheduler([step("a", frees=True), step("a"), step(last=True)], at_once=1)
    assert begun(turns) == [1]
    turns.command_finished(1)
    assert begun(turns) == [2]
    turns.step_finished(2)
    assert begun(turns) == []
    turns.step_finished(1)
    assert begun(turns) == [3]


class PlannedTarget:
    """A step that counts how often somebody looks at it."""

    def __init__(self, looks: list[str], *, last: bool = False) -> None:
        self._looks = looks
        self._last = last

    def __getattr__(self, name: str) -> object:
        self._looks.append(name)
        return self._last if name == "completes_previous" else "" if name == "conflict" else False


@pytest.mark.parametrize("number", [500, 1000])
def test_who_is_next_is_found_by_a_look_at_a_few_however_many_there_are(number: int) -> None:
    looks: list[str] = []
    steps: list[Any] = [
        *(PlannedTarget(looks) for _ in range(number)),
        PlannedTarget(looks, last=True),
        PlannedTarget(looks),
    ]
    turns, had = StepScheduler(steps, at_once=1), set[int]()
    while (turn := turns.next()) is not None:
        turns.step_finished(turn[0], again=turn[0] not in had)
        had.add(turn[0])
    assert len(had) == number + 2
    assert len(looks) < 10 * number


def test_steps_that_have_another_turn_keep_their_order_before_what_completes_them() -> None:
    turns, order, again = (
        StepScheduler([step(), step(), step(last=True), step(), step(last=True)], at_once=1),
        [],
        {1, 2},
    )
    while (turn := turns.next()) is not None:
        order.append(turn[0])
        turns.step_finished(turn[0], again=turn[0] in again)
        again.discard(turn[0])
    assert order == [1, 2, 1, 2, 3, 4, 5]


def test_what_takes_the_place_of_a_step_comes_after_the_others_and_before_what_completes_them() -> None:
    turns = StepScheduler([step(), step("a"), step(last=True)], at_once=1)
    assert begun(turns) == [1]
    turns.step_finished(1, instead={4: step(), 5: step()})
    for number in (2, 4, 5, 3):
        assert begun(turns) == [number]
        turns.step_finished(number)
    assert begun(turns) == []
