from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.advice import Advice, Level, highest_level, needed
from engine.domain.requests import CheckLevel, Operation, Options, Request
from tests.building import SQLITE_OPERATIONS

EVERYTHING = Request(target="sales.db", operations=SQLITE_OPERATIONS)


def advice(operation: Operation, level: Level = Level.SOON, **more: object) -> Advice:
    return Advice(operation=operation, level=level, reason="because", **more)  # type: ignore[arg-type]


def test_only_what_is_needed_runs_in_the_order_of_the_advice() -> None:
    given_advice = [
        advice(Operation.REINDEX, Level.NONE),
        advice(Operation.VACUUM),
        advice(Operation.ANALYZE, Level.NOW),
        advice(Operation.CHECK, Level.NONE),
    ]
    request = needed(EVERYTHING, given_advice)
    assert request is not None
    assert request.operations == (Operation.VACUUM, Operation.ANALYZE)
    assert request.target == EVERYTHING.target
    assert request.options == EVERYTHING.options


def test_nothing_is_needed() -> None:
    assert needed(EVERYTHING, [advice(Operation.VACUUM, Level.NONE)]) is None
    assert needed(EVERYTHING, []) is None


def test_what_was_not_asked_for_does_not_run_however_needed() -> None:
    request = Request(target="sales.db", operations=(Operation.ANALYZE,))
    assert needed(request, [advice(Operation.VACUUM, Level.NOW)]) is None


def test_what_another_operation_covers_runs_where_that_one_does_not() -> None:
    given_advice = [
        advice(Operation.VACUUM),
        advice(Operation.CHECKPOINT, Level.NONE, covered_by=Operation.VACUUM),
    ]
    both = needed(EVERYTHING, given_advice)
    assert both is not None
    assert both.operations == (Operation.VACUUM,)
    alone = needed(Request(target="sales.db", operations=(Operation.CHECKPOINT,)), given_advice)
    assert alone is not None
    assert alone.operations == (Operation.CHECKPOINT,)


def test_only_damaged_indexes_are_rebuilt_and_only_their_tables_checked() -> None:
    given_advice = [
        advice(Operation.REINDEX, Level.NOW, objects=("by price",)),
        advice(Operation.CHECK, check=CheckLevel.FULL),
    ]
    request = needed(EVERYTHING, given_advice)
    assert request is not None
    assert request.options.objects == ("by price",)
    assert request.options.check is CheckLevel.FULL


@pytest.mark.parametrize("other", [Operation.VACUUM, Operation.ANALYZE, Operation.FTS_OPTIMIZE])
def test_only_damaged_indexes_are_rebuilt_where_others_are_for_the_whole_database(other: Operation) -> None:
    given_advice = [advice(Operation.REINDEX, Level.NOW, objects=("by price",)), advice(other)]
    request = needed(EVERYTHING, given_advice)
    assert request is not None
    assert request.operations == (Operation.REINDEX, other)
    assert (request.options.objects, request.options.rebuild) == ((), ("by price",))
    assert request.options.objects_for(Operation.REINDEX) == ("by price",)
    assert request.options.objects_for(other) == ()


def test_options_that_were_asked_for_stay() -> None:
    options = Options(objects=("orders",), check=CheckLevel.FULL, lock_timeout=9.0)
    request = Request(target="sales.db", operations=SQLITE_OPERATIONS, options=options)
    given_advice = [
        advice(Operation.REINDEX, Level.NOW, objects=("by price",)),
        advice(Operation.CHECK, check=CheckLevel.QUICK),
    ]
    narrowed = needed(request, given_advice)
    assert narrowed is not None
    assert narrowed.options == options


def test_a_check_that_is_due_is_not_repeated_where_checks_were_asked_for_anyway() -> None:
    request = Request(target="sales.db", operations=SQLITE_OPERATIONS, options=Options(verify=True))
    check = advice(Operation.CHECK, check=CheckLevel.FULL)
    both = needed(request, [advice(Operation.VACUUM), check])
    assert both is not None
    assert both.children == (Operation.CHECK, Operation.VACUUM, Operation.CHECK)
    assert both.options.check_level is CheckLevel.FULL
    alone = needed(request, [check])
    assert alone is not None
    assert alone.children == (Operation.CHECK,)


@given(st.lists(st.sampled_from(Level)))
def test_the_worst_level_is_that_of_the_most_urgent(levels: list[Level]) -> None:
    found = highest_level([advice(Operation.VACUUM, level) for level in levels])
    order = [Level.NOW, Level.SOON, Level.UNKNOWN, Level.UNCHECKED, Level.SMALL, Level.NONE]
    assert found is min(levels, key=order.index, default=Level.NONE)
