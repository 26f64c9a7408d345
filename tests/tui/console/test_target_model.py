"""What the main screen knows of its targets: a plain value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Advice, CheckLevel, EngineName, Level, Operation, OperationInfo, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.errors import TargetUnavailableError
from engine.targets.lock_impact import NO_LOCK
from tui.console.target_model import TargetModel

OPERATIONS = (Operation.VACUUM, Operation.ANALYZE, Operation.CHECK)


def info(*operations: Operation) -> TargetInfo:
    offered = tuple(OperationInfo(operation=operation, summary="", lock=NO_LOCK) for operation in operations)
    return TargetInfo(url="sqlite:///a", engine=EngineName.SQLITE, version="3", facts={}, operations=offered)


def advice(operation: Operation) -> tuple[Advice, ...]:
    return (Advice(operation=operation, level=Level.SOON, reason=""),)


@pytest.fixture
def board() -> TargetModel:
    """Three that are well, of which each needs something else."""
    made = TargetModel(TargetEntry(name=name, url=f"{name}.db") for name in "abc")
    for number, operation in enumerate(OPERATIONS):
        made.learn(number, info(*OPERATIONS))
        made.heed(number, advice(operation))
    return made


def names(board: TargetModel) -> str:
    return "".join(state.entry.name for state in board.states.values())


def test_one_that_goes_leaves_the_cursor_on_its_neighbour(board: TargetModel) -> None:
    board.current = 1
    board.remove(1)
    assert (names(board), board.current) == ("ac", 2)
    board.remove(2)
    assert (names(board), board.current) == ("a", 0)
    board.remove(0)
    assert board.state is None
    board.mark()
    assert board.at_hand == []
    number = board.add(TargetEntry(name="d", url="d.db"))
    assert board.current == number


def test_what_is_found_out_of_one_that_has_gone_is_let_go(board: TargetModel) -> None:
    board.remove(1)
    board.learn(1, info())
    board.heed(1, ())
    board.give_up(1, TargetUnavailableError("b", "gone"))
    board.leave_unadvised(1, is_busy=True)
    board.look([1])
    assert names(board) == "ac"
    assert board.unsettled == []


def test_another_name_keeps_what_is_known_and_another_database_does_not(board: TargetModel) -> None:
    board.current = 1
    board.mark()
    entry = board.states[1].entry
    assert board.change(1, replace(entry, name="x")) == 1
    assert (names(board), board.marked, board.states[1].info is None) == ("axc", [1], False)
    number = board.change(1, replace(entry, name="x", url="x.db"))
    assert (names(board), board.current, board.marked) == ("axc", number, [])
    assert board.states[number].info is None


def test_an_action_is_for_the_marked_or_the_current_one(board: TargetModel) -> None:
    assert board.at_hand == [0]
    for board.current in (2, 1):
        board.mark()
    assert board.at_hand == [1, 2]
    board.mark()
    assert board.at_hand == [2]
    board.unmark()
    assert board.at_hand == [1]


def test_each_runs_what_it_needs_itself_until_somebody_chooses(board: TargetModel) -> None:
    def wanted() -> list[tuple[Operation, ...]]:
        return [request.operations if (request := board.request(n)) else () for n in board.states]

    assert wanted() == [(operation,) for operation in OPERATIONS]
    for board.current in (0, 1):
        board.mark()
    board.toggle(Operation.CHECK)
    assert wanted() == [(Operation.ANALYZE, Operation.CHECK)] * 2 + [(Operation.CHECK,)]
    board.learn(0, info(Operation.CHECK))  # which does not offer the other
    assert wanted()[0] == (Operation.CHECK,)
    board.forget_choice([0, 1])
    assert wanted()[1] == (Operation.ANALYZE,)


def test_what_only_the_rebuild_is_for_does_not_narrow_another_operation_alone(board: TargetModel) -> None:
    board.learn(0, info(Operation.REINDEX, Operation.ANALYZE))
    reindex, analyze = (*advice(Operation.REINDEX), *advice(Operation.ANALYZE))
    board.heed(0, (replace(reindex, objects=("by price",)), analyze))
    both = board.request()
    assert both is not None
    assert (both.options.objects, both.options.rebuild) == ((), ("by price",))
    alone = {operation: board.request_of(operation) for operation in both.operations}
    found = {operation: request.options.objects for operation, request in alone.items() if request is not None}
    assert found == {Operation.REINDEX: ("by price",), Operation.ANALYZE: ()}


@pytest.mark.parametrize("toggled", [*OPERATIONS, Operation.REINDEX])
def test_what_is_taken_out_and_in_again_is_as_it_was_advised(board: TargetModel, toggled: Operation) -> None:
    board.learn(0, info(Operation.REINDEX, *OPERATIONS))
    reindex, vacuum, analyze, check = (replace(advice(one)[0]) for one in (Operation.REINDEX, *OPERATIONS))
    analyze, check = replace(analyze, excluded_tables=("damaged",)), replace(check, check=CheckLevel.QUICK)
    board.heed(0, (replace(reindex, objects=("by price",)), vacuum, analyze, check))
    advised = board.request()
    assert advised is not None
    assert (advised.options.rebuild, advised.options.leave_out) == (("by price",), ("damaged",))
    board.toggle(toggled)
    without = board.request()
    assert without is not None
    assert toggled not in without.operations
    assert without.options.rebuild == (() if toggled is Operation.REINDEX else ("by price",))
    assert without.options.leave_out == (() if toggled is Operation.ANALYZE else ("damaged",))
    board.toggle(toggled)
    again = board.request()
    assert again is not None
    if toggled is Operation.CHECK:  # who asks for a check himself gets a full one
        assert again.options.check is None
        again = replace(again, options=replace(again.options, check=CheckLevel.QUICK))
    assert {*again.operations} == {*advised.operations}
    assert again.options == advised.options


def test_what_is_chosen_besides_does_not_widen_nor_narrow_the_rebuild(board: TargetModel) -> None:
    board.learn(0, info(Operation.REINDEX, *OPERATIONS))
    board.heed(0, (replace(advice(Operation.REINDEX)[0], objects=("by price",)),))
    board.toggle(Operation.ANALYZE)
    request = board.request()
    assert request is not None
    assert {*request.operations} == {Operation.REINDEX, Operation.ANALYZE}
    assert (request.options.objects, request.options.rebuild) == ((), ("by price",))


def test_one_that_was_there_is_known_to_have_gone(board: TargetModel) -> None:
    board.add(TargetEntry(name="d", url="d.db"))
    for number in (0, 3, 0):
        board.give_up(number, TargetUnavailableError("x", "gone"))
    assert [board.states[n].was_there for n in (0, 3)] == [True, False]
