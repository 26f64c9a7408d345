"""The second phase of VACUUM ignores an interrupt; after a force kill the database is unchanged."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine import Engine, JobId, Operation, Reason, Request, Status
from tests.engine.processes import python
from tests.sqlite_files import files_beside, integrity

if TYPE_CHECKING:
    from pathlib import Path

STOPS_IN_THE_SECOND_PHASE = """
    import threading
    from engine import Engine
    from engine.store.sqlite.writer import Writer
    from tests.waiting import wait_until

    written, commit, between_two_commits = sys.argv[2], Writer._commit, threading.Lock()

    def commit_unless_stopped(*arguments):
        with between_two_commits:  # a process that is stopped in a commit would keep the store locked
            commit(*arguments)

    def stop_in_the_second_phase():
        wait_until(lambda: os.path.exists(written) and os.stat(written).st_size >= 1_000_000)
        with between_two_commits:
            print("writing back", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1):
            await asyncio.Event().wait()

    Writer._commit = commit_unless_stopped
    threading.Thread(target=stop_in_the_second_phase, daemon=True).start()
    asyncio.run(main())
"""
ROWS = 25_000


def make_big_database(path: Path, journal_mode: str) -> None:
    """100 MB, of which 40 are free."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -100000")
        db.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, data BLOB)")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO item SELECT i, randomblob(4000) FROM n",
            (ROWS,),
        )
        db.execute("DELETE FROM item WHERE id % 5 < 2")
        db.execute(f"PRAGMA journal_mode = {journal_mode}")


def content_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return hashlib.sha256(b"".join(data for (data,) in db.execute("SELECT data FROM item ORDER BY id"))).hexdigest()


@pytest.mark.parametrize(("journal_mode", "written"), [("delete", "-journal"), ("wal", "-wal")])
async def test_vacuum_is_ended_in_its_second_phase(
    tmp_path: Path, store_path: Path, journal_mode: str, written: str
) -> None:
    path = tmp_path / "databases" / "sales.db"
    path.parent.mkdir()
    make_big_database(path, journal_mode)
    before, size = content_of(path), path.stat().st_size
    async with Engine.open(store_path) as console:
        with python(STOPS_IN_THE_SECOND_PHASE, store_path, f"{path}{written}") as victim:
            await console.submit([Request(target=str(path), operations=(Operation.VACUUM, Operation.ANALYZE))])
            assert await victim.says() == "writing back"
            await console.cancel(JobId(1, 1))
            assert (await console.job(1)).children[0].status is Status.RUNNING
            assert (await console.preview_force_cancel(JobId(1, 1))).pid == victim.pid
            await console.cancel(JobId(1, 1), force=True)
            assert await victim.ended() == -signal.SIGKILL
        assert f"sales.db{written}" in files_beside(path)
        async with Engine.open(store_path, workers=1), asyncio.timeout(60):
            (parent,) = await console.wait([1])
    vacuum, analyze = parent.children
    assert (vacuum.status, vacuum.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
    assert (vacuum.error or "").startswith("its process was killed")
    assert (vacuum.error or "").endswith("found nothing wrong")
    assert [(a.status, a.reason, a.pid) for a in vacuum.attempts[:-1]] == [
        (Status.FAILED, Reason.OWNER_LOST, victim.pid)
    ]
    assert analyze.status is Status.COMPLETED  # it was one child that was cancelled
    assert files_beside(path) == {"sales.db"}
    assert (content_of(path), integrity(path), path.stat().st_size >= size) == (before, [], True)
