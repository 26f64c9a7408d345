"""Files that are no database, or cannot be maintained: refused with an error, and no file is created."""

from __future__ import annotations

import os
import random
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.errors import TargetBusyError, TargetError, TargetRefusedError, TargetUnavailableError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.sqlite.target import SqliteTarget
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.a_session import execute, plan, run, statuses
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import content, files_beside, make_database, rename_in_schema, transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "a.db", rows=20)


async def refusal(path: Path) -> TargetError:
    """The error of the preflight, which must neither create nor leave a file."""
    before = files_beside(path) if path.parent.is_dir() else set()
    with pytest.raises(TargetError) as caught:
        await resolve(str(path)).preflight(lock_timeout=1)
    assert (files_beside(path) if path.parent.is_dir() else set()) == before
    return caught.value


def patched(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_healthy_database_passes_and_nothing_is_left(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    await resolve(str(path)).preflight(lock_timeout=1)
    assert files_beside(path) == {"a.db"}


@pytest.mark.parametrize("name", ["a?b.db", "a#b.db", "100%41.db", "a b.db", "two\nlines.db", "größe.db", "\udcff.db"])
async def test_any_file_name_can_be_opened(tmp_path: Path, name: str) -> None:
    path = make_database(tmp_path / name, rows=20)
    before = files_beside(path)
    for text in (str(path), resolve(str(path)).url):
        target = resolve(text)
        await target.preflight(lock_timeout=1)
        async with stepwise(target.connect(lock_timeout=1)) as session:
            assert (await session.facts())["size"] == path.stat().st_size
            assert (await session.info()).url == target.url
    assert files_beside(path) == before


def _missing(path: Path) -> None:
    path.unlink()


def _dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere.db")


def _circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _unreadable(path: Path) -> None:
    path.chmod(0o200)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("not a database\n" * 500)


def _random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(8192))


def _wrong_magic(path: Path) -> None:
    patched(path, 0, b"SQLite format 4\0")


def _impossible_page_size(path: Path) -> None:
    patched(path, 16, struct.pack(">H", 4097))


def _future_read_version(path: Path) -> None:
    patched(path, 19, b"\3")


def _future_schema_format(path: Path) -> None:
    patched(path, 44, struct.pack(">I", 9))


def _cut_in_the_header(path: Path) -> None:
    os.truncate(path, 60)


def _broken_schema(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE (' WHERE name = 'item'")


def _nul_in_a_name(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        rename_in_schema(db, "my-index", "my\0index")


def _no_utf8_in_a_name(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        rename_in_schema(db, "my-index", b"my\xffindex")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_missing, "there is no such file"),
        (_dangling_link, "nowhere.db: there is no such file"),
        (_circle, "links lead in a circle"),
        (_directory, "a directory"),
        (_fifo, "not a regular file"),
        (_unreadable, "no permission to read it"),
        (_empty, "an empty file, not a database yet"),
        (_text, "not a SQLite database, or it is encrypted"),
        (_random_bytes, "not a SQLite database, or it is encrypted"),
        (_wrong_magic, "not a SQLite database, or it is encrypted"),
        (_impossible_page_size, "not a SQLite database, or it is encrypted"),
        (_future_read_version, "not a SQLite database, or it is encrypted"),
        (_future_schema_format, "unsupported file format"),
        (_cut_in_the_header, "too damaged to read"),
        (_broken_schema, "too damaged to read: malformed database schema (item)"),
        (_nul_in_a_name, "too damaged to read: malformed database schema (my)"),
        (_no_utf8_in_a_name, r"malformed database schema (my\xffindex) (a name in it is not valid UTF-8)"),
    ],
)
async def test_what_cannot_be_opened_is_unavailable(path: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(path)
    error = await refusal(path)
    assert isinstance(error, TargetUnavailableError)
    assert words in str(error)
    assert str(path.parent) in error.what


async def test_a_path_through_a_file_and_a_name_too_long_are_unavailable(path: Path) -> None:
    assert "not a directory" in str(await refusal(path / "b.db"))
    assert "too long" in str(await refusal(path.parent / ("x" * 300)))
    assert "no such file" in str(await refusal(path.parent / "nowhere" / "b.db"))
    with pytest.raises(TargetUnavailableError, match="no such file"):
        await resolve(str(path.parent / "b.db")).identify()


def _read_only(path: Path) -> None:
    path.chmod(0o444)


async def test_a_read_only_file_is_refused(path: Path) -> None:
    _read_only(path)
    error = await refusal(path)
    assert isinstance(error, TargetRefusedError)
    assert "file is read-only" in str(error)
    assert "only check and" in str(error)


async def test_a_read_only_directory_is_refused(path: Path) -> None:
    path.parent.chmod(0o555)
    try:
        error = await refusal(path)
    finally:
        path.parent.chmod(0o755)
    assert isinstance(error, TargetRefusedError)
    assert "directory is read-only" in str(error)


async def test_a_file_with_two_names_is_refused(path: Path) -> None:
    os.link(path, path.with_name("same.db"))
    error = await refusal(path)
    assert isinstance(error, TargetRefusedError)
    assert "hard links" in str(error)


async def test_a_database_that_stays_locked_is_busy(path: Path) -> None:
    with transaction(path, "EXCLUSIVE"), pytest.raises(TargetBusyError, match=r" 0\.05 s"):
        await SqliteTarget(str(path)).preflight(lock_timeout=0.05)
    assert files_beside(path) == {"a.db"}


def crashed_copy(path: Path) -> Path:
    """The file and its journal as a kill in the middle of a large transaction leaves them."""
    crashed = path.with_name("crashed.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.execute("UPDATE item SET note = hex(zeroblob(5000))")
        for suffix in ("", "-journal"):  # copying drops the locks; nothing is committed here any more
            Path(f"{crashed}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
        db.execute("ROLLBACK")
    return crashed


async def test_a_hot_journal_is_rolled_back(path: Path) -> None:
    before = content(path)
    crashed = crashed_copy(path)
    assert files_beside(path) == {"a.db", "crashed.db", "crashed.db-journal"}
    await resolve(str(crashed)).preflight(lock_timeout=1)  # leaves that to the job, whose log tells it
    assert "crashed.db-journal" in files_beside(path)
    async with resolve(str(crashed)).connect(lock_timeout=1):
        assert files_beside(path) == {"a.db", "crashed.db"}
    assert content(crashed) == before


@pytest.mark.parametrize("operation", [op for op in SQLITE_OPERATIONS if SqliteTarget("/a.db").operations[op].writes])
async def test_a_database_that_only_a_newer_sqlite_may_write_fails_in_words(path: Path, operation: Operation) -> None:
    patched(path, 18, b"\3")
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        planned = await session.plan(operation, Options())
        assert planned.steps or planned.not_needed
        for step in planned.steps:
            assert "read-only" in str((await execute(session, step)).error)


def _read_only_directory(path: Path) -> None:
    path.parent.chmod(0o555)


def _future_write_version(path: Path) -> None:
    patched(path, 18, b"\3")


@pytest.mark.parametrize("spoil", [_read_only, _read_only_directory, _future_write_version])
async def test_what_only_reads_can_be_done_with_a_database_that_cannot_be_written(
    path: Path, tmp_path_factory: pytest.TempPathFactory, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    copy = tmp_path_factory.mktemp("elsewhere") / "copy.db"
    try:
        assert statuses(await run(path, Operation.CHECK)) == {Status.COMPLETED}
        assert statuses(await run(path, Operation.BACKUP, backup_to=str(copy))) == {Status.COMPLETED}
        async with stepwise(resolve(str(path)).connect(lock_timeout=1, writing=False)) as session:
            assert (await session.info()).facts["tables"] == 8
    finally:
        path.parent.chmod(0o755)
    assert content(copy) == content(path)


async def test_what_only_reads_still_rolls_back_what_a_crash_left(path: Path) -> None:
    crashed = crashed_copy(path)
    assert statuses(await run(crashed, Operation.CHECK)) == {Status.COMPLETED}
    assert files_beside(path) == {"a.db", "crashed.db"}


async def test_a_crash_that_cannot_be_rolled_back_is_named_and_not_called_damage(path: Path) -> None:
    crashed = crashed_copy(path)
    crashed.chmod(0o444)
    with pytest.raises(TargetRefusedError, match="must be rolled back first"):
        await resolve(str(crashed)).preflight(lock_timeout=1, writing=False)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("CREATE TABLE t(a, b); CREATE INDEX i ON t(own(b))", "i"),
        ("CREATE TABLE t(a, b); CREATE INDEX i ON t(a) WHERE own(b) > 0", "i"),
        ("CREATE TABLE t(a, b, c AS (own(b)))", "t"),
        ("CREATE TABLE t(a, b CHECK (own(b) > 0))", "t"),
    ],
)
async def test_what_vacuum_cannot_make_anew_is_known_beforehand(tmp_path: Path, schema: str, name: str) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.create_function("own", 1, lambda _: 1, deterministic=True)
        db.executescript(schema)
    why = f"it needs what only its application has: no such function: own (for {name})"
    assert str((await plan(path, Operation.VACUUM)).refused).startswith(f"{why}. ")
    assert (await plan(path, Operation.BACKUP)).steps[0].reason.endswith(f"VACUUM cannot copy it: {why}")
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.OperationalError, match="function: own"):
        db.execute("VACUUM")


async def test_a_function_that_is_called_only_later_keeps_no_copy_from_being_made(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.create_function("own", 1, lambda _: 1, deterministic=True)
        db.executescript(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, b DEFAULT (own(1)));"
            "CREATE VIEW v AS SELECT own(b) FROM t;"
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT own(1); END"
        )
    for operation in Operation.VACUUM, Operation.BACKUP:
        assert (await plan(path, operation)).steps
