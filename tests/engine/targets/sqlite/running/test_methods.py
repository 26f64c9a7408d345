"""How steps run: in chunks, with enough disk space, and with the effect that they report."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
import struct
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import aiosqlite
import pytest

from engine.domain.errors import TargetUnavailableError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets import resolve
from engine.targets.disk_space import Need
from engine.targets.plans import Verdict
from engine.targets.sqlite.planning.steps import SqliteStep
from engine.targets.sqlite.system.machine import field
from engine.targets.step_execution import StepContext, StepProgress
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.a_session import connected, execute, plan, run, statuses
from tests.engine.targets.sqlite.another_process import another_process
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import content, files_beside, integrity, make_database, set_schema_sql


def number(path: Path, pragma: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        ((value,),) = db.execute(f"PRAGMA {pragma}")
    return int(value)


async def at_second(connection: aiosqlite.Connection, beginning: str, do: Callable[[], object]) -> None:
    """Call `do` in the event loop when a second command that begins like this is executed."""
    loop, seen = asyncio.get_running_loop(), 0

    def note(sql: str) -> None:
        nonlocal seen
        seen += sql.startswith(beginning)
        if sql.startswith(beginning) and seen == 2:
            loop.call_soon_threadsafe(do)

    await connection.set_trace_callback(note)


# VACUUM


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps the memory")
async def test_vacuum_gives_the_memory_of_its_temporary_database_back(tmp_path: Path) -> None:
    def own_memory() -> int:
        return 1024 * (field(Path("/proc/self/status").read_text(), "RssAnon") or 0)

    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t(a, b)")
        db.execute("CREATE INDEX i ON t(b)")
        db.executemany("INSERT INTO t VALUES (?, ?)", ((bytes(100), 7919 * n % 200_000) for n in range(200_000)))
        db.commit()
    async with connected(path) as (session, _):
        (step,) = (await session.plan(Operation.VACUUM, Options())).steps
        assert isinstance(step, SqliteStep)
        assert step.in_memory
        before = own_memory()
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        assert own_memory() - before < path.stat().st_size / 4


# Incremental vacuum


async def test_trap_incremental_vacuum_really_frees_its_pages(tmp_path: Path) -> None:
    """Python before 3.13 executes only the first round of a statement that says it has no rows: a page, and no more."""
    path = make_database(tmp_path / "a.db", auto_vacuum="incremental")
    free, size = number(path, "freelist_count"), path.stat().st_size
    assert free > 20
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA incremental_vacuum(10)").fetchall()
    assert number(path, "freelist_count") == free - (freed := 10 if sys.version_info >= (3, 13) else 1)
    (result,) = (await run(path, Operation.INCREMENTAL_VACUUM)).values()
    assert (result.status, result.effect) == (Status.COMPLETED, {"freed_pages": free - freed})
    assert number(path, "freelist_count") == 0
    assert path.stat().st_size <= size - free * 4096


async def test_incremental_vacuum_goes_in_chunks_and_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_steps.PAGES_AT_ONCE", 7)
    path = make_database(tmp_path / "a.db", auto_vacuum="incremental")
    free, told = number(path, "freelist_count"), list[StepProgress]()
    async with connected(path) as (session, _):
        (step,) = (await session.plan(Operation.INCREMENTAL_VACUUM, Options())).steps
        assert step.command == "PRAGMA main.incremental_vacuum(7)"
        result = await session.execute(step, StepContext(report=told.append))
    assert result.effect == {"freed_pages": free}
    fractions = [progress.fraction or 0 for progress in told]
    assert len(fractions) > free // 8
    assert fractions == sorted(set(fractions))
    assert fractions[-1] == 1


async def test_the_pages_that_incremental_vacuum_frees_are_told_without_those_that_only_go_with_them(
    tmp_path: Path,
) -> None:
    path = make_database(tmp_path / "a.db", rows=20_000, auto_vacuum="incremental")
    free = number(path, "freelist_count")
    async with connected(path) as (session, _):
        before = await session.facts(Operation.INCREMENTAL_VACUUM)
        (step,) = (await session.plan(Operation.INCREMENTAL_VACUUM, Options())).steps
        await session.execute(step, StepContext())
        after = await session.facts(Operation.INCREMENTAL_VACUUM)
    assert int(str(before["pages"])) - int(str(after["pages"])) > free  # pointer maps, too
    assert after["freed_pages"] == free


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_what_incremental_vacuum_has_freed_when_it_is_cancelled_stays_freed(
    tmp_path: Path, journal_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_steps.PAGES_AT_ONCE", 5)
    path = make_database(tmp_path / "a.db", auto_vacuum="incremental", journal_mode=journal_mode)
    before, free = content(path), number(path, "freelist_count")
    async with connected(path) as (session, connection):
        step = (await session.plan(Operation.INCREMENTAL_VACUUM, Options())).steps[0]
        cancel = asyncio.Event()
        await at_second(connection, step.command, cancel.set)
        result = await execute(session, step, cancel)
    assert result.status is Status.CANCELLED
    assert result.effect is not None
    freed = int(str(result.effect["freed_pages"]))
    assert 5 <= freed < free
    assert number(path, "freelist_count") == free - freed
    assert (content(path), integrity(path)) == (before, [])


async def test_in_wal_mode_the_file_shrinks_with_the_checkpoint_after_incremental_vacuum(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", auto_vacuum="incremental", journal_mode="wal")
    free, size = number(path, "freelist_count"), path.stat().st_size
    with another_process(path, "PRAGMA user_version"):
        vacuum, checkpoint = (await run(path, Operation.INCREMENTAL_VACUUM)).values()
        assert (vacuum.status, checkpoint.status) == (Status.COMPLETED, Status.COMPLETED)
        assert vacuum.effect == {"freed_pages": free}
        assert path.stat().st_size <= size - free * 4096
        assert path.with_name("a.db-wal").stat().st_size == 0


async def test_pages_that_others_free_as_fast_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_steps.PAGES_AT_ONCE", 5)
    path = make_database(tmp_path / "a.db", auto_vacuum="incremental")
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        async with connected(path) as (session, connection):
            (step,) = (await session.plan(Operation.INCREMENTAL_VACUUM, Options())).steps
            looks = 0

            def free_more(sql: str) -> None:  # before it is looked at how many are free
                nonlocal looks
                looks += sql == "PRAGMA main.freelist_count"
                if looks == 2:
                    other.execute("DELETE FROM item")

            await connection.set_trace_callback(free_more)
            result = await execute(session, step)
    left = number(path, "freelist_count")
    assert left > 0
    assert result.status is Status.COMPLETED
    (warning,) = result.warnings
    assert warning.startswith(f"{left} free pages")


@pytest.mark.parametrize(
    ("auto_vacuum", "rows", "why"),
    [
        ("none", 200, "auto_vacuum is not incremental"),
        ("full", 200, "auto_vacuum is not incremental"),
        ("incremental", 0, "no page is free"),
    ],
)
async def test_where_incremental_vacuum_has_nothing_to_do_it_says_why(
    tmp_path: Path, auto_vacuum: str, rows: int, why: str
) -> None:
    path = make_database(tmp_path / "a.db", rows=rows, auto_vacuum=auto_vacuum)
    planned = await plan(path, Operation.INCREMENTAL_VACUUM)
    assert (planned.steps, planned.verdict) == ((), Verdict.OK)
    assert why in str(planned.not_needed)


# Full-text indexes


INDEXES = ("own", "outside", "textless")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Full-text indexes of every kind, with many segments each."""
    path = tmp_path / "texts.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);
            CREATE VIRTUAL TABLE own USING fts5(body);
            CREATE VIRTUAL TABLE outside USING fts5(body, content=notes, content_rowid=id);
            CREATE VIRTUAL TABLE textless USING fts5(body, content='');
        """)
        for name in INDEXES:
            db.execute(f"INSERT INTO {name}({name}, rank) VALUES ('automerge', 0)")
        for n in range(12):
            body = " ".join(f"word{n * 7 % k} common" for k in range(1, 40))
            db.execute("INSERT INTO notes VALUES (?, ?)", (n, body))
            for name in INDEXES:
                db.execute(f"INSERT INTO {name}(rowid, body) VALUES (?, ?)", (n, body))
    return path


def found(path: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        return [
            db.execute(f"SELECT rowid FROM {name} WHERE {name} MATCH 'word3' ORDER BY rank, rowid").fetchall()
            for name in INDEXES
        ]


def segments(path: Path, name: str = "own") -> int:
    with closing(sqlite3.connect(path)) as db:
        ((count,),) = db.execute(f"SELECT count(DISTINCT segid) FROM {name}_idx")
    return int(count)


async def test_the_segments_of_full_text_indexes_are_merged_and_searches_find_the_same(texts: Path) -> None:
    before = found(texts)
    assert all(before)
    assert segments(texts) == 12
    async with stepwise(resolve(str(texts)).connect(lock_timeout=1)) as session:
        facts = await session.facts(Operation.FTS_OPTIMIZE)
        steps = (await session.plan(Operation.FTS_OPTIMIZE, Options())).steps
        assert [step.object for step in steps] == list(INDEXES)
        assert {(await execute(session, step)).status for step in steps} == {Status.COMPLETED}
        after = await session.facts(Operation.FTS_OPTIMIZE)
    assert (facts["fts_segments"], after["fts_segments"]) == (36, 3)
    assert found(texts) == before
    assert integrity(texts) == []
    assert statuses(await run(texts, Operation.FTS_OPTIMIZE)) == {Status.COMPLETED}  # with nothing left to merge


async def test_merges_tell_how_far_they_are(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_steps.MERGED_AT_ONCE", 1)
    with closing(sqlite3.connect(texts, isolation_level=None)) as db:
        for n in range(3):
            db.execute("INSERT INTO own(body) VALUES (?)", (" ".join(f"word{n}of{k}" for k in range(2000)),))
    told: list[float | None] = []
    async with stepwise(resolve(str(texts)).connect(lock_timeout=1)) as session:
        step = (await session.plan(Operation.FTS_OPTIMIZE, Options())).steps[0]
        context = StepContext(report=lambda progress: told.append(progress.fraction))
        assert (await session.execute(step, context)).status is Status.COMPLETED
    known = [fraction for fraction in told if fraction is not None]
    assert len(known) == len(told) > 3
    assert known == sorted(known)
    assert known[0] < 0.5 < known[-1] < 1


async def test_merges_are_cancelled_between_two_of_them(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.targets.sqlite.planning.operation_steps.MERGED_AT_ONCE", 1)
    with closing(sqlite3.connect(texts, isolation_level=None)) as db:
        for n in range(3):  # many pages, of which each merge writes one
            db.execute("INSERT INTO own(body) VALUES (?)", (" ".join(f"word{n}of{k}" for k in range(2000)),))
    before = found(texts)
    async with connected(texts) as (session, connection):
        step = (await session.plan(Operation.FTS_OPTIMIZE, Options())).steps[0]
        cancel = asyncio.Event()
        await at_second(connection, "INSERT INTO", cancel.set)
        assert (await execute(session, step, cancel)).status is Status.CANCELLED
        assert segments(texts) > 1
        assert found(texts) == before
        assert (await execute(session, step)).status is Status.COMPLETED
    assert segments(texts) == 1
    assert (found(texts), integrity(texts)) == (before, [])


async def test_trap_a_missing_tokenizer_is_named_and_fails_its_index_only(texts: Path) -> None:
    with closing(sqlite3.connect(texts, isolation_level=None)) as db:
        set_schema_sql(db, "own", "CREATE VIRTUAL TABLE own USING fts5(body, tokenize='klingon')")
    own, outside, without = (await run(texts, Operation.FTS_OPTIMIZE)).values()
    assert own.status is Status.FAILED
    assert "tokenizer: klingon" in str(own.error)
    assert "damage" not in str(own.error)
    assert (outside.status, without.status) == (Status.COMPLETED, Status.COMPLETED)
    for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE):
        assert statuses(await run(texts, operation)) == {Status.COMPLETED}
    assert (await plan(texts, Operation.CHECK)).warnings[0].startswith("own is not")
    assert statuses(await run(texts, Operation.CHECK)) == {Status.COMPLETED}


async def test_where_there_is_no_full_text_index_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE fts5(a)")
    assert (await plan(path, Operation.FTS_OPTIMIZE)).not_needed is not None


# Vacuum


@pytest.mark.parametrize("auto_vacuum", ["none", "full", "incremental"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
async def test_vacuum_keeps_what_is_said_of_the_database_itself(
    tmp_path: Path, auto_vacuum: str, encoding: str
) -> None:
    path = tmp_path / "a.db"
    pragmas = ("application_id", "user_version", "encoding", "auto_vacuum", "page_size")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"""
            PRAGMA page_size = 1024; PRAGMA encoding = '{encoding}'; PRAGMA auto_vacuum = {auto_vacuum};
            PRAGMA application_id = 305419896; PRAGMA user_version = 42;
            CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a);
            INSERT INTO t(a) VALUES ('ä'), ('b'), ('c'); DELETE FROM t WHERE id = 3;
        """)
        before = [db.execute(f"PRAGMA {pragma}").fetchone() for pragma in pragmas]
    rows = content(path)
    assert statuses(await run(path, Operation.VACUUM)) == {Status.COMPLETED}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert [db.execute(f"PRAGMA {pragma}").fetchone() for pragma in pragmas] == before
        assert content(path) == rows
        db.execute("INSERT INTO t(a) VALUES ('d')")
        assert db.execute("SELECT max(id) FROM t").fetchone() == (4,)


# Room


def bigger_than_the_disk(path: Path) -> Path:
    """A database that says that it has more pages in use than the file system could take a second time."""
    status = os.statvfs(path.parent)
    pages = min((status.f_bavail * status.f_frsize + 10**9) // 4096, 2**31)
    os.truncate(path, pages * 4096)
    with path.open("r+b") as file:
        file.seek(28)
        file.write(struct.pack(">I", pages))
    return path


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.BACKUP])
async def test_without_room_for_it_an_operation_is_refused_with_the_numbers_or_goes_on_by_force(
    tmp_path: Path, operation: Operation
) -> None:
    path = bigger_than_the_disk(make_database(tmp_path / "a.db", rows=20))
    planned = await plan(path, operation)
    assert (planned.verdict, planned.steps) == (Verdict.REFUSE, ())
    assert f" {tmp_path} (" in str(planned.refused)
    assert "use --force" in str(planned.refused)
    forced = await plan(path, operation, force=True)
    assert forced.verdict is Verdict.WARN
    assert forced.steps
    assert f" {tmp_path} (" in forced.warnings[-1]
    for other in (Operation.CHECK, Operation.ANALYZE):
        assert (await plan(path, other)).verdict is Verdict.OK


@pytest.mark.parametrize("force", [False, True])
async def test_room_that_was_taken_since_the_plan_is_missed_right_before_the_step(tmp_path: Path, force: bool) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    before = path.read_bytes()
    async with connected(path) as (session, _):
        (step,) = (await session.plan(Operation.VACUUM, Options(force=force))).steps
        assert isinstance(step, SqliteStep)
        result = await execute(session, replace(step, needs=(Need(str(tmp_path), 2**60, "the journal"),)))
    if force:
        assert result.status is Status.COMPLETED
    else:
        assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
        assert "for the journal" in str(result.error)
        assert path.read_bytes() == before


async def test_a_directory_that_is_gone_since_the_plan_is_told_in_words(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    place = tmp_path / "place"
    place.mkdir()
    async with connected(path) as (session, _):
        copy, check = (await session.plan(Operation.BACKUP, Options(backup_to=str(place)))).steps
        place.rmdir()
        result = await execute(session, copy)
        assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
        assert f"no directory {place}" in str(result.error)
        assert (await execute(session, check)).status is Status.SKIPPED
    assert files_beside(path) == {"a.db"}


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("operation", SQLITE_OPERATIONS)
async def test_a_file_that_is_moved_after_the_plan_makes_no_step_fail_but_in_words(
    tmp_path: Path, operation: Operation, journal_mode: str
) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode, auto_vacuum="incremental")
    before = content(path)
    async with connected(path) as (session, _):
        steps = (await session.plan(operation, Options(jobs=2 if operation is Operation.CHECK else None))).steps
        path.rename(tmp_path / "moved.db")
        for step in steps:
            assert isinstance(step, SqliteStep)
            result = await execute(session, replace(step, read_ahead=True))
            assert (result.status is Status.FAILED) is bool(result.error) or result.status is Status.SKIPPED
        with pytest.raises(TargetUnavailableError, match="moved, replaced"):
            await session.session.facts()
        with pytest.raises(TargetUnavailableError, match="moved, replaced"):
            await session.plan(operation, Options())
    for log in ("-wal", "-journal"):  # of what has been moved without them
        (tmp_path / f"a.db{log}").unlink(missing_ok=True)
    assert (content(tmp_path / "moved.db"), integrity(tmp_path / "moved.db")) == (before, [])


async def test_each_step_finds_the_settings_that_the_plan_says(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    async with connected(path) as (session, connection):
        planned = await session.plan(Operation.ANALYZE, Options(analysis_limit=123))
        seen: list[str] = []
        await connection.set_trace_callback(seen.append)
        for step in planned.steps:
            await execute(session, step)
        ((limit,),) = await connection.execute_fetchall("PRAGMA analysis_limit")
    assert limit == 123
    assert "PRAGMA analysis_limit = 123" in planned.settings
    settings = [sql for sql in seen if sql in planned.settings]
    assert settings == list(planned.settings)  # once, not again for every step
