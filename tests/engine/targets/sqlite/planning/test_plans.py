"""Steps, reasons, locks and disk space as pure functions of the facts; commands are valid SQL for any name."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.domain.requests import CheckLevel, Operation
from engine.domain.statuses import Status
from engine.targets.lock_impact import Lock
from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.planning import backup_steps, check_steps, costs, operation_specs, operation_steps, planner
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.reading import shape
from engine.targets.sqlite.reading.catalog import Index, Segments, Summary, Table
from engine.targets.sqlite.reading.page_fill import PageFill
from engine.targets.sqlite.reading.page_map import TreeSize
from engine.targets.sqlite.target import SqliteTarget
from tests.engine.targets.sqlite.a_session import plan, run
from tests.sqlite_files import integrity, make_database

SUMMARY = Summary(
    size=4_096_000,
    wal_size=0,
    pages=1000,
    page_size=4096,
    free_pages=310,
    journal_mode="delete",
    auto_vacuum=0,
    tables=3,
    indexes=4,
)
IN_WAL_MODE = replace(SUMMARY, journal_mode="wal", wal_size=138_000_000)
USED = 690 * 4096
A = Table(name="a", known_rows=12_000, indexes=(Index(name='a"i', table="a"),))
B = Table(name="b")


@pytest.mark.parametrize(
    ("free_pages", "reason"),
    [
        (310, "31% of the pages are free (1.27 MB)"),
        (1, "less than 1% of the pages are free (4.10 kB)"),
        (0, "no page is free; only partly filled pages can be packed"),
    ],
)
def test_vacuum_reasons_come_from_the_free_pages(free_pages: int, reason: str) -> None:
    steps = operation_steps.vacuum_steps(
        replace(SUMMARY, free_pages=free_pages), "/srv/a.db", temporary_directory="/scratch"
    )
    assert [step.reason for step in steps] == [reason]


def test_vacuum_needs_space_beside_the_database_and_for_temporary_files() -> None:
    (step,) = operation_steps.vacuum_steps(SUMMARY, "/srv/a.db", temporary_directory="/scratch")
    assert step.disk_needed == 2 * USED
    assert [(need.directory, need.bytes) for need in step.needs] == [("/srv", USED), ("/scratch", USED)]
    (in_memory,) = operation_steps.vacuum_steps(SUMMARY, "/srv/a.db", in_memory=True, temporary_directory="/scratch")
    assert [(need.directory, need.bytes) for need in in_memory.needs] == [("/srv", USED)]
    (without_directory,) = operation_steps.vacuum_steps(SUMMARY, "/srv/a.db", temporary_directory=None)
    assert (in_memory.in_memory, without_directory.in_memory) == (True, False)


def test_where_nothing_else_is_known_of_a_database_the_size_of_its_pages_still_counts() -> None:
    small = replace(
        SUMMARY, page_size=SUMMARY.page_size // 8, pages=8 * SUMMARY.pages, free_pages=8 * SUMMARY.free_pages
    )
    large, of_small = (operation_steps.content_of(summary, None) for summary in (SUMMARY, small))
    assert of_small == replace(large, page_size=small.page_size)


def test_the_contents_of_a_database_are_those_of_its_trees_in_their_order() -> None:
    fill = PageFill(packed=0.8, unused=0.2, cells=50, keyed=0.3, values=0.2)
    trees = (
        TreeSize(pages=300, cells=9_000, is_keyed=False),
        TreeSize(pages=150, cells=9_000, is_keyed=True),
        TreeSize(pages=100, cells=7_000, is_keyed=False),
    )
    content = operation_steps.content_of(SUMMARY, fill, trees)
    assert replace(content, parts=()) == operation_steps.content_of(SUMMARY, fill)
    assert [part.cells for part in content.parts] == [9_000, 9_000, 7_000]
    assert [part.keyed for part in content.parts] == [0, round(150 * 4096 * 0.8), 0]
    assert sum(part.values for part in content.parts) == pytest.approx(content.values, abs=2)
    assert content.parts[0].values == pytest.approx(3 * content.parts[2].values, abs=3)


def test_what_fills_the_write_ahead_log_writes_it_back_in_the_end() -> None:
    vacuum = operation_steps.vacuum_steps(IN_WAL_MODE, "/srv/a.db", in_memory=True, fts_to_rebuild=['f"t'])
    assert [step.command for step in vacuum] == [
        "VACUUM",
        """INSERT INTO main."f""t"("f""t") VALUES('rebuild')""",
        "PRAGMA main.wal_checkpoint(TRUNCATE)",
    ]
    assert [step.mandatory_follow_up for step in vacuum] == [False, True, True]
    for steps in (
        vacuum,
        operation_steps.incremental_vacuum_steps(IN_WAL_MODE),
        operation_steps.fts_optimize_steps({"search": Segments(number=2, pages=10)}, IN_WAL_MODE),
    ):
        assert (steps[-1].method, steps[-1].lock) == (Method.CHECKPOINT, operation_specs.BLOCKS_WRITERS)
        assert steps[-1].operation is Operation.CHECKPOINT
        assert len(steps) > 1


@pytest.mark.parametrize(
    ("operation", "rollback", "wal"),
    [
        (Operation.VACUUM, operation_specs.BLOCKS_EVERYONE, operation_specs.BLOCKS_WRITERS),
        (Operation.ANALYZE, operation_specs.BLOCKS_READERS_AT_END, operation_specs.BLOCKS_WRITERS),
        (Operation.REINDEX, operation_specs.BLOCKS_READERS_AT_END, operation_specs.BLOCKS_WRITERS),
        (Operation.OPTIMIZE, operation_specs.BLOCKS_READERS_AT_END, operation_specs.BLOCKS_WRITERS),
        (Operation.CHECK, operation_specs.BLOCKS_WRITERS_AND_THOSE_BEHIND, operation_specs.BLOCKS_NOBODY),
        (Operation.CHECKPOINT, operation_specs.BLOCKS_NOBODY, operation_specs.BLOCKS_WRITERS),
        (Operation.INCREMENTAL_VACUUM, operation_specs.BLOCKS_READERS_BRIEFLY, operation_specs.BLOCKS_WRITERS_BRIEFLY),
        (Operation.FTS_OPTIMIZE, operation_specs.BLOCKS_READERS_BRIEFLY, operation_specs.BLOCKS_WRITERS_BRIEFLY),
        (Operation.BACKUP, operation_specs.BLOCKS_WRITERS_AND_THOSE_BEHIND, operation_specs.BLOCKS_NOBODY),
    ],
)
async def test_locks_depend_on_the_journal_mode(
    tmp_path: Path, operation: Operation, rollback: Lock, wal: Lock
) -> None:
    for journal_mode, lock in (("delete", rollback), ("wal", wal)):
        path = make_database(tmp_path / f"{journal_mode}.db", rows=400, journal_mode=journal_mode, auto_vacuum="2")
        assert operation_specs.lock_of(operation, wal=journal_mode == "wal") == lock
        planned = await plan(path, operation)
        assert planned.not_needed or planned.steps[0].lock == lock
        assert all(step.after_cancel for step in planned.steps)


def test_what_has_nothing_to_do_is_one_step_that_says_so() -> None:
    (analyze,) = operation_steps.analyze_steps([], SUMMARY, limit=None)
    assert (analyze.command, analyze.reason) == ("ANALYZE main", "there is no table, so there is nothing to collect")
    (reindex,) = operation_steps.reindex_steps([], [], SUMMARY, "/srv/a.db", None)
    assert (reindex.command, reindex.reason) == ("REINDEX", "there is no index, so there is nothing to rebuild")


async def test_a_long_analyze_of_everything_is_planned_with_what_tells_its_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as db:
        db.executescript("".join(f"CREATE TABLE more{number}(a); " for number in range(20)))
    (short,) = (await plan(path, Operation.ANALYZE)).steps
    monkeypatch.setattr(planner, "_WORTH_A_PERCENT", 0)
    (long,) = (await plan(path, Operation.ANALYZE)).steps
    assert isinstance(short, SqliteStep)
    assert isinstance(long, SqliteStep)
    assert not short.course
    assert long.course[-1] > (100, 0)


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.REINDEX, Operation.CHECK])
async def test_of_a_small_file_no_rows_are_counted_and_the_estimate_is_by_size(
    tmp_path: Path, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "a.db")
    monkeypatch.setattr(shape, "fetch_all", None)  # what counts needs it
    steps = (await plan(path, operation)).steps
    assert steps
    assert None not in [step.estimate for step in steps if step.command != "PRAGMA main.foreign_key_check"]
    monkeypatch.setattr(operation_steps, "WORTH_FROM", 0)
    with pytest.raises(TypeError):
        await plan(path, operation)


def test_a_table_without_rowid_is_planned_with_what_it_takes_to_rebuild() -> None:
    table = Table(name="k", columns=4, without_rowid=True, rows=1000)
    key = Index(name="key", table="k", automatic=True, unique=True, columns=4, rows=1000, is_table=True)
    (step,) = operation_steps.reindex_steps([key], [table], SUMMARY, "/srv/a.db", "/scratch")
    assert step.estimate is not None
    assert [need.bytes for need in step.needs] == [round(USED * 0.65)] * 2
    unknown, other = replace(table, rows=None), Table(name="other", rows=5)
    (step,) = operation_steps.reindex_steps([replace(key, rows=None)], [unknown, other], SUMMARY, "/srv/a.db", None)
    assert [need.bytes for need in step.needs] == [round(USED * 0.65 / 2)]


def test_an_index_whose_pages_are_known_needs_room_for_these_and_no_more() -> None:
    sizes = {'a"i': TreeSize(pages=7, cells=900, is_keyed=True)}
    (step,) = operation_steps.reindex_steps(A.indexes, [A], SUMMARY, "/srv/a.db", None, sizes=sizes)
    assert [need.bytes for need in step.needs] == [7 * SUMMARY.page_size]
    key = Index(name="key", table="k", automatic=True, unique=True, columns=4, is_table=True)
    sizes = {"k": TreeSize(pages=9, cells=900, is_keyed=True)}
    (step,) = operation_steps.reindex_steps([key], [Table(name="k")], SUMMARY, "/srv/a.db", None, sizes=sizes)
    assert [need.bytes for need in step.needs] == [9 * SUMMARY.page_size]


def test_reasons_count_in_words() -> None:
    (limited,) = operation_steps.analyze_steps([A], SUMMARY, limit=1000)
    (reindex,) = operation_steps.reindex_steps(A.indexes, [A], SUMMARY, "/srv/a.db", None)
    assert "PRAGMA analysis_limit = 1000" in limited.settings
    assert reindex.command == 'REINDEX main."a""i"'
    steps = [
        *operation_steps.analyze_steps([A, B], SUMMARY, limit=None),
        *operation_steps.analyze_steps([replace(B, known_rows=1)], SUMMARY, limit=None),
        limited,
        *operation_steps.optimize_steps([A, B], SUMMARY),
        reindex,
        *operation_steps.checkpoint_steps(IN_WAL_MODE),
        *operation_steps.incremental_vacuum_steps(SUMMARY),
        *operation_steps.fts_optimize_steps({"search": Segments(number=7, pages=10)}, SUMMARY),
    ]
    assert [step.reason for step in steps] == [
        "1 index, statistics from when it had 12,000 rows",
        "no indexes, no statistics yet",
        "no indexes, statistics from when it had 1 row",
        "1 index, statistics from when it had 12,000 rows; reads 1,000 rows of each index",
        "1 of 2 tables without statistics; renews stale statistics too",
        "index of table a",
        "the write-ahead log is 138 MB long",
        "310 pages free (1.27 MB), 1,000 at a time",
        "7 segments; the second command repeats until nothing is left to merge",
    ]


def test_a_check_looks_at_the_whole_or_at_each_table_with_indexes_and_then_at_the_pages() -> None:
    def commands(level: CheckLevel, **how: bool) -> list[str]:
        steps = check_steps.check_steps(
            [A, B], SUMMARY, level, named=how.get("named", False), in_parts=how.get("in_parts", False)
        )
        return [step.command.removeprefix("PRAGMA main.") for step in steps]

    assert commands(CheckLevel.FULL) == ["integrity_check", "foreign_key_check"]
    assert (
        commands(CheckLevel.QUICK) == commands(CheckLevel.QUICK, in_parts=True) == ["quick_check", "foreign_key_check"]
    )
    assert commands(CheckLevel.FULL, in_parts=True) == ["integrity_check('a')", "quick_check", "foreign_key_check"]
    assert commands(CheckLevel.FULL, named=True) == ["integrity_check('a')", "integrity_check('b')"]
    assert commands(CheckLevel.QUICK, named=True) == ["quick_check('a')", "quick_check('b')"]


def test_a_table_is_checked_with_the_structure_of_its_share_of_the_pages() -> None:
    index = Index(name="i", table="a", rows=12_000)
    tables = [Table(name=name, columns=3, rows=12_000, indexes=(index,)) for name in ("a", "c")]
    parts = check_steps.check_steps(tables, SUMMARY, CheckLevel.FULL, named=False, in_parts=True)[:2]
    (first, second), rows = parts, costs.full_check(tables[:1])
    assert first.course == second.course
    pages, _ = first.course[1]
    assert first.course[-1][0] == pages + rows.course[-1][0]
    assert 2 * pages == SUMMARY.pages - SUMMARY.free_pages


def test_a_copy_is_checked_before_it_gets_its_name() -> None:
    planned = backup_steps.PlannedCopy(destination="/backups/o'clock.db", unfinished="/backups/o'clock.db.unfinished")
    copy, check = backup_steps.backup_steps(SUMMARY, planned, [A])
    assert copy.command == "VACUUM main INTO '/backups/o''clock.db.unfinished/copy'"
    assert (copy.disk_needed, [need.directory for need in copy.needs]) == (USED, ["/backups"])
    assert (check.command, check.disk_needed) == ("PRAGMA main.quick_check", None)
    assert check.course == costs.quick_check([A], USED // SUMMARY.page_size).course


def test_the_usual_order_of_operations_says_that_reindex_repeats_work() -> None:
    (remark,) = operation_specs.remarks((Operation.VACUUM, Operation.REINDEX))
    assert remark.startswith("REINDEX after VACUUM repeats work")
    (remark,) = operation_specs.remarks((Operation.REINDEX, Operation.VACUUM))
    assert remark.startswith("VACUUM packs the indexes too: REINDEX before it helps only if a check found")
    assert (
        operation_specs.remarks(operation_specs.DEFAULT_OPERATIONS)
        == operation_specs.remarks((Operation.REINDEX,))
        == ()
    )


def test_optimize_beside_analyze_is_said_to_repeat_work() -> None:
    (remark,) = operation_specs.remarks((Operation.ANALYZE, Operation.OPTIMIZE))
    assert remark == "optimize after ANALYZE has nothing to do: ANALYZE renews all statistics"
    (remark,) = operation_specs.remarks((Operation.OPTIMIZE, Operation.ANALYZE))
    assert remark.startswith("ANALYZE renews all statistics")


# Names that begin with sqlite_ are SQLite's own, and a lone surrogate is no Unicode text.
_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12).filter(
    lambda name: not name.lower().startswith("sqlite_")
)


@settings(max_examples=6)
@given(name=_names)
@example(name="{")
@example(name="a\"b'c;--")
@example(name="two\nlines")
@example(name="); DROP TABLE x; (")
@example(name="")
@example(name="12")
def test_r10_every_operation_takes_tables_indexes_and_full_text_indexes_of_any_name(name: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.db"
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"CREATE TABLE {quote(name)}(a)")
            db.execute(f"CREATE INDEX {quote(name + '1')} ON {quote(name)}(a)")
            db.execute(f"CREATE TABLE {quote(name + '2')}(text)")
            db.execute(f"CREATE VIRTUAL TABLE {quote(name + '3')} USING fts5(text, content={quote(name + '2')})")
            db.execute(f"INSERT INTO {quote(name)} VALUES (1), (2)")
            db.commit()
        for operation in set(SqliteTarget(str(path)).operations) - {Operation.CHECKPOINT, Operation.INCREMENTAL_VACUUM}:
            results = asyncio.run(run(path, operation, jobs=2 if operation is Operation.CHECK else None))
            assert {command: result.error for command, result in results.items()} == dict.fromkeys(results)
            assert {result.status for result in results.values()} == {Status.COMPLETED}
        rebuild = asyncio.run(plan(path, Operation.VACUUM, force=True)).steps[1]
        assert rebuild.command.startswith(f"INSERT INTO main.{quote(name + '3')}(")
        assert integrity(path) == []


def test_a_header_that_counts_more_free_pages_than_there_are_makes_no_estimate_negative() -> None:
    assert replace(SUMMARY, free_pages=SUMMARY.pages + 1).used == 0
