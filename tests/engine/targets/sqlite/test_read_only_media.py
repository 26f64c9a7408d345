"""Databases where no file can be made beside them: what only reads is done all the same, or it is said what is missing.

Each test runs in a process that sees the directory through a mount that is read-only.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.errors import TargetError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets.sqlite.connection.metered import MeteredConnection, OpenDatabase
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.connection.statement import LockWait
from engine.targets.sqlite.inspection import SqliteInspection
from engine.targets.sqlite.session import SqliteSession
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.opened_file import OpenedFile
from tests.engine.targets.sqlite.a_session import execute, run
from tests.engine.targets.sqlite.small_disks import can_mount, in_a_world_of_its_own
from tests.engine.targets.stepwise import Stepwise
from tests.sqlite_files import content, files_beside, make_database

ROOT: Final = Path(__file__).parents[4]
needs_mounts = pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here, not even with unshare")


def ended(path: Path, operation: Operation, backup: Path) -> list[str]:
    """The status of each step, or the error that kept it from beginning."""
    directory = shlex.quote(str(path.parent))
    program = [sys.executable, "-m", __name__, str(path), operation, str(backup)]
    script = " && ".join(
        [
            f"mount --bind {directory} {directory}",
            f"mount -o remount,ro,bind {directory}",
            f"cd {shlex.quote(str(ROOT))}",
            f"exec {shlex.join(program)}",
        ]
    )
    done = subprocess.run(in_a_world_of_its_own(script), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    statuses: list[str] = json.loads(done.stdout)
    return statuses


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "medium"
    directory.mkdir()
    return directory


@needs_mounts
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_database_on_a_read_only_medium_is_checked_and_backed_up(
    tmp_path: Path, directory: Path, journal_mode: str
) -> None:
    path = make_database(directory / "a.db", rows=50, journal_mode=journal_mode)
    backup = tmp_path / "copy.db"
    assert set(ended(path, Operation.CHECK, backup)) == {"completed"}
    assert set(ended(path, Operation.BACKUP, backup)) == {"completed"}
    assert content(backup) == content(path)
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("PRAGMA journal_mode").fetchall() == [(journal_mode,)]
    assert files_beside(path) == {"a.db"}


@needs_mounts
def test_what_writes_is_refused_for_what_it_is(tmp_path: Path, directory: Path) -> None:
    path = make_database(directory / "a.db", rows=50)
    (error,) = ended(path, Operation.VACUUM, tmp_path / "copy.db")
    assert "is mounted read-only" in error


@needs_mounts
def test_what_is_in_a_log_that_cannot_be_read_is_not_left_out(tmp_path: Path, directory: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=50, journal_mode="wal")
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO item VALUES ('in the log', 1, '')")
        db.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", directory)
    (error,) = ended(directory / "a.db", Operation.CHECK, tmp_path / "copy.db")
    assert "is not writable" in error


async def test_what_was_read_without_locks_while_somebody_wrote_is_not_believed(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=50)
    connection = await MeteredConnection.open(connection_uri(str(path), writing=False, immutable=True), LockWait(0))
    session = Stepwise(SqliteSession(OpenDatabase(connection, OpenedFile(str(path)), 0, BlockerFinder(str(path)))))
    try:
        step, *_ = (await session.plan(Operation.CHECK, Options())).steps
        assert (await execute(session, step)).status is Status.COMPLETED
        with closing(sqlite3.connect(path)) as db:
            db.execute("DELETE FROM item")
            db.commit()
        result = await execute(session, step)
    finally:
        await session.close()
        await connection.close()
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)


@pytest.mark.parametrize("before_the_copy", [False, True])
async def test_a_copy_is_given_up_only_where_somebody_wrote_before_it_was_made(
    tmp_path: Path, before_the_copy: bool
) -> None:
    path = make_database(tmp_path / "a.db", rows=50)

    def write() -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("DELETE FROM item")
            db.commit()

    connection = await MeteredConnection.open(connection_uri(str(path), writing=False, immutable=True), LockWait(0))
    session = Stepwise(SqliteSession(OpenDatabase(connection, OpenedFile(str(path)), 0, BlockerFinder(str(path)))))
    try:
        copy, check = (await session.plan(Operation.BACKUP, Options(backup_to=str(tmp_path / "copy.db")))).steps
        if before_the_copy:
            write()
        results = [await execute(session, copy)]
        if not before_the_copy:
            write()
        results.append(await execute(session, check))
    finally:
        await session.close()
        await connection.close()
    statuses = [result.status for result in results]
    if before_the_copy:
        assert statuses == [Status.FAILED, Status.SKIPPED]
        assert files_beside(path) == {"a.db"}
    else:
        assert statuses == [Status.COMPLETED, Status.COMPLETED]
        assert files_beside(path) == {"a.db", "copy.db"}


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_advice_knows_the_journal_mode_by_the_header(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=50, journal_mode=journal_mode)
    connection = await MeteredConnection.open(connection_uri(str(path), writing=False, immutable=True), LockWait(0))
    try:
        looking = SqliteInspection(OpenDatabase(connection, OpenedFile(str(path)), 0, BlockerFinder(str(path))))
        advice, _ = await looking.advise(TargetHistory(now=0), budget=0.0)
    finally:
        await connection.close()
    (reason,) = [one.reason for one in advice if one.operation is Operation.CHECKPOINT]
    assert ("not in WAL mode" in reason) == (journal_mode == "delete")


async def main(path: Path, operation: Operation, backup: Path) -> None:
    options = {"backup_to": str(backup)} if operation is Operation.BACKUP else {}
    try:
        said = [result.status.value for result in (await run(path, operation, 0.1, **options)).values()]
    except TargetError as error:
        said = [str(error)]
    print(json.dumps(said))


if __name__ == "__main__":
    _, path_, operation_, backup_ = sys.argv
    asyncio.run(main(Path(path_), Operation(operation_), Path(backup_)))
