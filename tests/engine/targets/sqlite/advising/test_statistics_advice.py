"""When new statistics are advised: at each threshold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.advice import Level
from engine.domain.requests import Operation
from engine.targets.sqlite.advising.condition import Condition, Statistics
from engine.targets.sqlite.advising.statistics_advice import change, statistics_advice
from engine.targets.sqlite.advising.thresholds import MB


def condition(*statistics: Statistics, size: int = 10 * MB) -> Condition:
    return Condition(
        pages=size // 1000, page_size=1000, statistics=statistics, indexes=frozenset({"by_day"} if statistics else ())
    )


def orders(known: int | None, rows: int | None, *missing: str) -> Statistics:
    unseen = known is not None and rows is None
    return Statistics(table="orders", known_rows=known, rows=rows, missing=missing, unseen=unseen)


@pytest.mark.parametrize(
    ("known", "rows", "level"),
    [
        (1000, 1999, Level.NONE),
        (1000, 2000, Level.SOON),
        (1000, 9999, Level.SOON),
        (1000, 10_000, Level.NOW),
        (4000, 2001, Level.NONE),
        (4000, 2000, Level.SOON),
        (40_000, 4001, Level.SOON),
        (40_000, 4000, Level.NOW),
        (1000, 0, Level.NOW),
        (0, 1000, Level.NOW),
        (1, 999, Level.NONE),  # too small to matter
        (1000, None, Level.UNKNOWN),
    ],
)
def test_stale_statistics(known: int, rows: int | None, level: Level) -> None:
    analyze, optimize = statistics_advice(condition(orders(known, rows)))
    assert analyze.level is level
    assert optimize.level is (Level.UNKNOWN if level is Level.UNKNOWN else Level.NONE)


def test_the_numbers_are_told_of_the_table_that_has_changed_most() -> None:
    users = Statistics(table="users", known_rows=1000, rows=3000)
    analyze, _ = statistics_advice(condition(users, orders(1000, 12_000)))
    assert analyze.reason == "orders has 12,000 rows, its statistics say 1,000, and 1 table more"


@pytest.mark.parametrize(("size", "wanted"), [(100 * MB, Operation.ANALYZE), (100 * MB + 1000, Operation.OPTIMIZE)])
def test_missing_statistics(size: int, wanted: Operation) -> None:
    advice = statistics_advice(condition(orders(None, None, "by_day", "by_user"), size=size))
    (needed,), (other,) = [a for a in advice if a.is_needed], [a for a in advice if not a.is_needed]
    assert (needed.operation, needed.level) == (wanted, Level.SOON)
    assert needed.reason.startswith("2 indexes of ")
    assert other.covered_by is wanted


def test_optimize_alone_would_not_renew_what_is_stale() -> None:
    stale_and_missing = condition(orders(1000, 3000, "new_index"), size=500 * MB)
    analyze, optimize = statistics_advice(stale_and_missing)
    assert (analyze.level, optimize.level) == (Level.SOON, Level.NONE)
    assert "1 index of orders" in analyze.reason
    assert optimize.covered_by is Operation.ANALYZE


def test_what_was_not_counted_is_told() -> None:
    users = Statistics(table="users", known_rows=1000, rows=1000)
    analyze, _ = statistics_advice(condition(users, orders(9_000_000, None)))
    assert analyze.reason == "the statistics fit the rows of 1 table; the rows of 1 table were not counted"
    assert analyze.facts["tables_not_counted"] == 1


def test_a_database_without_an_index_needs_no_statistics() -> None:
    analyze, optimize = statistics_advice(Condition(pages=10, page_size=4096))
    assert analyze.reason == optimize.reason == "there is no index: the query planner has nothing to choose"


counts = st.none() | st.integers(0, 10**7)


@given(st.lists(st.builds(orders, counts, counts)))
def test_never_both_and_only_for_a_reason(statistics: list[Statistics]) -> None:
    analyze, optimize = statistics_advice(condition(*statistics))
    assert not (analyze.is_needed and optimize.is_needed)
    assert analyze.is_needed == any(change(s) >= 2 for s in statistics)
    assert (analyze.level is Level.NOW) == any(change(s) >= 10 for s in statistics)
