"""Traps that SQLite, or Python, sets for maintenance: each was fallen into once, and each has a test.

Where the test is somewhere else, `WHERE` tells.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.plans import OperationPlan, Verdict
from engine.targets.step_execution import StepContext
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.a_session import connected, execute, plan, run, statuses
from tests.engine.targets.sqlite.another_process import another_process
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import AUTOMATIC_INDEX, content, integrity, make_database, remove_index_entries, set_schema_sql

HERE: Final = Path(__file__).parent
WHERE: Final = {
    "incremental_vacuum executed as a statement frees one page": (
        "test_methods.py::test_trap_incremental_vacuum_really_frees_its_pages"
    ),
    "VACUUM fails beside an open cursor or transaction of its own connection": (
        "test_traps.py::test_trap_a_vacuum_completes_on_the_connection_that_has_looked_before"
    ),
    "an interrupt does not stop the second phase of VACUUM": (
        "test_cancel.py::test_a_vacuum_past_its_point_of_no_return_ends_completed"
    ),
    "cancelling a task does not stop its statement": (
        "test_cancel.py::test_an_endless_statement_has_ended_when_it_or_its_task_is_cancelled"
    ),
    "an interrupt that comes when nothing runs makes the close leave the log behind": (
        "test_cancel.py::test_trap_an_interrupt_that_comes_when_nothing_runs_does_not_leave_the_log_behind"
    ),
    "a REINDEX that is rolled back leaves a long log": (
        "test_cancel.py::test_a_log_that_a_cancelled_reindex_leaves_is_written_back_although_others_keep_the_database_open"
    ),
    "in WAL mode the file shrinks only with a checkpoint that is not busy": (
        "test_operations.py::test_vacuum_in_wal_mode_reads_what_its_checkpoint_answers"
    ),
    "a busy checkpoint raises nothing": "test_busy.py::test_trap_a_checkpoint_that_says_busy_is_no_success",
    "a reader makes COMMIT busy after all the work": (
        "test_busy.py::test_trap_a_commit_that_a_reader_holds_up_is_tried_again_and_the_work_is_kept"
    ),
    "the temporary file of VACUUM has no name": (
        "test_machine.py::test_trap_what_goes_into_a_temporary_file_without_a_name_counts_as_written"
    ),
    "a bad directory for temporary files is skipped in silence": (
        "test_traps.py::test_trap_temporary_files_go_where_we_look_for_room"
    ),
    "VACUUM needs room for temporary files, too": ("test_disk_full.py::test_the_disk_of_temporary_files_is_too_small"),
    "PRAGMA optimize without the bit for a limit analyses everything": (
        "test_traps.py::test_trap_optimize_keeps_to_its_limit"
    ),
    "VACUUM breaks full-text indexes over renumbered rows, and integrity_check says ok": (
        "test_renumbering.py::test_trap_a_full_text_index_that_vacuum_breaks_unnoticed_is_rebuilt_after_it"
    ),
    "VACUUM drops what is not written CREATE in capitals": (
        "test_traps.py::test_trap_what_vacuum_would_drop_in_silence_is_refused_by_name"
    ),
    "VACUUM copies the entries of a wrong index": (
        "test_traps.py::test_trap_vacuum_does_not_mend_an_index_and_reindex_does"
    ),
    "a missing collation or function looks like an error of the file": (
        "test_checks.py::test_trap_a_missing_function_or_collation_is_named_and_not_called_damage"
    ),
    "a missing tokenizer looks like an error of the file": (
        "test_methods.py::test_trap_a_missing_tokenizer_is_named_and_fails_its_index_only"
    ),
    "a missing module is in nobody's way": "test_traps.py::test_trap_a_table_without_its_module_is_in_nobodys_way",
    "a check raises damage as often as it lists it": (
        "test_checks.py::test_trap_damage_that_sqlite_raises_is_a_finding_and_no_crash"
    ),
    "a check takes the name of a table for a limit": (
        "test_checks.py::test_trap_a_table_that_is_called_like_a_number_is_checked_and_not_taken_for_a_limit"
    ),
    "a check of tables alone does not look at the free pages": (
        "test_traps.py::test_trap_a_check_in_parts_looks_at_the_pages_of_no_table_too"
    ),
    "REINDEX of a name takes it for a collation": (
        "test_operations.py::test_r10_an_index_with_the_name_of_a_collation_is_rebuilt"
    ),
    "connecting creates the file": "test_preflight.py::test_what_cannot_be_opened_is_unavailable",
    "a URI gives ?, # and % a meaning": "test_preflight.py::test_any_file_name_can_be_opened",
    "the journal protects one name of a file": "test_preflight.py::test_a_file_with_two_names_is_refused",
    "closing a file drops all locks that the process has on it": (
        "test_traps.py::test_trap_nothing_that_a_session_does_drops_the_locks_of_its_process"
    ),
    "VACUUM INTO makes a copy that others can read, is not on the disk yet, and stays behind when it fails": (
        "test_copying.py::test_who_may_read_the_copy_is_who_may_read_the_source_and_nobody_before_it_is_complete"
    ),
    "a hot journal cannot be rolled back by who only reads": (
        "test_preflight.py::test_a_crash_that_cannot_be_rolled_back_is_named_and_not_called_damage"
    ),
}


@pytest.mark.parametrize("trap", WHERE)
def test_each_trap_has_its_test(trap: str) -> None:
    file, _, name = WHERE[trap].partition("::")
    assert re.search(rf"^(async )?def {name}\(", next(HERE.rglob(file)).read_text(encoding="utf-8"), re.MULTILINE)


def test_each_test_of_a_trap_is_in_the_table() -> None:
    found = {
        f"{file.name}::{name}"
        for file in HERE.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_trap_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found <= set(WHERE.values())


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_trap_a_vacuum_completes_on_the_connection_that_has_looked_before(
    tmp_path: Path, journal_mode: str
) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode)
    with closing(sqlite3.connect(path)) as db:
        unfinished = db.execute("SELECT * FROM item")
        assert unfinished.fetchone()
        with pytest.raises(sqlite3.OperationalError, match="statements in progress"):
            db.execute("VACUUM")
        unfinished.close()
        db.execute("DELETE FROM item WHERE rowid = 1500")
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
            db.execute("VACUUM")
    async with connected(path) as (session, _):
        await session.facts(Operation.VACUUM)
        await session.info()
        await session.advise(TargetHistory(now=0), budget=None)
        for operation in SQLITE_OPERATIONS:
            planned = await session.plan(operation, Options())
        planned = await session.plan(Operation.VACUUM, Options())
        for step in planned.steps:
            assert (await execute(session, step)).status is Status.COMPLETED


async def test_trap_optimize_keeps_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE TABLE t(a); CREATE INDEX i ON t(a);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
                INSERT INTO t SELECT i / 20000 FROM n;
        """)

        def rows_per_key() -> int:
            ((stat,),) = db.execute("SELECT stat FROM sqlite_stat1 WHERE idx = 'i'")
            db.execute("DROP TABLE sqlite_stat1")
            return int(stat.split()[1])

        db.execute("PRAGMA optimize = 0x10002")  # as it is often advised: it counts every row
        assert rows_per_key() > 10_000
        assert statuses(await run(path, Operation.OPTIMIZE)) == {Status.COMPLETED}
        assert rows_per_key() < 5_000


async def test_trap_what_vacuum_would_drop_in_silence_is_refused_by_name(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "group", 'create TABLE "group"(id INTEGER PRIMARY KEY, name TEXT)')
    before, by_hand = content(path), path.with_name("by_hand.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("VACUUM INTO ?", (str(by_hand),))
    assert set(before) - set(content(by_hand)) == {"group"}
    planned = await plan(path, Operation.VACUUM)
    assert (planned.verdict, planned.steps) == (Verdict.REFUSE, ())
    assert "drop 'group'" in str(planned.refused)
    assert (await plan(path, Operation.VACUUM, force=True)).verdict is Verdict.REFUSE  # it would harm the data
    for other in set(SQLITE_OPERATIONS) - {Operation.VACUUM}:
        assert (await plan(path, other)).verdict is Verdict.OK
    copy = path.with_name("copy.db")
    assert statuses(await run(path, Operation.BACKUP, backup_to=str(copy))) == {Status.COMPLETED}
    assert content(copy) == before


async def test_trap_vacuum_does_not_mend_an_index_and_reindex_does(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=400)
    remove_index_entries(path, AUTOMATIC_INDEX)
    assert statuses(await run(path, Operation.VACUUM, force=True)) == {Status.COMPLETED}
    assert any(line.endswith(f"missing from index {AUTOMATIC_INDEX}") for line in integrity(path))
    quick, _ = (await run(path, Operation.CHECK, verify=True)).values()
    assert [finding.endswith(f" {AUTOMATIC_INDEX}") for finding in quick.findings] == [True]
    assert statuses(await run(path, Operation.REINDEX)) == {Status.COMPLETED}
    assert integrity(path) == []


async def test_trap_a_check_in_parts_looks_at_the_pages_of_no_table_too(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=2000)
    with path.open("r+b") as file:  # the list of free pages is said to begin elsewhere
        file.seek(32)
        file.write(b"\0\0\0\1")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check(item)").fetchall() == [("ok",)]
    results = await run(path, Operation.CHECK, jobs=2)
    assert results["PRAGMA main.integrity_check('item')"].status is Status.COMPLETED
    assert results["PRAGMA main.quick_check"].status is Status.FAILED


async def test_trap_a_table_without_its_module_is_in_nobodys_way(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "search", "CREATE VIRTUAL TABLE search USING klingon(words)")
    for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE, Operation.CHECK):
        assert statuses(await run(path, operation)) == {Status.COMPLETED}
    assert statuses(await run(path, Operation.BACKUP)) == {Status.COMPLETED}
    said = "search is not checked: no such module: klingon, which only its application has"
    assert (await plan(path, Operation.CHECK)).warnings == (said,)
    assert (await plan(path, Operation.FTS_OPTIMIZE)).not_needed is not None


CANNOT_WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
try:
    connection.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError:
    print("ready", flush=True)
"""


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_trap_nothing_that_a_session_does_drops_the_locks_of_its_process(
    tmp_path: Path, journal_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX drops all locks of a process on a file when it closes any descriptor of that file."""
    monkeypatch.setattr("engine.targets.sqlite.connection.statement._LOCK_ATTEMPT", 0)
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM item WHERE rowid = 150")
        target = resolve(str(path))
        async with stepwise(target.connect(lock_timeout=0)) as session:
            await session.remarks([OperationPlan(operation=one) for one in SQLITE_OPERATIONS])
            await session.info()
            await session.advise(TargetHistory(now=0), budget=None)
            for operation in SQLITE_OPERATIONS:
                await session.facts(operation)
                for step in (await session.plan(operation, Options(jobs=2))).steps:
                    await session.execute(step, StepContext())
            await session.recover((), Options(), StepContext())
        with another_process(path, program=CANNOT_WRITE):
            pass
        db.execute("COMMIT")
    assert integrity(path) == []


WHERE_TEMPORARY_FILES_ARE = """
import os, sqlite3, sys
from engine.targets.sqlite.system.files import temporary_directory
connection = sqlite3.connect("")
connection.executescript("PRAGMA temp_store = FILE; PRAGMA cache_size = 1; CREATE TABLE t(a)")
connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")
for number in os.listdir("/proc/self/fd"):
    try:
        path = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue
    if "etilqs_" in path:
        print(os.path.dirname(path))
print(os.path.realpath(temporary_directory()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not show files without a name")
@pytest.mark.parametrize(("first", "second"), [("there", "also"), ("missing", "there"), ("a file", "there")])
def test_trap_temporary_files_go_where_we_look_for_room(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "also").mkdir()
    (tmp_path / "a file").touch()
    environment = {**os.environ, "SQLITE_TMPDIR": str(tmp_path / first), "TMPDIR": str(tmp_path / second)}
    command = [sys.executable, "-c", WHERE_TEMPORARY_FILES_ARE]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split("\n")
    assert said[0] == said[1] == str(tmp_path / "there")
