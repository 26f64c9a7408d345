"""Databases of very many small tables: the time grows in proportion, and they are one step."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets.plans import PlannedStep
from engine.targets.sqlite.planning import grouping, operation_steps
from engine.targets.sqlite.planning.steps import SqliteStep
from engine.targets.step_execution import StepContext
from tests.engine.targets.sqlite.a_session import connected, execute, metered, plan, run, statuses, when_running
from tests.engine.targets.stepwise import Stepwise
from tests.sqlite_files import content, integrity, rename_in_schema, schema_surgery, set_schema_sql, transaction

NAMES = ('a"b', "select", "it's", "ünïcode", "two\nlines", "x;--")


def make_many(path: Path, tables: int, *, rows: int = 3, journal_mode: str = "delete") -> Path:
    """So many small tables with an index each, the first of them with odd names."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA journal_mode = {journal_mode}")
        db.execute("BEGIN")
        for number in range(tables):
            name = (NAMES[number] if number < len(NAMES) else f"t{number}").replace('"', '""')
            db.execute(f'CREATE TABLE "{name}"(id INTEGER PRIMARY KEY, a, b)')
            db.execute(f'CREATE INDEX "{name}_a" ON "{name}"(a)')
            db.executemany(f'INSERT INTO "{name}"(a, b) VALUES (?, ?)', ((row % 2, number) for row in range(rows)))
        db.execute("COMMIT")
    return path


def statistics(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return sorted(map(repr, db.execute("SELECT * FROM sqlite_stat1")))


def by_sqlite(path: Path, copy: Path, *commands: str) -> Path:
    """A copy on which SQLite itself has executed these commands."""
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        for command in commands:
            db.execute(command).fetchall()
    return copy


class Counter:
    """What SQLite does on a connection."""

    def __init__(self) -> None:
        self.statements = 0
        self.opcodes = 0

    async def watch(self, connection: aiosqlite.Connection) -> None:
        await connection.set_trace_callback(self._statement)
        await connection.set_progress_handler(self._opcodes, 20)

    def _statement(self, _: str) -> None:
        self.statements += 1

    def _opcodes(self) -> int:
        self.opcodes += 20
        return 0


async def work_for(path: Path, operation: Operation) -> tuple[int, int, int]:
    """Statements and opcodes that it takes to look, plan and carry out; and how many steps that is."""
    counter = Counter()
    async with connected(path) as (session, connection):
        await counter.watch(connection)
        await session.facts(operation)
        await session.advise(TargetHistory(now=0), budget=60)
        planned = await session.plan(operation, Options())
        assert (planned.refused, planned.not_needed, planned.warnings) == (None, None, ())
        for step in planned.steps:
            assert (await execute(session, step)).status is Status.COMPLETED
        await session.facts(operation)
    return counter.statements, counter.opcodes, len(planned.steps)


@pytest.mark.parametrize(
    "operation", [Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE, Operation.CHECK, Operation.BACKUP]
)
async def test_twice_as_many_tables_are_twice_the_work_and_no_more_steps(tmp_path: Path, operation: Operation) -> None:
    statements, opcodes, steps = await work_for(make_many(tmp_path / "n.db", 400), operation)
    twice = await work_for(make_many(tmp_path / "2n.db", 800), operation)
    assert twice[0] < 2.3 * statements
    # A copy is made by SQLite, which reads its schema for each table of it.
    assert twice[1] < (4 if operation is Operation.BACKUP else 2.3) * opcodes
    assert twice[2] == steps


async def test_to_plan_a_vacuum_of_twice_as_many_tables_is_twice_the_work(tmp_path: Path) -> None:
    opcodes, queries = list[int](), list[int]()
    for tables in (400, 800):
        path = make_many(tmp_path / f"{tables}.db", tables)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            make_rowids_in_use(db, tables)
        async with connected(path) as (session, connection):
            counter = Counter()
            await counter.watch(connection)
            await session.facts(Operation.VACUUM)
            planned = await session.plan(Operation.VACUUM, Options())
            assert "index f uses" in str(planned.refused)
        opcodes.append(counter.opcodes)
        queries.append(counter.statements)
    assert opcodes[1] < 2.3 * opcodes[0]
    assert queries[1] < 2.3 * queries[0]


def make_rowids_in_use(db: sqlite3.Connection, tables: int) -> None:
    """As many tables again, whose rowids VACUUM changes, and full-text indexes that may go by these."""
    db.execute("BEGIN")
    for number in range(tables):
        db.execute(f"CREATE TABLE u{number}(a, b)")
        db.execute(f"INSERT INTO u{number}(rowid, a) VALUES (2, 0)")
    for name, options in (("f", ", content=''"), ("own", "")):
        db.execute(f"CREATE VIRTUAL TABLE {name} USING fts5(x{options})")
        db.execute(f"INSERT INTO {name}(rowid, x) VALUES (1, 'a'), (3, 'b')")
    db.execute("COMMIT")


async def test_what_copies_is_expected_to_take_longer_for_each_table_the_more_there_are(tmp_path: Path) -> None:
    estimates: dict[int, list[float]] = {}
    for tables in (300, 600):
        path = make_many(tmp_path / f"{tables}.db", tables)
        for operation in (Operation.VACUUM, Operation.BACKUP):
            step = (await plan(path, operation)).steps[0]
            assert step.estimate is not None
            estimates.setdefault(tables, []).append(step.estimate)
    assert all(2.1 * few < many < 4 * few for few, many in zip(estimates[300], estimates[600], strict=True))


async def test_a_few_tables_have_a_step_each(tmp_path: Path) -> None:
    path = make_many(tmp_path / "a.db", grouping.FEWEST - 1)
    for operation in (Operation.ANALYZE, Operation.REINDEX):
        planned = await plan(path, operation)
        assert len(planned.steps) == grouping.FEWEST - 1
        assert not any(step.objects for step in planned.steps)


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_many_small_indexes_are_rebuilt_in_one_step_that_names_them(tmp_path: Path, journal_mode: str) -> None:
    path = make_many(tmp_path / "a.db", 30, journal_mode=journal_mode)
    before = content(path)
    step = (await plan(path, Operation.REINDEX)).steps[0]
    assert (step.object, len(step.objects)) == ("30 small indexes", 30)
    assert step.command.startswith('REINDEX main."a""b_a"; REINDEX main."select_a"; ')
    assert step.command.endswith("-- and 27 more")
    results = await run(path, Operation.REINDEX)
    assert statuses(results) == {Status.COMPLETED}
    assert results[step.command].effect == {"objects": step.objects}
    assert (content(path), integrity(path)) == (before, [])


async def test_what_is_rebuilt_in_a_moment_is_planned_without_counting_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation_steps, "WORTH_FROM", 0)  # of a small file no rows are counted anyway
    path, statements = make_many(tmp_path / "a.db", 300), list[int]()
    for seconds in (operation_steps.REBUILT_SOON, 0):
        monkeypatch.setattr(operation_steps, "REBUILT_SOON", seconds)
        counter = Counter()
        async with connected(path) as (session, connection):
            await counter.watch(connection)
            planned = await session.plan(Operation.REINDEX, Options())
        assert sum(len(step.objects) or 1 for step in planned.steps) == 300
        assert all(step.disk_needed for step in planned.steps)
        statements.append(counter.opcodes)
    assert statements[0] < statements[1]


async def test_groups_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MOST_BYTES", 20_000)
    planned = await plan(make_many(tmp_path / "a.db", 60), Operation.REINDEX)
    assert len(planned.steps) > 3
    names = [name for step in planned.steps for name in step.objects or (step.object,)]
    assert len(names) == len(set(names)) == 60
    assert all((step.disk_needed or 0) <= 2 * 20_000 for step in planned.steps)


async def test_one_index_that_cannot_be_rebuilt_is_named_and_the_others_of_its_group_are_rebuilt(
    tmp_path: Path,
) -> None:
    path = make_many(tmp_path / "a.db", 30)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "t9_a", "CREATE UNIQUE INDEX t9_a ON t9(a)")
    (step,) = (await plan(path, Operation.REINDEX)).steps
    (result,) = (await run(path, Operation.REINDEX)).values()
    assert result.status is Status.FAILED
    assert result.error is not None
    assert result.error.startswith("t9_a: ")
    assert "failed: t9.a)" in result.error
    assert result.error.endswith(" 29 are done")
    assert result.effect == {"objects": tuple(name for name in step.objects if name != "t9_a")}


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.REINDEX])
async def test_what_is_certain_to_fail_is_a_step_of_its_own(tmp_path: Path, operation: Operation) -> None:
    path = make_many(tmp_path / "a.db", 30)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "t9_a", "CREATE INDEX t9_a ON t9(a COLLATE klingon)")
    planned = await plan(path, operation)
    group, failing = planned.steps
    assert len(group.objects) == 29
    assert failing.object == ("t9" if operation is Operation.ANALYZE else "t9_a")
    assert [warning.partition(":")[0].rpartition(" ")[2] for warning in planned.warnings] == [failing.object]
    results = await run(path, operation)
    assert [result.status for result in results.values()] == [Status.COMPLETED, Status.FAILED]


def damage_root(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        ((root, page_size),) = db.execute(
            "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = ?", (name,)
        )
    with path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xff" * page_size)


async def test_a_table_of_a_group_that_cannot_be_read_is_named_and_no_index_is_rebuilt(tmp_path: Path) -> None:
    path = make_many(tmp_path / "a.db", 30)
    damage_root(path, "t9")
    before = path.read_bytes()
    result = (await run(path, Operation.REINDEX)).popitem()[1]
    assert (result.status, result.reason) == (Status.FAILED, Reason.DAMAGED)
    assert "table t9 " in str(result.error)
    assert path.read_bytes() == before


async def test_damage_in_a_group_is_told_of_its_object_and_nothing_more_is_written(tmp_path: Path) -> None:
    path, name = make_many(tmp_path / "a.db", 30), "t9"
    damage_root(path, "t9_a")
    async with connected(path) as (session, _):
        (step,) = (await session.plan(Operation.ANALYZE, Options())).steps
        result = await execute(session, step)
        assert result.status is Status.FAILED
        assert str(result.error).startswith(f"{name}: ")
        assert "is damaged (" in str(result.error)
        done = (result.effect or {})["objects"]
        assert isinstance(done, tuple)
        assert name not in done
        assert f"{len(done)} done, {29 - len(done)} not begun" in str(result.error)
        again = await execute(session, step)
        assert again.status is Status.SKIPPED
        assert "damaged database" in str(again.error)


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE])
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_group_that_is_cancelled_has_changed_nothing(
    tmp_path: Path, operation: Operation, journal_mode: str
) -> None:
    path = make_many(tmp_path / "a.db", 40, rows=50, journal_mode=journal_mode)
    before = content(path)
    async with connected(path) as (session, connection):
        step = (await session.plan(operation, Options())).steps[0]
        cancel = asyncio.Event()

        def stop() -> None:
            cancel.set()
            connection._conn.interrupt()

        begins = ("ANALYZE main", 'REINDEX main."t20_a"', 'ANALYZE "main"."t20"')
        await when_running(connection, stop, begins)
        result = await execute(session, step, cancel)
        assert (result.status, result.left) == (Status.CANCELLED, "nothing changed")
        assert (content(path), integrity(path)) == (before, [])
        assert (await execute(session, step)).status is Status.COMPLETED
    assert content(path) == before


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.REINDEX])
async def test_a_group_waits_for_its_lock_and_loses_no_work_to_a_reader(tmp_path: Path, operation: Operation) -> None:
    path = make_many(tmp_path / "a.db", 30)
    with transaction(path, "IMMEDIATE"):
        (result,) = (await run(path, operation, lock_timeout=0.1)).values()
        assert (result.status, result.reason, result.left) == (Status.FAILED, Reason.TARGET_BUSY, "nothing changed")
    async with connected(path, lock_timeout=60) as (session, connection):
        (step,) = (await session.plan(operation, Options())).steps
        counter, waiting = Counter(), asyncio.Event()
        await counter.watch(connection)
        with transaction(path, "DEFERRED") as reader:
            context = StepContext(report=lambda progress: waiting.set() if progress.waits_for else None)
            task = asyncio.create_task(session.execute(step, context))
            await waiting.wait()
            opcodes = counter.opcodes
            reader.execute("ROLLBACK")
            assert (await task).status is Status.COMPLETED
        assert counter.opcodes - opcodes < 200  # no more than the COMMIT


async def mixed(session: Stepwise, **options: Any) -> Sequence[PlannedStep]:
    """The steps of an ANALYZE where the large tables have one each."""
    return (await session.plan(Operation.ANALYZE, Options(**options))).steps


@pytest.mark.parametrize("limit", [None, 100])
async def test_statistics_of_small_tables_are_collected_together_and_those_of_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(operation_steps, "ANALYZED_AT_ONCE", 0)
    monkeypatch.setattr(operation_steps, "WORTH_FROM", 0)
    monkeypatch.setattr(grouping, "TINY", 0.00101)
    path = make_many(tmp_path / "a.db", 40)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE large(a, b)")
        db.execute("CREATE INDEX large_a ON large(a)")
        db.execute(
            "INSERT INTO large WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)"
            " SELECT i % 7, i FROM n"
        )
        db.execute("ANALYZE")
        db.execute("DELETE FROM t7")
        db.execute("INSERT INTO t8(a) SELECT i % 3 FROM (SELECT b AS i FROM large LIMIT 20)")
        db.execute("INSERT INTO sqlite_stat1 VALUES ('large', 'kept', '1 1'), (NULL, NULL, '5')")
    expected = by_sqlite(
        path,
        tmp_path / "b.db",
        f"PRAGMA analysis_limit = {limit or 0}",
        *(f'ANALYZE main."t{n}"' for n in range(6, 40)),
    )
    async with connected(path) as (session, _):
        steps = await mixed(session, analysis_limit=limit)
        assert [step.object for step in steps] == ["large", "40 small tables"]
        result = await execute(session, steps[1])
        assert (result.status, result.effect) == (Status.COMPLETED, {"objects": steps[1].objects})
        assert statistics(path) == statistics(expected)
        await execute(session, steps[0])
        assert any("'large_a'" in row for row in statistics(path))
        assert not any("'kept'" in row for row in statistics(path))


async def test_damage_leaves_the_statistics_of_the_others_of_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_many(tmp_path / "a.db", 40)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("ANALYZE")
    before = statistics(path)
    damage_root(path, "t39_a")
    (result,) = (await run(path, Operation.ANALYZE)).values()
    assert str(result.error).startswith("t39: ")
    assert statistics(path) == before


@pytest.mark.parametrize("tables", [15, 60, 300])
async def test_optimize_of_many_tables_collects_what_sqlite_would(tmp_path: Path, tables: int) -> None:
    path = make_many(tmp_path / "a.db", tables, rows=30)
    expected = by_sqlite(path, tmp_path / "b.db", "PRAGMA optimize=0x10012")
    counter = Counter()
    async with connected(path) as (session, connection):
        (step,) = (await session.plan(Operation.OPTIMIZE, Options())).steps
        assert ("one ANALYZE for" in step.reason) == (tables > operation_steps.OPTIMIZED_AT_ONCE)
        await counter.watch(connection)
        assert (await execute(session, step)).status is Status.COMPLETED
    assert statistics(path) == statistics(expected)
    assert counter.statements < 60


@pytest.mark.parametrize("operation", [Operation.OPTIMIZE, Operation.ANALYZE, Operation.REINDEX])
async def test_a_table_whose_name_is_no_text_is_no_reason_to_fail(tmp_path: Path, operation: Operation) -> None:
    path = make_many(tmp_path / "a.db", 40)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE odd(a)")
        set_schema_sql(db, "odd", b'CREATE TABLE "\xff"(a)')
        rename_in_schema(db, "odd", b"\xff")
        with schema_surgery(db):
            db.execute("UPDATE sqlite_schema SET tbl_name = name WHERE name = CAST(? AS TEXT)", (b"\xff",))
    assert statuses(await run(path, operation)) == {Status.COMPLETED}


async def test_a_large_database_is_checked_table_by_table_and_the_small_tables_of_it_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_specs.CHECKED_IN_PARTS", 0)
    path = make_many(tmp_path / "a.db", 30)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE large(a, b)")
        db.execute("CREATE INDEX large_a ON large(a)")
        db.execute(
            "INSERT INTO large WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90000)"
            " SELECT i, i FROM n"
        )
    planned = await plan(path, Operation.CHECK, jobs=2)
    assert sorted(step.object for step in planned.steps) == ["30 small tables", "large", "main", "main"]
    damage_root(path, "t9_a")
    results = await run(path, Operation.CHECK, jobs=2)
    large, small = (
        results[step.command] for name in ("large", "30 small tables") for step in planned.steps if step.object == name
    )
    assert (large.status, small.status) == (Status.COMPLETED, Status.FAILED)
    assert small.findings


async def test_the_opcodes_of_small_tables_count_though_sqlite_does_not_tell_so_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_specs.CHECKED_IN_PARTS", 0)
    path = make_many(tmp_path / "a.db", 30)
    async with metered(path) as (session, connection):
        planned = await session.plan(Operation.CHECK, Options(jobs=2))
        (step,) = (step for step in planned.steps if step.object == "30 small tables")
        assert isinstance(step, SqliteStep)
        before = connection.opcodes
        assert (await execute(session, step)).status is Status.COMPLETED
        assert connection.opcodes - before == round(step.course[-1][0]) > 0


async def test_a_check_that_would_look_at_the_schema_for_each_of_very_many_tables_is_one_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_specs.CHECKED_IN_PARTS", 0)
    monkeypatch.setattr("engine.targets.sqlite.planning.check_steps.MOST_FINDING", 0)
    planned = await plan(make_many(tmp_path / "a.db", 30), Operation.CHECK, jobs=2)
    assert [step.command for step in planned.steps] == ["PRAGMA main.integrity_check", "PRAGMA main.foreign_key_check"]


async def test_objects_that_are_asked_for_by_name_are_done_alone(tmp_path: Path) -> None:
    path = make_many(tmp_path / "a.db", 40)
    analyzed = ("t9", "two\nlines", *(f"t{number}" for number in range(10, 40)))
    for operation, objects in ((Operation.ANALYZE, analyzed), (Operation.REINDEX, ("t9_a",))):
        results = await run(path, operation, objects=objects)
        assert len(results) == len(objects)
        assert statuses(results) == {Status.COMPLETED}
    with closing(sqlite3.connect(path)) as db:
        assert {name for (name,) in db.execute("SELECT tbl FROM sqlite_stat1")} == set(analyzed)
