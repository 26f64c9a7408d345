"""The condition of real databases; an advised operation removes the reason for the advice."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiosqlite
import pytest

from engine.domain.advice import Level, TargetHistory
from engine.domain.requests import Operation
from engine.system.sqlite_threads import in_its_thread
from engine.targets import resolve
from engine.targets.sqlite.advising.advice import advise
from engine.targets.sqlite.advising.collect import QueryBudget, survey
from engine.targets.sqlite.advising.condition import Condition, Statistics
from engine.targets.sqlite.advising.space_advice import waste_of
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.names import connection_uri, quote
from engine.targets.sqlite.connection.statement import LockWait
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.catalog import Summary
from engine.targets.sqlite.reading.shape import read_tables
from engine.targets.sqlite.session import SqliteSession
from tests.sqlite_files import HOSTILE_INDEX_NAMES, content, files_beside, make_database, transaction

LOCK_TIMEOUT = 1.0


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    connection = await statement.open_connection(connection_uri(str(path)), LockWait(LOCK_TIMEOUT))
    try:
        yield connection
    finally:
        await statement.close(connection)


async def summary_of(path: Path) -> Summary:
    async with resolve(str(path)).connect(lock_timeout=LOCK_TIMEOUT, planning=True) as session:
        assert isinstance(session, SqliteSession)
        return await session._reader.summary()


async def condition_of(path: Path, budget: float | None = None) -> Condition:
    summary = await summary_of(path)
    async with opened(path) as connection:
        tables = await in_its_thread(connection, lambda db: read_tables(lambda sql: db.execute(sql).fetchall()))
        return await survey(
            connection, str(path), budget=budget, wait=LockWait(LOCK_TIMEOUT), summary=summary, tables=tables
        )


async def test_a_survey_leaves_the_cache_of_the_connection_as_it_was(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    summary = await summary_of(path)
    async with opened(path) as connection:
        await statement.short(connection, "PRAGMA main.cache_size = -4321")
        await survey(connection, str(path), budget=None, wait=LockWait(LOCK_TIMEOUT), summary=summary, tables=[])
        assert await statement.short(connection, "PRAGMA main.cache_size") == [(-4321,)]


def known_of(condition: Condition) -> dict[str, Statistics]:
    return {one.table: one for one in condition.statistics}


def needed_for(condition: Condition) -> set[Operation]:
    """What is advised, checks apart."""
    return {one.operation for one in advise(condition, TargetHistory(now=0)) if one.is_needed} - {Operation.CHECK}


def execute(path: Path, *commands: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for command in commands:
            db.execute(command)


def numbers(last: int) -> str:
    """The beginning of a command that reads the numbers from 1 on as `n(i)`."""
    return f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db")


async def test_the_whole_condition(database: Path) -> None:
    condition = await condition_of(database)
    with closing(sqlite3.connect(database)) as db:
        ((pages,),), ((free,),) = (db.execute(f"PRAGMA {name}").fetchall() for name in ("page_count", "freelist_count"))
        ((unused,),) = db.execute("SELECT sum(unused) FROM dbstat WHERE pagetype = 'leaf'")
    assert (condition.pages, condition.free_pages, condition.page_size) == (pages, free, 4096)
    assert condition.leaves is not None
    assert sum(leaves.unused for leaves in condition.leaves) == unused
    assert condition.segments == {"search": 1}
    assert not condition.is_wal
    assert not condition.gives_pages_back
    assert set(known_of(condition)["item"].missing) >= set(HOSTILE_INDEX_NAMES)


async def test_a_look_changes_nothing_and_leaves_nothing(database: Path) -> None:
    before, size, modified = content(database), database.stat().st_size, database.stat().st_mtime_ns
    await condition_of(database)
    assert content(database) == before
    assert (database.stat().st_size, database.stat().st_mtime_ns) == (size, modified)
    assert files_beside(database) == {"sales.db"}


async def test_without_time_nothing_is_taken_for_well(tmp_path: Path) -> None:
    path = make_database(tmp_path / "big.db", rows=30_000)
    execute(path, "CREATE TABLE other(a)", "CREATE INDEX by_a ON other(a)", "ANALYZE item")
    unseen = {one.operation: one for one in advise(await condition_of(path, budget=0), TargetHistory(now=0))}
    assert {unseen[operation].level for operation in (Operation.ANALYZE, Operation.OPTIMIZE)} == {Level.UNKNOWN}
    assert " 2 tables " in unseen[Operation.ANALYZE].reason


async def test_with_a_database_that_was_copied_sideways(tmp_path: Path) -> None:
    path = tmp_path / "wal.db"
    make_database(path, journal_mode="wal")
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE item SET price = price + 1")
        other.commit()
        condition = await condition_of(path)
        assert condition.is_wal
        assert condition.wal_size == (tmp_path / "wal.db-wal").stat().st_size > 0


# What is advised mends what it was advised for


async def test_statistics_that_analyze_collected_are_in_order(database: Path) -> None:
    assert Operation.ANALYZE in needed_for(await condition_of(database))
    execute(database, "ANALYZE")
    condition = await condition_of(database)
    assert needed_for(condition) == set()
    assert known_of(condition)["item"].rows == known_of(condition)["item"].known_rows == 1000


async def test_statistics_that_optimize_sampled_are_in_order(database: Path) -> None:
    execute(database, "PRAGMA optimize = 0x10012")
    assert needed_for(await condition_of(database)) == set()


async def test_analyze_has_done_its_best_with_an_index_that_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "partial.db"
    execute(
        path,
        "CREATE TABLE t(a, b)",
        "CREATE INDEX i ON t(a) WHERE a < 0",
        f"{numbers(3000)} INSERT INTO t SELECT i, i FROM n",
    )
    assert known_of(await condition_of(path))["t"].missing == ("i",)
    execute(path, "ANALYZE", "DELETE FROM sqlite_stat1 WHERE idx = 'i'")
    assert needed_for(await condition_of(path)) == set()


async def test_a_table_without_rowids(tmp_path: Path) -> None:
    path = tmp_path / "without.db"
    execute(
        path,
        "CREATE TABLE t(key TEXT PRIMARY KEY, value) WITHOUT ROWID",
        "CREATE INDEX by_value ON t(value)",
        f"{numbers(2000)} INSERT INTO t SELECT i, i FROM n",
    )
    assert known_of(await condition_of(path))["t"].missing == ("by_value",)
    execute(path, "ANALYZE", "DELETE FROM t WHERE value > 150")
    statistics = known_of(await condition_of(path))["t"]
    assert (statistics.known_rows, statistics.rows, statistics.missing) == (2000, 150, ())
    assert Operation.ANALYZE in needed_for(await condition_of(path))


async def test_a_small_table_needs_no_statistics(tmp_path: Path) -> None:
    path = make_database(tmp_path / "small.db", rows=1998)  # half of them are deleted
    assert known_of(await condition_of(path))["item"].missing == ()
    assert needed_for(await condition_of(path)) == set()


@pytest.mark.parametrize("length", [100, 1500, 2100, 2500, 3900, 6000])
async def test_after_a_vacuum_nothing_more_can_be_packed(tmp_path: Path, length: int) -> None:
    """However badly the rows fit into pages: else VACUUM would be advised for ever."""
    path = tmp_path / "rows.db"
    execute(
        path,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)",
        f"{numbers(1500)} INSERT INTO t SELECT i, substr(hex(zeroblob({length})), 1, {length}) FROM n",
        "DELETE FROM t WHERE id % 3 > 0",
        "VACUUM",
    )
    condition = await condition_of(path)
    assert condition.free_pages == 0
    assert waste_of(condition).total == 0


async def test_what_a_vacuum_brings_is_foreseen_where_every_other_row_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    execute(
        path,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)",
        f"{numbers(20000)} INSERT INTO t SELECT i, hex(randomblob(60)) FROM n",
        "DELETE FROM t WHERE id % 2 = 0",
    )
    before = await condition_of(path)
    execute(path, "VACUUM")
    brought = before.size - (await condition_of(path)).size
    waste = waste_of(before)
    assert before.free < 0.05 * before.size
    assert brought == pytest.approx(waste.total, rel=0.05)


async def test_what_is_said_to_be_wasted_comes_back_near_the_threshold(tmp_path: Path) -> None:
    """Rows of all sizes, an index in random order, three rows of ten gone from everywhere."""
    path = tmp_path / "events.db"
    execute(
        path,
        "CREATE TABLE event(id INTEGER PRIMARY KEY, kind INTEGER, body BLOB)",
        "CREATE INDEX by_kind ON event(kind)",
        f"{numbers(20_000)} INSERT INTO event SELECT i, i * 7919 % 20011, zeroblob(20 + i * 104729 % 677) FROM n",
        "DELETE FROM event WHERE id * 31 % 10 < 3",
    )
    before = await condition_of(path)
    execute(path, "VACUUM")
    came_back = 1 - (await condition_of(path)).size / before.size
    assert waste_of(before).total / before.size == pytest.approx(came_back, abs=0.02)


async def test_an_index_that_is_filled_in_random_order_is_no_waste(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    execute(
        path,
        "CREATE TABLE key(id TEXT PRIMARY KEY) WITHOUT ROWID",
        f"{numbers(50_000)} INSERT INTO key SELECT hex(randomblob(16)) FROM n",
    )
    condition = await condition_of(path)
    assert waste_of(condition).total < 0.2 * condition.size


# Full-text indexes


async def test_segments_of_full_text_indexes(tmp_path: Path) -> None:
    path = tmp_path / "fts.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("""CREATE VIRTUAL TABLE "odd ""name" USING fts5(words)""")
        db.execute("""INSERT INTO "odd ""name"("odd ""name", rank) VALUES ('automerge', 0)""")
        for number in range(11):
            db.execute("""INSERT INTO "odd ""name" VALUES (?)""", (f"word{number}",))
        ((segments,),) = db.execute("""SELECT count(DISTINCT segid) FROM "odd ""name_idx" """)
    assert segments > 8
    condition = await condition_of(path)
    assert condition.segments == {'odd "name': segments}
    assert Operation.FTS_OPTIMIZE in needed_for(condition)
    execute(path, """INSERT INTO "odd ""name"("odd ""name") VALUES ('optimize')""")
    assert needed_for(await condition_of(path)) == set()


async def test_a_full_text_index_without_its_tables_is_left_out(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    execute(path, "PRAGMA writable_schema = ON", "DELETE FROM sqlite_schema WHERE name = 'search_idx'")
    assert (await condition_of(path)).segments == {}


# What is dear, and what is in the way


async def test_without_time_for_what_is_dear_the_rest_is_known(database: Path) -> None:
    execute(database, "ANALYZE")
    condition = await condition_of(database, budget=0)
    assert condition.free_pages > 0
    assert condition.leaves is None
    assert condition.unseen.endswith("too long")
    assert known_of(condition)["item"].rows is None


async def test_pages_that_are_too_many_for_the_time(tmp_path: Path) -> None:
    path = tmp_path / "big.db"
    execute(path, "CREATE TABLE t(body)", "INSERT INTO t VALUES (zeroblob(100000000))")
    condition = await condition_of(path, budget=0.01)
    assert condition.leaves is None
    assert condition.unseen.endswith("too long")


async def test_what_would_never_end_is_cut_when_its_time_is_over(database: Path) -> None:
    async with opened(database) as connection:
        dear = QueryBudget(connection, 0.05)
        assert (
            await dear.rows("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
            is None
        )
        assert await dear.rows("SELECT 1") is None
        assert await QueryBudget(connection, None).rows("SELECT 1") == [(1,)]


async def test_a_database_that_somebody_has_locked_is_not_waited_for_long(database: Path) -> None:
    summary = await summary_of(database)
    async with opened(database) as connection:
        with transaction(database, "EXCLUSIVE"), pytest.raises(sqlite3.OperationalError, match="locked"):
            await survey(connection, str(database), budget=None, wait=LockWait(0), summary=summary, tables=())


async def test_the_summary_is_read_once_for_the_facts_and_the_advice(database: Path) -> None:
    async with resolve(str(database)).connect(lock_timeout=LOCK_TIMEOUT, planning=True) as session:
        assert isinstance(session, SqliteSession)
        run: list[str] = []
        await session._reader.connection.set_trace_callback(run.append)
        await session.info()
        await session.advise(TargetHistory(now=0), budget=None)
    assert run.count(catalog.SUMMARY[0]) == 1


async def test_a_page_that_cannot_be_read_leaves_the_rest_known(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'group'")
        ((size,),) = db.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    condition = await condition_of(path)
    assert condition.free_pages > 0
    assert known_of(condition)["item"].missing


async def test_names_that_need_quotes(tmp_path: Path) -> None:
    path = tmp_path / "names.db"
    name = 'a"b c'
    execute(
        path,
        f"CREATE TABLE {quote(name)}(x)",
        f"CREATE INDEX {quote('index')} ON {quote(name)}(x)",
        f"{numbers(1000)} INSERT INTO {quote(name)} SELECT i FROM n",
    )
    assert known_of(await condition_of(path))[name].missing == ("index",)
