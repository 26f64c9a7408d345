"""Every operation on real files, from plan to effect."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import TargetError, TargetRefusedError
from engine.jobs import Operation, Status
from engine.targets import resolve
from engine.targets.base import PlannedStep, StepResult
from tests.sqlite_files import (
    AUTOMATIC_INDEX,
    HOSTILE_INDEX_NAMES,
    add_index_that_cannot_be_rebuilt,
    content,
    files_beside,
    integrity,
    make_database,
    remove_index_entries,
    rename_in_schema,
    set_schema_sql,
    transaction,
)

ALL_INDEXES = {*HOSTILE_INDEX_NAMES, AUTOMATIC_INDEX}


async def run(path: Path, operation: Operation, lock_timeout: float = 5) -> dict[str, StepResult]:
    """Plan and execute as a worker does; the results by command."""
    async with resolve(str(path)).connect(lock_timeout=lock_timeout) as session:
        cancel = asyncio.Event()
        return {s.command: await session.execute(s, cancel) for s in await session.plan(operation)}


async def plan(path: Path, operation: Operation) -> tuple[PlannedStep, ...]:
    async with resolve(str(path)).connect(lock_timeout=1) as session:
        return await session.plan(operation)


def statuses(results: dict[str, StepResult]) -> set[Status]:
    return {result.status for result in results.values()}


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("journal_mode", ["delete", "truncate", "wal"])
async def test_every_operation_completes_and_leaves_the_content_alone(
    tmp_path: Path, operation: Operation, journal_mode: str
) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode)
    before = content(path)
    assert statuses(await run(path, operation)) == {Status.COMPLETED}
    assert content(path) == before
    assert integrity(path) == []
    assert files_beside(path) == {"a.db"}


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_vacuum_shrinks_the_file_and_the_facts_say_so(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode)
    size_before = path.stat().st_size
    async with resolve(str(path)).connect(lock_timeout=1) as session:
        before = await session.facts()
        results = [await session.execute(s, asyncio.Event()) for s in await session.plan(Operation.VACUUM)]
        after = await session.facts()
        on_disk = path.stat().st_size
    assert [r.status for r in results] == [Status.COMPLETED] * (2 if journal_mode == "wal" else 1)
    assert before["size"] == size_before
    assert after["size"] == on_disk < size_before
    assert after["free_pages"] == 0 != before["free_pages"]
    assert after["wal_size"] == 0
    assert (after["tables"], after["indexes"]) == (before["tables"], before["indexes"]) == (8, len(ALL_INDEXES))
    assert after["journal_mode"] == journal_mode


async def test_vacuum_says_what_it_needs_and_why(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    (step,) = await plan(path, Operation.VACUUM)
    assert step.command == "VACUUM"
    assert "of the pages are free (" in step.reason
    assert step.lock == "blocks everyone"
    assert step.disk_needed is not None
    assert 0 < step.disk_needed < 2 * path.stat().st_size


async def test_vacuum_in_wal_mode_reads_what_its_checkpoint_answers(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", journal_mode="wal")
    size = path.stat().st_size
    with transaction(path, "DEFERRED"):
        vacuum, checkpoint = (await run(path, Operation.VACUUM, lock_timeout=0.05)).values()
        assert vacuum.status is Status.COMPLETED
        assert checkpoint.status is Status.SKIPPED
        assert "frames" in str(checkpoint.error)
        assert "shrinks only when" in str(checkpoint.warning)
        assert path.stat().st_size == size
    assert (await run(path, Operation.VACUUM))["VACUUM"].status is Status.COMPLETED
    assert path.stat().st_size < size


async def test_vacuum_is_refused_where_it_would_drop_a_table(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "group", 'create TABLE "group"(id INTEGER PRIMARY KEY, name TEXT)')
    with pytest.raises(TargetRefusedError, match="would silently drop 'group'"):
        await plan(path, Operation.VACUUM)


async def test_analyze_has_a_step_per_ordinary_table(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    steps = await plan(path, Operation.ANALYZE)
    shadow_tables = {f"search_{suffix}" for suffix in ("data", "idx", "content", "docsize", "config")}
    assert {s.object for s in steps} == {"item", "group"} | shadow_tables
    assert 'ANALYZE main."group"' in {s.command for s in steps}
    assert next(s.reason for s in steps if s.object == "item") == "6 indexes, no statistics yet"
    await run(path, Operation.ANALYZE)
    with closing(sqlite3.connect(path)) as db:
        known = {name for (name,) in db.execute("SELECT idx FROM sqlite_stat1 WHERE tbl = 'item'")}
    assert known == {*HOSTILE_INDEX_NAMES, AUTOMATIC_INDEX}
    reasons = {s.object: s.reason for s in await plan(path, Operation.ANALYZE)}
    assert reasons["item"] == "6 indexes, statistics from when it had 1,000 rows"


async def test_optimize_collects_missing_statistics(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    (step,) = await plan(path, Operation.OPTIMIZE)
    assert (step.object, step.command) == ("main", "PRAGMA optimize=0x10012")
    assert step.reason.startswith("7 of 7 tables without statistics")
    await run(path, Operation.OPTIMIZE)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'item'").fetchone() == (6,)


@pytest.mark.parametrize("operation", list(Operation))
async def test_a_database_without_tables_has_one_step_that_completes(tmp_path: Path, operation: Operation) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("CREATE TABLE t(a); DROP TABLE t")
    assert [r.status for r in (await run(path, operation)).values()] == [Status.COMPLETED]


@pytest.mark.parametrize("index", [*HOSTILE_INDEX_NAMES, AUTOMATIC_INDEX])
async def test_r10_every_index_is_really_rebuilt_whatever_its_name(tmp_path: Path, index: str) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    before = content(path)
    remove_index_entries(path, index)
    assert any(f"missing from index {index}" in line for line in integrity(path))
    results = await run(path, Operation.REINDEX)
    assert statuses(results) == {Status.COMPLETED}
    assert integrity(path) == []
    assert content(path) == before


async def test_r10_reindex_has_a_step_per_index_and_quotes_each(tmp_path: Path) -> None:
    steps = await plan(make_database(tmp_path / "a.db", rows=20), Operation.REINDEX)
    assert {s.object for s in steps} == ALL_INDEXES
    commands = {s.object: s.command for s in steps}
    assert commands["order"] == 'REINDEX main."order"'
    assert commands['a"b'] == 'REINDEX main."a""b"'
    reasons = {s.object: s.reason for s in steps}
    assert reasons["order"] == "index of table item"
    assert reasons[AUTOMATIC_INDEX] == "PRIMARY KEY or UNIQUE of table item"


async def test_r10_an_index_with_the_name_of_a_collation_is_rebuilt(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE INDEX "nocase" ON item(price)')
    remove_index_entries(path, "nocase")
    await run(path, Operation.REINDEX)
    assert integrity(path) == []


async def test_r9_one_index_fails_alone_and_the_others_are_rebuilt(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    add_index_that_cannot_be_rebuilt(path, "broken")
    remove_index_entries(path, "order")
    results = await run(path, Operation.REINDEX)
    broken = results.pop('REINDEX main."broken"')
    assert broken.status is Status.FAILED
    assert not broken.busy
    assert "must be unique (UNIQUE constraint failed: item.note)" in str(broken.error)
    assert statuses(results) == {Status.COMPLETED}
    assert not any("missing from index order" in line for line in integrity(path))


async def test_r9_a_missing_collation_fails_its_index_and_no_other(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_collation("german", lambda a, b: (a > b) - (a < b))
        db.execute("CREATE INDEX named ON item(note COLLATE german)")
    results = await run(path, Operation.REINDEX)
    named = results.pop('REINDEX main."named"')
    assert named.status is Status.FAILED
    assert "no such collation sequence: german" in str(named.error)
    assert statuses(results) == {Status.COMPLETED}


@pytest.mark.parametrize("operation", list(Operation))
async def test_a_locked_database_fails_the_step_as_busy(tmp_path: Path, operation: Operation) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with transaction(path, "IMMEDIATE"):
        results = await run(path, operation, lock_timeout=0.05)
    assert statuses(results) == {Status.FAILED}
    for result in results.values():
        assert result.busy
        assert "the lock could not be had in 0.05 s" in str(result.error)
    assert statuses(await run(path, operation)) == {Status.COMPLETED}


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.REINDEX])
async def test_a_reader_outside_wal_mode_is_found_before_any_work(tmp_path: Path, operation: Operation) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    async with resolve(str(path)).connect(lock_timeout=0.05) as session:
        step = (await session.plan(operation))[0]
        with transaction(path, "DEFERRED") as reader:
            assert (await session.execute(step, asyncio.Event())).busy
            reader.execute("COMMIT")
            assert (await session.execute(step, asyncio.Event())).status is Status.COMPLETED


async def test_a_name_that_is_no_utf8_is_an_error_in_words(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "my-index", b"CREATE INDEX [my\xffindex] ON item(price)")
        rename_in_schema(db, "my-index", b"my\xffindex")
    with pytest.raises(TargetError, match="Could not decode to UTF-8"):
        await plan(path, Operation.REINDEX)
    assert statuses(await run(path, Operation.VACUUM)) == {Status.COMPLETED}


def overwrite_at_random(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with path.open("r+b") as file:
        for _ in range(chance.randint(1, 8)):
            file.seek(chance.randrange(0 if seed % 4 == 0 else 100, path.stat().st_size - 600))
            file.write(chance.randbytes(chance.choice((1, 4, 600))))
    if seed % 5 == 0:
        os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_the_damage_everything_ends_in_words(tmp_path: Path, seed: int) -> None:
    path = make_database(tmp_path / "a.db", rows=100, journal_mode=("delete", "wal")[seed % 2])
    overwrite_at_random(path, seed)
    for operation in Operation:
        with contextlib.suppress(TargetError):
            await resolve(str(path)).preflight(lock_timeout=0)
            for result in (await run(path, operation, lock_timeout=0)).values():
                assert (result.status is Status.FAILED) == bool(result.error)
