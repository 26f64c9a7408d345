from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from engine.targets.sqlite.planning import copy_costs, costs
from engine.targets.sqlite.planning.copy_costs import Content
from engine.targets.sqlite.planning.costs import Cost

MB = 1_000_000
ROWS = Content(size=200 * MB, cells=1_400_000, objects=2)
VALUES = replace(ROWS, cells=2_000, values=195 * MB)
KEYED = replace(ROWS, keyed=200 * MB)
MANY = replace(ROWS, objects=4_000)
ORDERED = replace(
    ROWS,
    keyed=50 * MB,
    parts=(
        Content(size=300 * MB, cells=1_000_000),  # before they are packed
        Content(size=100 * MB, cells=1_000_000, keyed=100 * MB),
    ),
)


def exchange(content: Content) -> Cost:
    return copy_costs.exchange(content, compared=False)


def vacuum(content: Content) -> Cost:
    return copy_costs.vacuum(content, in_memory=True)


def seconds(cost: Cost) -> float:
    assert cost.seconds is not None
    return cost.seconds


def test_what_copies_takes_as_long_as_it_copies_much_and_memory_is_faster() -> None:
    for volume in (0, 10_000, 1 << 40):
        content = Content.usual(volume)
        found = [
            seconds(cost)
            for cost in (
                costs.checkpoint(volume),
                copy_costs.copy(volume),
                copy_costs.vacuum(content, in_memory=True),
                copy_costs.vacuum(content, in_memory=False),
            )
        ]
        assert found[0] > 0
        assert found == sorted(found)


def test_an_exchange_pays_for_large_files_alone() -> None:
    def share(volume: int) -> float:
        content = Content.usual(volume)
        return seconds(exchange(content)) / seconds(vacuum(content))

    assert share(MB) > 5
    assert 0.45 < share(50 * MB) < 1
    assert 0.45 < share(1_500 * MB) < 0.6
    content = Content.usual(MB)
    assert seconds(copy_costs.exchange(content, compared=True)) > seconds(exchange(content))


@pytest.mark.parametrize("cost_of", [exchange, vacuum])
@pytest.mark.parametrize(
    "content", [ROWS, VALUES, KEYED, MANY, ORDERED, Content.usual(0), Content.usual(MB, objects=40)]
)
def test_a_course_goes_on_from_nothing_to_all_of_its_time(cost_of: Callable[[Content], Cost], content: Content) -> None:
    course = cost_of(content).course
    assert sum(course[0]) == 0
    assert all(before <= after for one, other in pairwise(course) for before, after in zip(one, other, strict=True))
    assert course[-1][1] > course[-2][1] > 0
    assert course[-1][0] == pytest.approx(course[-2][0]), "the last part writes nothing"


def test_pages_that_are_balanced_take_longer_to_fill_and_long_values_less() -> None:
    for cost_of in (exchange, vacuum):
        assert copying(cost_of(VALUES)) < copying(cost_of(ROWS)) < copying(cost_of(KEYED))


def copying(cost: Cost) -> float:
    return cost.course[3][1]


@pytest.mark.parametrize("cost_of", [exchange, vacuum])
def test_what_takes_longest_comes_in_its_turn(cost_of: Callable[[Content], Cost]) -> None:
    unordered, course = cost_of(replace(ORDERED, parts=())).course, cost_of(ORDERED).course
    table, index = course[3:5]
    rows_in, all_in = table[0] - ORDERED.empty, index[0] - ORDERED.empty
    assert rows_in / all_in == pytest.approx(0.75)
    assert 0.4 < table[1] / index[1] < 0.7
    assert course[:3] == unordered[:3]
    assert sum(course[4:], ()) == pytest.approx(sum(unordered[3:], ()))


def test_a_copy_of_long_values_is_soon_checked() -> None:
    def after(content: Content) -> float:
        (_, copied), (_, whole) = exchange(content).course[-2:]
        return whole - copied

    assert 1.5 * after(VALUES) < after(ROWS)


def test_of_many_small_tables_creating_them_is_much_of_the_work() -> None:
    small = replace(MANY, size=20 * MB, cells=200_000)
    _, half, created, filled = exchange(small).course[:4]
    assert half[0] == created[0] / 2
    assert half[1] < created[1] / 2, "each one reads all of the schema there is by then"
    assert created[0] == 4_000 * 4096
    assert created[1] > filled[1] / 2
    assert seconds(exchange(replace(small, objects=2))) < seconds(exchange(small)) / 2


def test_of_small_pages_the_same_bytes_take_longer() -> None:
    for cost_of in (exchange, vacuum):
        of_small_pages = seconds(cost_of(replace(ROWS, page_size=1024)))
        assert seconds(cost_of(replace(ROWS, page_size=16_384))) < seconds(cost_of(ROWS)) < of_small_pages
