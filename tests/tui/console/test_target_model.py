"""What the main screen knows of its targets: a plain value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Advice, CheckLevel, EngineName, Level, Operation, OperationInfo, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.errors import HotJournalError, TargetUnavailableError
from engine.targets.lock_impact import NO_LOCK
from tui.console.target_model import TargetModel

OPERATIONS = (Operation.VACUUM, Operation.ANALYZE, Operation.CHECK)


def info(*operations: Operation) -> TargetInfo:
    offered = tuple(OperationInfo(operation=operation, summary="", lock=NO_LOCK) for operation in operations)
    return TargetInfo(url="sqlite:///a", engine=EngineName.SQLITE, version="3", facts={}, operations=offered)


def advice(operation: Operation) -> tuple[Advice, ...]:
    return (Advice(operation=operation, level=Level.SOON, reason=""),)


@pytest.fixture
def model() -> TargetModel:
    """Three targets with different needs."""
    made = TargetModel(TargetEntry(name=name, url=f"{name}.db") for name in "abc")
    for number, operation in enumerate(OPERATIONS):
        made.set_info(number, info(*OPERATIONS))
        made.set_advice(number, advice(operation))
    return made


def names(model: TargetModel) -> str:
    return "".join(state.entry.name for state in model.states.values())


def test_one_that_goes_leaves_the_cursor_on_its_neighbour(model: TargetModel) -> None:
    model.current = 1
    model.remove(1)
    assert (names(model), model.current) == ("ac", 2)
    model.remove(2)
    assert (names(model), model.current) == ("a", 0)
    model.remove(0)
    assert model.state is None
    model.mark()
    assert model.selected == []
    number = model.add(TargetEntry(name="d", url="d.db"))
    assert model.current == number


def test_what_the_server_does_by_itself_cannot_be_chosen(model: TargetModel) -> None:
    offered = (*info(Operation.ANALYZE).operations, replace(info(Operation.VACUUM).operations[0], by_server=True))
    model.set_info(0, replace(info(), operations=offered))
    model.toggle(Operation.VACUUM)
    assert model.chosen == frozenset()
    model.toggle(Operation.ANALYZE)
    assert model.chosen == {Operation.ANALYZE}


def test_on_a_hot_journal_nothing_but_a_check_can_run(model: TargetModel) -> None:
    model.set_error(0, HotJournalError("a", "a crash"))
    request = model.request()
    assert request is not None
    assert request.operations == (Operation.CHECK,)


def test_what_is_found_out_of_one_that_has_gone_is_let_go(model: TargetModel) -> None:
    model.remove(1)
    model.set_info(1, info())
    model.set_advice(1, ())
    model.set_error(1, TargetUnavailableError("b", "gone"))
    model.set_advice_failed(1, is_busy=True)
    model.set_inspecting([1])
    assert names(model) == "ac"
    assert model.to_retry == []


def test_another_name_keeps_what_is_known_and_another_database_does_not(model: TargetModel) -> None:
    model.current = 1
    model.mark()
    entry = model.states[1].entry
    assert model.change(1, replace(entry, name="x")) == 1
    assert (names(model), model.marked, model.states[1].info is None) == ("acx", [1], False)
    number = model.change(1, replace(entry, name="x", url="x.db"))
    assert (names(model), model.current, model.marked) == ("acx", number, [])
    assert model.states[number].info is None


def test_an_action_is_for_the_marked_or_the_current_one(model: TargetModel) -> None:
    assert model.selected == [0]
    for model.current in (2, 1):
        model.mark()
    assert model.selected == [1, 2]
    model.mark()
    assert model.selected == [2]
    model.unmark()
    assert model.selected == [1]


def test_each_runs_what_it_needs_itself_until_somebody_chooses(model: TargetModel) -> None:
    def wanted() -> list[tuple[Operation, ...]]:
        return [request.operations if (request := model.request(n)) else () for n in model.states]

    assert wanted() == [(operation,) for operation in OPERATIONS]
    for model.current in (0, 1):
        model.mark()
    model.toggle(Operation.CHECK)
    assert wanted() == [(Operation.ANALYZE, Operation.CHECK)] * 2 + [(Operation.CHECK,)]
    model.set_info(0, info(Operation.CHECK))  # which does not offer the other
    assert wanted()[0] == (Operation.CHECK,)
    model.reset_choice([0, 1])
    assert wanted()[1] == (Operation.ANALYZE,)


def test_what_only_the_rebuild_is_for_does_not_narrow_another_operation_alone(model: TargetModel) -> None:
    model.set_info(0, info(Operation.REINDEX, Operation.ANALYZE))
    reindex, analyze = (*advice(Operation.REINDEX), *advice(Operation.ANALYZE))
    model.set_advice(0, (replace(reindex, objects=("by price",)), analyze))
    both = model.request()
    assert both is not None
    assert (both.options.objects, both.options.rebuild) == ((), ("by price",))
    alone = {operation: model.request_of(operation) for operation in both.operations}
    found = {operation: request.options.objects for operation, request in alone.items() if request is not None}
    assert found == {Operation.REINDEX: ("by price",), Operation.ANALYZE: ()}


@pytest.mark.parametrize("toggled", [*OPERATIONS, Operation.REINDEX])
def test_what_is_taken_out_and_in_again_is_as_it_was_advised(model: TargetModel, toggled: Operation) -> None:
    model.set_info(0, info(Operation.REINDEX, *OPERATIONS))
    reindex, vacuum, analyze, check = (replace(advice(one)[0]) for one in (Operation.REINDEX, *OPERATIONS))
    analyze, check = replace(analyze, excluded_tables=("damaged",)), replace(check, check=CheckLevel.QUICK)
    model.set_advice(0, (replace(reindex, objects=("by price",)), vacuum, analyze, check))
    advised = model.request()
    assert advised is not None
    assert (advised.options.rebuild, advised.options.leave_out) == (("by price",), ("damaged",))
    model.toggle(toggled)
    without = model.request()
    assert without is not None
    assert toggled not in without.operations
    assert without.options.rebuild == (() if toggled is Operation.REINDEX else ("by price",))
    assert without.options.leave_out == (() if toggled is Operation.ANALYZE else ("damaged",))
    model.toggle(toggled)
    again = model.request()
    assert again is not None
    if toggled is Operation.CHECK:  # who asks for a check himself gets a full one
        assert again.options.check is None
        again = replace(again, options=replace(again.options, check=CheckLevel.QUICK))
    assert {*again.operations} == {*advised.operations}
    assert again.options == advised.options


def test_what_is_chosen_besides_does_not_widen_nor_narrow_the_rebuild(model: TargetModel) -> None:
    model.set_info(0, info(Operation.REINDEX, *OPERATIONS))
    model.set_advice(0, (replace(advice(Operation.REINDEX)[0], objects=("by price",)),))
    model.toggle(Operation.ANALYZE)
    request = model.request()
    assert request is not None
    assert {*request.operations} == {Operation.REINDEX, Operation.ANALYZE}
    assert (request.options.objects, request.options.rebuild) == ((), ("by price",))


def test_one_that_was_available_is_known_to_have_gone(model: TargetModel) -> None:
    model.add(TargetEntry(name="d", url="d.db"))
    for number in (0, 3, 0):
        model.set_error(number, TargetUnavailableError("x", "gone"))
    assert [model.states[n].last_info is not None for n in (0, 3)] == [True, False]
