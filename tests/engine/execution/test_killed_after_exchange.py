"""A process killed right after or right before a copy took the place of a database: its job says what happened."""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine import Engine, OnDuplicate, Operation, Options, Request, Status
from engine.system.mounts import is_local_and_unlayered
from engine.targets import resolve
from tests.engine.processes import python
from tests.sqlite_files import content, make_database

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux proves that no process has a file open")

DIES_AT_THE_EXCHANGE = """
    from engine import Engine, Operation, Options, Request
    from engine.targets.sqlite.running.exchange_process import ExchangeProcess

    answer = ExchangeProcess.answer

    async def killed(*arguments):
        if sys.argv[1] == "after":
            await answer(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    ExchangeProcess.answer = killed

    async def main():
        async with Engine.open(Path(sys.argv[2]), workers=1) as engine:
            request = Request(target=sys.argv[3], operations=(Operation.VACUUM,), options=Options(swap=True))
            (job,) = await engine.submit([request])
            await engine.wait([job.id])

    asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    if not is_local_and_unlayered(str(tmp_path)):
        pytest.skip("a file can be exchanged only on a file system of this machine")
    return make_database(tmp_path / "app.db", rows=400)


async def killed(when: str, store_path: Path, path: Path) -> None:
    with python(DIES_AT_THE_EXCHANGE, when, store_path, path) as process:
        assert await process.ended() == -signal.SIGKILL


async def test_an_exchange_that_took_place_is_completed_with_its_effect_and_not_repeated(
    path: Path, store_path: Path
) -> None:
    before, old = content(path), path.stat()
    await killed("after", store_path, path)
    new = path.stat()
    assert new.st_ino != old.st_ino
    request = Request(target=str(path), operations=(Operation.VACUUM,), options=Options(swap=True))
    async with Engine.open(store_path, workers=1) as engine:
        (job,) = await engine.submit([request], on_duplicate=OnDuplicate.MERGE)
        assert (job.id, await engine.count()) == (1, 1)
        (job,) = await engine.wait([1])
    (child,) = job.children
    assert (child.status, child.error, child.attempt) == (Status.COMPLETED, None, 2)
    assert child.warnings == ("the process that ran it died once the copy had replaced the file",)
    assert (child.before or {})["size"] == old.st_size
    assert (child.after or {})["size"] == new.st_size < old.st_size
    assert (child.after or {})["file"] == await resolve(str(path)).identify()
    assert (path.stat().st_ino, content(path)) == (new.st_ino, before)
    assert {file.name for file in path.parent.glob("app.db*")} == {"app.db"}


async def test_other_jobs_of_the_database_wait_for_the_one_whose_process_was_killed(
    path: Path, store_path: Path
) -> None:
    await killed("after", store_path, path)
    async with Engine.open(store_path) as engine:
        await engine.submit([Request(target=str(path), operations=(Operation.ANALYZE,))])
    with closing(sqlite3.connect(store_path)) as store:
        assert store.execute("SELECT count(DISTINCT target_key) FROM parent_job").fetchone() == (1,)
    async with Engine.open(store_path, workers=2) as engine:
        jobs = await engine.wait([1, 2])
    first, second = (job.children[0] for job in jobs)
    assert (first.status, second.status) == (Status.COMPLETED, Status.COMPLETED)
    assert (first.finished_at or 0) <= (second.started_at or 0)


async def test_an_exchange_that_did_not_take_place_is_made_by_the_next_attempt(path: Path, store_path: Path) -> None:
    before, old = content(path), path.stat()
    await killed("before", store_path, path)
    assert path.stat().st_ino == old.st_ino
    async with Engine.open(store_path, workers=1) as engine:
        (job,) = await engine.wait([1])
    (child,) = job.children
    assert (child.status, child.attempt, child.warnings) == (Status.COMPLETED, 2, ())
    assert ((child.before or {})["size"], path.stat().st_ino != old.st_ino) == (old.st_size, True)
    assert content(path) == before


async def test_a_cancel_after_the_exchange_does_not_deny_it(path: Path, store_path: Path) -> None:
    await killed("after", store_path, path)
    with closing(sqlite3.connect(store_path)) as store, store:  # as if it had been asked to stop before it was killed
        store.execute("UPDATE child_job SET cancel_requested_at = changed_at, cancel_reason = 'cancelled_by_user'")
    async with Engine.open(store_path, workers=1) as engine:
        (job,) = await engine.wait([1])
    assert [child.status for child in job.children] == [Status.COMPLETED]
