"""Estimates of dead space: by numbers, and against the effect of a rewrite."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.domain.advice import TargetHistory
from engine.targets.postgres.advising import findings
from engine.targets.postgres.advising.bloat import (
    gist_share,
    table_share,
    tree_share,
    tree_share_if_correlated,
    values_bytes,
)
from engine.targets.postgres.advising.collect import collect_condition
from engine.targets.postgres.advising.page_contents import Rows, chunk_bytes
from engine.targets.postgres.reading.pages import ITEM_POINTER, PAGE, PAGE_HEADER, Page
from engine.targets.postgres.reading.shapes import IndexShape, TableShape, TreeShape
from tests.engine.targets.server_session import connected
from tests.postgres_databases import Database, as_admin

FULL_TREE = TreeShape(1, 2745, 1_000_000, [4], [4], [0], 1_000_000, 0.9, False, True)


def test_a_tree_that_is_as_small_as_it_can_be_has_no_dead_space() -> None:
    assert tree_share(FULL_TREE) == pytest.approx(0, abs=0.02)


def test_trap_a_tree_with_many_equal_keys_is_known_to_be_small() -> None:
    """Without deduplication it would be taken for one that is far too small."""
    few = TreeShape(1, 1700, 1_000_000, [4], [4], [0], 10, 0.9, True, True)
    assert tree_share(few) == pytest.approx(0.5, abs=0.05)


def test_a_tree_whose_columns_may_depend_on_each_other_may_have_more_dead_space() -> None:
    tree = TreeShape(1, 2745, 1_000_000, [4, 4], [4, 4], [0, 0], 1_000_000, 0.9, True, True, distinct_at_least=20_000)
    assert tree_share(tree) == pytest.approx(0, abs=0.02)
    assert tree_share_if_correlated(tree) == pytest.approx(0.7, abs=0.1)


def test_nothing_is_said_of_a_tree_without_statistics() -> None:
    assert tree_share(TreeShape(1, 9000, 1000, [4], [4], [0], 10, 0.9, True, False)) is None


def test_a_share_is_never_below_nothing() -> None:
    assert table_share(TableShape(1, 10, 1_000_000, 1, 1.0, [100], [1], [0])) == 0
    assert tree_share(TreeShape(1, 10, 1_000_000, [4], [4], [0], 1_000_000, 0.9, False, True)) == 0


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([(1, 1, 0), (8, 8, 0), (1, 1, 0), (8, 8, 0)], 32),
        ([(4, 4, 0), (33, 1, 0), (4, 4, 0)], 48),
        ([(4, 4, 0.5), (8, 8, 0)], 12),
        ([(4, 4, 0.5), (4, 4, 0.5), (8, 8, 0)], 14),
        ([(10, 1, 1), (4, 4, 0)], 8),
    ],
)
def test_the_padding_between_columns_counts(columns: Sequence[tuple[float, int, float]], expected: float) -> None:
    assert values_bytes(*zip(*columns, strict=True)) == expected


def test_a_table_whose_columns_need_padding_is_not_taken_for_bloated() -> None:
    assert table_share(TableShape(1, 1000, 136_000, 4, 1.0, [1, 8, 1, 8], [1, 8, 1, 8], [0, 0, 0, 0])) == 0


def test_rows_without_any_value_take_next_to_nothing_in_an_index_of_several_columns() -> None:
    tree = TreeShape(1, 4200, 1_000_000, [33, 33], [1, 1], [0.9, 0.9], 1_000_000, 0.9, True, True)
    assert tree_share(tree) == pytest.approx(0.5, abs=0.03)


def test_a_rewrite_of_toast_never_goes_back_to_an_earlier_page() -> None:
    sizes = [3000, 3000, 3000, 1500, 1500]
    assert chunk_bytes([page_of(sizes[:2]), page_of(sizes[2:])]) == pytest.approx((8168 + 6020) / 5)


def test_gist_that_sorts_is_packed_before_postgresql_15() -> None:
    index, rows = IndexShape(1, "gist", "point_ops", True, 1000, 100_000), Rows(100, 4800, 100, 48)
    assert gist_share(index, rows) == pytest.approx(0.12, abs=0.01)
    assert gist_share(replace(index, is_packed=True), rows) == pytest.approx(0.34, abs=0.01)


def page_of(sizes: Sequence[int]) -> Page:
    """A page with items of so many bytes."""
    ends = list(itertools.accumulate(sizes))
    pointers = [PAGE - end | 1 << 15 | size << 17 for end, size in zip(ends, sizes, strict=True)]
    lower = PAGE_HEADER + ITEM_POINTER * len(sizes)
    header = struct.pack("<12xHHHH4x", lower, PAGE - ends[-1], PAGE, PAGE | 4)
    page = Page.of(header + struct.pack(f"<{len(sizes)}I", *pointers), bytes(ends[-1]))
    assert page is not None
    return page


async def test_estimates_come_close_to_what_a_rewrite_gives_back(database: Database) -> None:
    database(
        "CREATE TABLE item (id int PRIMARY KEY, kind int, name text, gone int)",
        "INSERT INTO item SELECT g, g % 50, 'name ' || g, NULLIF(g % 2, 0) FROM generate_series(1, 300000) AS g",
        "CREATE INDEX item_kind ON item (kind)",
        "CREATE INDEX item_name ON item (name)",
        "CREATE INDEX item_gone ON item (gone)",
        "DELETE FROM item WHERE id % 3 <> 0",
        "VACUUM ANALYZE item",
    )
    async with connected(database.url) as session:
        condition = await collect_condition(session._reader)
    query = "SELECT oid::int8, relname::text, relpages::float8 FROM pg_class WHERE relname ~ '^item' ORDER BY 2"
    before = {name: (oid, pages) for oid, name, pages in database(query)}
    database("VACUUM FULL item")
    for _, name, pages in database(query):
        oid, pages_before = before[name]
        real = 1 - pages / pages_before
        assert condition.bloat[oid].share == pytest.approx(real, abs=0.12), (name, real)


async def test_a_partial_index_that_lost_its_rows_is_to_be_rebuilt_and_one_with_few_rows_is_not(
    database: Database,
) -> None:
    database(
        "CREATE TABLE job (id int, state text, closed int)",
        "INSERT INTO job SELECT g, CASE WHEN g % 2 = 0 THEN 'open' ELSE 'done' END, CASE WHEN g % 10 = 0 THEN g END"
        " FROM generate_series(1, 1000000) AS g",
        "CREATE INDEX job_open ON job (id) WHERE state = 'open'",
        "ALTER TABLE job SET (autovacuum_enabled = off)",
        "UPDATE job SET state = 'done' WHERE state = 'open' AND id > 1000",
        "VACUUM job",
        "ALTER TABLE job ADD PRIMARY KEY (id)",
        "CREATE INDEX job_closed ON job (closed) WHERE closed IS NOT NULL",
        "VACUUM ANALYZE job",
    )
    async with connected(database.url) as session:
        condition = await collect_condition(session._reader)
    needs = findings.needs(condition, TargetHistory(now=0))
    names = {index.oid: index.name for index in condition.indexes}
    assert [names[oid] for oid in needs.reindex] == ["job_open"]


async def test_rows_that_one_session_deleted_and_removed_at_once_are_no_dead_ones(database: Database) -> None:
    database(
        "CREATE TABLE item (id int)",
        "ALTER TABLE item SET (autovacuum_enabled = off)",
        "INSERT INTO item SELECT generate_series(1, 300000)",
        "VACUUM ANALYZE item",
    )
    with as_admin(database.url) as other:  # it tells the server of its deletes when it ends
        other.execute("DELETE FROM item WHERE id > 100000")
        other.execute("VACUUM item")
        other.execute("CREATE INDEX item_id ON item (id)")
    async with connected(database.url) as session:
        condition = await collect_condition(session._reader)
    assert condition.bloat[database.value("SELECT 'item_id'::regclass::oid::int8")].share < 0.1


async def test_who_may_not_read_pg_statistic_gets_the_same_estimates(database: Database) -> None:
    database(
        "CREATE ROLE joe LOGIN",
        "CREATE TABLE item (id int PRIMARY KEY, name text)",
        "INSERT INTO item SELECT g, 'name ' || g FROM generate_series(1, 80000) AS g",
        "GRANT SELECT ON item TO joe",
        "ANALYZE item",
    )
    found = []
    for url in (database.url, database.as_user("joe")):
        async with connected(url) as session:
            condition = await collect_condition(session._reader)
            found.append([condition.bloat[oid] for (oid,) in database("SELECT 'item_pkey'::regclass::oid::int8")])
    assert found[0] == found[1]
