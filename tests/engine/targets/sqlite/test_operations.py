"""Every operation on real files, from plan to effect."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.errors import TargetError, UsageError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets import resolve
from engine.targets.lock_impact import LockImpact
from engine.targets.plans import Verdict
from engine.targets.sqlite.target import SqliteTarget
from engine.targets.step_execution import StepContext
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.a_session import execute, plan, run, statuses
from tests.engine.targets.sqlite.another_process import another_process
from tests.engine.targets.stepwise import stepwise
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


@pytest.mark.parametrize("operation", SqliteTarget("/a.db").operations)
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_every_operation_completes_and_leaves_the_content_alone(
    tmp_path: Path, operation: Operation, journal_mode: str
) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode, auto_vacuum="incremental")
    before = content(path)
    planned = await plan(path, operation)
    if operation is Operation.CHECKPOINT and journal_mode != "wal":
        assert (planned.steps, planned.verdict) == ((), Verdict.OK)
        assert f"mode is {journal_mode}" in str(planned.not_needed)
        return
    assert statuses(await run(path, operation)) == {Status.COMPLETED}
    assert content(path) == before
    assert integrity(path) == []
    assert len(files_beside(path)) == 1 + (operation is Operation.BACKUP)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == (journal_mode,)


def test_what_is_offered_is_every_operation_and_by_default_the_usual_four() -> None:
    target = SqliteTarget("/a.db")
    assert set(target.operations) == set(SQLITE_OPERATIONS)
    assert [*map(str, target.default_operations)] == ["vacuum", "analyze"]
    assert [name for name, spec in target.operations.items() if spec.writes] == [
        operation for operation in target.operations if operation not in {Operation.CHECK, Operation.BACKUP}
    ]
    assert all(spec.is_repeatable for spec in target.operations.values())


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_vacuum_shrinks_the_file_and_the_facts_say_so(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode)
    size_before = path.stat().st_size
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        before = await session.facts(Operation.VACUUM)
        planned = await session.plan(Operation.VACUUM, Options())
        results = [await execute(session, step) for step in planned.steps]
        after = await session.facts(Operation.VACUUM)
        on_disk = path.stat().st_size
    assert [r.status for r in results] == [Status.COMPLETED] * (2 if journal_mode == "wal" else 1)
    assert before["size"] == size_before
    assert after["size"] == on_disk < size_before
    assert after["free_pages"] == 0 != before["free_pages"]
    assert after["wal_size"] == 0
    assert (after["tables"], after["indexes"]) == (before["tables"], before["indexes"]) == (8, len(ALL_INDEXES))
    assert after["journal_mode"] == journal_mode


@pytest.mark.parametrize(("journal_mode", "lock"), [("delete", LockImpact.EVERYONE), ("wal", LockImpact.WRITERS)])
async def test_vacuum_says_what_it_needs_and_why(tmp_path: Path, journal_mode: str, lock: LockImpact) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode)
    planned = await plan(path, Operation.VACUUM)
    step = planned.steps[0]
    assert planned.verdict is Verdict.OK
    assert (step.command, step.lock.impact) == ("VACUUM", lock)
    assert "pages are free (" in step.reason
    assert "while it copies" in step.after_cancel
    assert step.disk_needed is not None
    assert 0 < step.disk_needed < 2 * path.stat().st_size


@pytest.mark.parametrize("swap", [False, True])
async def test_the_size_before_vacuum_counts_what_is_in_the_log_alone(tmp_path: Path, *, swap: bool) -> None:
    path = tmp_path / "a.db"
    app = sqlite3.connect(path, isolation_level=None)
    app.executescript("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(a)")
    app.execute("INSERT INTO t VALUES (zeroblob(2000000))")
    app.execute("DELETE FROM t")
    app.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    shutil.copy(path, crashed := tmp_path / "crashed.db")
    shutil.copy(f"{path}-wal", f"{crashed}-wal")
    ((in_all,),) = app.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    app.close()
    in_file = crashed.stat().st_size
    async with resolve(str(crashed)).connect(lock_timeout=1) as session:
        await session.lock()
        planned = await session.plan(Operation.VACUUM, Options(swap=swap))
        before = await planned.facts()
        for step in planned.plan.steps:
            assert (await planned.execute(step, StepContext())).status is Status.COMPLETED
        after = await planned.facts()
    assert in_file < 100_000
    assert before["size"] == in_all > 2_000_000
    assert after["size"] == crashed.stat().st_size < 1_100_000


async def test_vacuum_in_wal_mode_reads_what_its_checkpoint_answers(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", journal_mode="wal")
    size = path.stat().st_size
    with transaction(path, "DEFERRED"):
        vacuum, checkpoint = (await run(path, Operation.VACUUM, lock_timeout=0.05)).values()
        assert vacuum.status is Status.COMPLETED
        assert checkpoint.status is Status.SKIPPED
        assert "frames" in str(checkpoint.error)
        (warning,) = checkpoint.warnings
        assert "run checkpoint" in warning
        assert path.stat().st_size == size
    assert (await run(path, Operation.VACUUM))["VACUUM"].status is Status.COMPLETED
    assert path.stat().st_size < size


async def test_what_reindex_leaves_in_the_log_is_not_said_to_be_about_the_size_of_the_file(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    with transaction(path, "DEFERRED"):
        checkpoint = (await run(path, Operation.REINDEX, lock_timeout=0.05))["PRAGMA main.wal_checkpoint(TRUNCATE)"]
    assert ["the new indexes" in warning for warning in checkpoint.warnings] == [True]


async def test_of_a_log_that_could_not_be_looked_at_no_frames_are_counted(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    with another_process(path, "PRAGMA user_version"), transaction(path, "IMMEDIATE"):
        (result,) = (await run(path, Operation.CHECKPOINT, lock_timeout=0.05)).values()
    assert result.status is Status.FAILED
    assert str(result.error).startswith("the log could")


async def test_analyze_has_a_step_per_ordinary_table(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    steps = (await plan(path, Operation.ANALYZE)).steps
    shadow_tables = {f"search_{suffix}" for suffix in ("data", "idx", "content", "docsize", "config")}
    assert {s.object for s in steps} == {"item", "group"} | shadow_tables
    assert 'ANALYZE main."group"' in {s.command for s in steps}
    assert next(s.reason for s in steps if s.object == "item").startswith("6 indexes, no ")
    await run(path, Operation.ANALYZE)
    with closing(sqlite3.connect(path)) as db:
        known = {name for (name,) in db.execute("SELECT idx FROM sqlite_stat1 WHERE tbl = 'item'")}
    assert known == {*HOSTILE_INDEX_NAMES, AUTOMATIC_INDEX}
    reasons = {s.object: s.reason for s in (await plan(path, Operation.ANALYZE)).steps}
    assert reasons["item"].startswith("6 indexes, ")
    assert reasons["item"].endswith(" 1,000 rows")


async def test_analyze_of_named_objects_leaves_the_others_alone(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    steps = (await plan(path, Operation.ANALYZE, objects=("MY-INDEX", "group"))).steps
    assert [step.object for step in steps] == ["item", "group"]
    assert "of index my-index; " in steps[0].reason
    assert "the table of" not in steps[1].reason
    (both,) = (await plan(path, Operation.ANALYZE, objects=("MY-INDEX", "item"))).steps
    assert both.reason.startswith("6 indexes, ")
    await run(path, Operation.ANALYZE, objects=("group",))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT DISTINCT tbl FROM sqlite_stat1").fetchall() == [("group",)]


async def test_analyze_with_a_limit_looks_at_that_many_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE t(a); CREATE INDEX i ON t(a); WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i / 1000 FROM n"
        )
    (step,) = (await plan(path, Operation.ANALYZE, analysis_limit=100)).steps
    assert "; reads 100 rows" in step.reason

    async def rows_per_key(limit: int | None) -> int:
        await run(path, Operation.ANALYZE, analysis_limit=limit)
        with closing(sqlite3.connect(path)) as db:
            ((stat,),) = db.execute("SELECT stat FROM sqlite_stat1 WHERE idx = 'i'")
        return int(stat.split()[1])

    assert await rows_per_key(100) <= 101  # a limit caps what can be known
    assert await rows_per_key(None) == 834


async def test_what_analyze_and_optimize_change_is_told_in_rows_of_statistics(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        assert (await session.facts(Operation.ANALYZE))["stat_rows"] == 0
        for step in (await session.plan(Operation.ANALYZE, Options())).steps:
            await execute(session, step)
        first = await session.facts(Operation.ANALYZE)
        assert first["stat_rows"] == first["changed_stat_rows"] != 0
        for step in (await session.plan(Operation.OPTIMIZE, Options())).steps:
            await execute(session, step)
        second = await session.facts(Operation.OPTIMIZE)
        assert (second["stat_rows"], second["changed_stat_rows"]) == (first["stat_rows"], 0)


async def test_optimize_collects_missing_statistics(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    (step,) = (await plan(path, Operation.OPTIMIZE)).steps
    assert (step.object, step.command) == ("main", "PRAGMA optimize=0x10012")
    assert step.reason.startswith("7 of 7 ")
    await run(path, Operation.OPTIMIZE)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'item'").fetchone() == (6,)


@pytest.mark.parametrize("operation", list(SQLITE_OPERATIONS))
async def test_a_database_without_tables_completes_or_needs_nothing(tmp_path: Path, operation: Operation) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("CREATE TABLE t(a); DROP TABLE t")
    planned = await plan(path, operation)
    if operation in {Operation.CHECKPOINT, Operation.INCREMENTAL_VACUUM, Operation.FTS_OPTIMIZE}:
        assert planned.not_needed
    else:
        assert statuses(await run(path, operation)) == {Status.COMPLETED}


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.REINDEX, Operation.CHECK])
async def test_an_object_that_is_not_there_is_named(tmp_path: Path, operation: Operation) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with pytest.raises(UsageError, match=r"^no-such-table: "):
        await plan(path, operation, objects=("item", "no-such-table"))


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
    steps = (await plan(make_database(tmp_path / "a.db", rows=20), Operation.REINDEX)).steps
    assert {s.object for s in steps} == ALL_INDEXES
    commands = {s.object: s.command for s in steps}
    assert commands["order"] == 'REINDEX main."order"'
    assert commands['a"b'] == 'REINDEX main."a""b"'
    reasons = {s.object: s.reason for s in steps}
    assert reasons["order"].endswith("of table item")
    assert reasons[AUTOMATIC_INDEX].startswith("PRIMARY KEY or ")


async def test_r10_an_index_with_the_name_of_a_collation_is_rebuilt(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE INDEX "nocase" ON item(price)')
    remove_index_entries(path, "nocase")
    await run(path, Operation.REINDEX)
    assert integrity(path) == []


async def test_r10_a_table_whose_name_is_nearly_one_of_sqlites_own_is_maintained(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE sqliteX(a)")
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        assert [step.object for step in (await session.plan(Operation.ANALYZE, Options())).steps] == ["sqliteX"]
        assert (await session.facts())["tables"] == 1


async def test_r9_one_index_fails_alone_and_the_others_are_rebuilt(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    add_index_that_cannot_be_rebuilt(path, "broken")
    remove_index_entries(path, "order")
    results = await run(path, Operation.REINDEX)
    broken = results.pop('REINDEX main."broken"')
    assert broken.status is Status.FAILED
    assert broken.reason is None
    assert "failed: item.note)" in str(broken.error)
    assert statuses(results) == {Status.COMPLETED}
    assert not any("from index order" in line for line in integrity(path))


async def test_r9_a_missing_collation_fails_its_index_and_no_other(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_collation("german", lambda a, b: (a > b) - (a < b))
        db.execute("CREATE INDEX named ON item(note COLLATE german)")
    results = await run(path, Operation.REINDEX)
    named = results.pop('REINDEX main."named"')
    assert named.status is Status.FAILED
    assert "sequence: german" in str(named.error)
    assert statuses(results) == {Status.COMPLETED}


async def test_reindex_of_named_objects_leaves_the_others_alone(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE INDEX other ON "group"(name)')
    assert [step.object for step in (await plan(path, Operation.REINDEX, objects=("Group",))).steps] == ["other"]
    remove_index_entries(path, "order")
    remove_index_entries(path, 'a"b')
    await run(path, Operation.REINDEX, objects=('a"b', "other"))
    assert {line.partition(" index ")[2] for line in integrity(path)} == {"order"}


async def test_the_size_of_the_indexes_before_and_after_reindex_is_told(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        before = await session.facts(Operation.REINDEX)
        for step in (await session.plan(Operation.REINDEX, Options())).steps:
            await execute(session, step)
        after = await session.facts(Operation.REINDEX)
    assert 0 < int(str(after["index_size"])) < int(str(before["index_size"]))


async def test_a_database_of_many_pages_is_not_measured_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.running.effects.ALWAYS_MEASURED", 8192)
    async with stepwise(resolve(str(make_database(tmp_path / "a.db"))).connect(lock_timeout=1)) as session:
        for operation in (Operation.VACUUM, Operation.REINDEX):
            assert await session.facts(operation) == await session.facts()


async def test_a_name_that_is_no_utf8_stands_in_the_way_of_nothing(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "my-index", b"CREATE INDEX [my\xffindex] ON item(price)")
        rename_in_schema(db, "my-index", b"my\xffindex")
    for operation in set(SQLITE_OPERATIONS) - {Operation.CHECKPOINT, Operation.INCREMENTAL_VACUUM}:
        assert statuses(await run(path, operation)) == {Status.COMPLETED}


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
    for operation in SQLITE_OPERATIONS:
        with contextlib.suppress(TargetError):
            target = resolve(str(path))
            async with stepwise(target.connect(lock_timeout=0, writing=target.operations[operation].writes)) as session:
                for step in (await session.plan(operation, Options())).steps:
                    result = await execute(session, step)
                    assert result.status in {Status.COMPLETED, Status.FAILED, Status.SKIPPED}
                    assert (result.status is not Status.COMPLETED) == bool(result.error)
                    assert result.reason is not Reason.TARGET_BUSY
                await session.facts(operation)


async def test_nothing_more_is_written_to_a_database_that_turned_out_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE a(x); CREATE INDEX of_a ON a(x); CREATE TABLE b(x); CREATE INDEX of_b ON b(x)")
        db.executemany("INSERT INTO a VALUES(?)", [(f"{number:0100}",) for number in range(1000)])
        db.commit()
        ((page, page_size),) = db.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'a'"
        )
    with path.open("r+b") as file:
        file.seek((page - 1) * page_size)
        file.write(b"\xff" * page_size)
    first, second = (await run(path, Operation.REINDEX)).values()
    assert (first.status, second.status) == (Status.FAILED, Status.SKIPPED)
    assert "damaged" in str(first.error)
    assert "nothing more is" in str(second.error)
