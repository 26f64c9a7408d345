"""A process that wakes up after it was declared dead does nothing more at the target."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Operation, Options, Reason, Request, Status
from engine.domain.claims import Claim, Report
from engine.domain.errors import OwnershipLostError, StoreError
from engine.domain.jobs import JobId
from engine.domain.time_limits import Window
from engine.execution.attempt import ASK_AGAIN_AFTER, Attempt
from engine.execution.knowledge import Knowledge
from engine.execution.reporter import Reporter
from engine.store.location import StoreLocation
from engine.store.sqlite import connections
from engine.system.private_files import directory_of
from tests.engine.processes import python
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.sqlite_files import make_database

ZOMBIE = """
    import logging, sqlite3
    connect, stop_at, stopped = sqlite3.connect, sys.argv[3], False

    def trace(statement):
        global stopped
        if statement.startswith(stop_at) and not stopped:
            stopped = True
            os.write(1, b"stops\\n")
            os.kill(os.getpid(), signal.SIGSTOP)
        elif stopped and statement.startswith(("REINDEX", "VACUUM", "ANALYZE")):
            os.write(1, f"{statement}\\n".encode())

    def traced(file, *arguments, **options):
        connection = connect(file, *arguments, **options)
        if sys.argv[2] in str(file):
            connection.set_trace_callback(trace)
            trace("opened")
        return connection

    sqlite3.connect = traced
    logging.getLogger("dbtend").setLevel(logging.ERROR)
    from engine import Engine
    from engine.store.location import StoreLocation

    async def main():
        store = StoreLocation(Path(sys.argv[1]), *sys.argv[4:])
        async with Engine.open(store, workers=1) as engine:
            await engine.wait([1])
            await engine.drain(60)
        print("over", flush=True)

    asyncio.run(main())
"""


async def submit(store: Path | StoreLocation, path: Path) -> None:
    async with Engine.open(store) as engine:
        options = Options(lock_timeout=1)
        await engine.submit([Request(target=str(path), operations=(Operation.REINDEX,), options=options)])


def declare_dead(store: Path) -> None:
    """As if somebody had let its lock file go: another, which nobody holds, is in its place."""
    with closing(connections.connect_read_only(store)) as db:
        ((owner,),) = db.execute("SELECT owner FROM child_job WHERE owner IS NOT NULL").fetchall()
    lock = directory_of(store) / f"{owner}.lock"
    lock.unlink()
    lock.touch(mode=0o600)


async def test_r30_stopped_in_a_step_it_keeps_others_off_and_begins_no_step_when_it_wakes_up(
    tmp_path: Path, store_path: Path
) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    await submit(store_path, path)
    with python(ZOMBIE, store_path, path, "REINDEX") as zombie:
        assert await zombie.says() == "stops"
        declare_dead(store_path)
        async with Engine.open(store_path, workers=1) as engine, asyncio.timeout(60):
            (job,) = await engine.wait([1])
            (child,) = job.children
            assert (child.status, child.reason, child.attempt) == (Status.FAILED, Reason.TARGET_BUSY, 2)
            assert f"process {zombie.pid} (" in str(child.error)
            zombie.signal(signal.SIGCONT)
            assert await zombie.says() == "over"
            assert (await engine.job(1)) == job


async def test_r30_stopped_before_its_first_step_it_begins_none_when_another_has_done_the_work(
    tmp_path: Path, store_path: Path
) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    await submit(store_path, path)
    with python(ZOMBIE, store_path, path, "opened") as zombie:
        assert await zombie.says() == "stops"
        declare_dead(store_path)
        async with Engine.open(store_path, workers=1) as engine, asyncio.timeout(60):
            (job,) = await engine.wait([1])
            assert (job.status, job.children[0].attempt) == (Status.COMPLETED, 2)
            zombie.signal(signal.SIGCONT)
            assert await zombie.says() == "over"
            assert (await engine.job(1)) == job


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    with copied_store(postgres) as url:
        yield url


async def test_r30_a_process_of_a_shared_store_begins_no_step_when_it_wakes_up_either(tmp_path: Path, url: str) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    store = StoreLocation(tmp_path / "one" / "jobs", url)
    store.path.parent.mkdir(mode=0o700)
    await submit(store, path)
    with python(ZOMBIE, store.path, path, "REINDEX", url) as zombie:
        assert await zombie.says() == "stops"
        with as_admin(url) as admin:
            ended = admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'dbtend worker'"
            ).fetchall()
        assert ended == [(True,)]
        async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
            (job,) = await engine.wait([1])
            (child,) = job.children
            assert (child.status, child.reason, child.attempt) == (Status.FAILED, Reason.TARGET_BUSY, 2)
            assert f"process {zombie.pid} (" in str(child.error)
            zombie.signal(signal.SIGCONT)
            assert await zombie.says() in {"over", ""}
            assert (await engine.job(1)) == job


def claim() -> Claim:
    return Claim(job=JobId(1, 1), type="operation", operation="vacuum", target="", options=None, owner="", attempt=1)


def attempt_of(knowledge: Knowledge) -> Attempt:
    async def ignore(report: Report) -> None:
        pass

    return Attempt(
        cancel=asyncio.Event(),
        window=Window(),
        claim=claim(),
        operation=Operation.VACUUM,
        options=Options(),
        knowledge=knowledge,
        reporter=Reporter(claim(), ignore, lambda: 0),
    )


async def test_many_short_steps_ask_once_and_one_after_a_while_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, now = 0, 100.0

    class Asked(Knowledge):
        async def require_owned(self, claim: Claim) -> None:
            nonlocal asked
            asked += 1

    monkeypatch.setattr("time.monotonic", lambda: now)
    attempt = attempt_of(Asked())
    for _ in range(1000):
        await attempt.require_owned()
    assert asked == 1
    now += ASK_AGAIN_AFTER
    await attempt.require_owned()
    assert asked == 2


async def test_a_store_that_cannot_be_read_is_asked_again_before_the_next_step() -> None:
    answers: list[Exception] = [OwnershipLostError(), StoreError("store", "is locked")]

    class Answers(Knowledge):
        async def require_owned(self, claim: Claim) -> None:
            raise answers.pop()

    attempt = attempt_of(Answers())
    await attempt.require_owned()
    with pytest.raises(OwnershipLostError):
        await attempt.require_owned()
