"""Attempts of two stores never work on one database at once, nor beside what the server still runs for a dead one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from engine import Engine, Operation, Options, Reason, Request, Status
from engine.domain.errors import TargetBusyError
from engine.domain.jobs import ChildJob
from engine.store.sqlite import connections
from engine.system.private_files import directory_of
from engine.targets import resolve
from engine.targets.postgres.session import PostgresSession
from engine.targets.step_execution import StepContext
from tests.engine.processes import Process, python
from tests.engine.targets.postgres.a_session import end_what_is_left, first_step, until
from tests.engine.targets.server_session import connected
from tests.engine.targets.stepwise import Stepwise
from tests.pgbouncer import pgbouncer
from tests.postgres_databases import SLEEPS, Database

CLASS = 0x64746774
LOCKS = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {CLASS}"
OF_ATTEMPT = f"SELECT pid FROM pg_locks WHERE classid = {CLASS} AND objid = 1 AND granted"
WORKS = """
    from engine import Engine

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            await engine.wait([1])
        print("over", flush=True)

    asyncio.run(main())
"""


@pytest.fixture
def slow(database: Database) -> Database:
    database.make_slow()
    return database


async def submit(store: Path, database: Database, operation: Operation, *objects: str) -> None:
    options = Options(lock_timeout=0.3, objects=objects)
    async with Engine.open(store) as engine:
        await engine.submit([Request(target=database.url, operations=(operation,), options=options)])


async def over(store: Path) -> ChildJob:
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(90):
        (job,) = await engine.wait([1])
    return job.children[0]


@asynccontextmanager
async def working(store: Path, slow: Database) -> AsyncIterator[Process]:
    """A process that rebuilds an index, which takes long."""
    await submit(store, slow, Operation.REINDEX, "slow_number")
    with python(WORKS, store) as process:
        await until(slow, SLEEPS)
        yield process


def owner_in(store: Path) -> str:
    with closing(connections.connect_read_only(store)) as db:
        ((owner,),) = db.execute("SELECT owner FROM child_job WHERE owner IS NOT NULL").fetchall()
    return str(owner)


@pytest.mark.parametrize("stopped", [False, True])
async def test_r30_no_attempt_begins_while_one_of_another_store_lives(
    slow: Database, tmp_path: Path, stopped: bool
) -> None:
    async with working(tmp_path / "one.db", slow) as other:
        if stopped:
            other.signal(signal.SIGSTOP)
        await submit(tmp_path / "two.db", slow, Operation.CHECK)
        child = await over(tmp_path / "two.db")
        ((holder,),) = slow(OF_ATTEMPT)
    assert (child.status, child.reason, child.steps) == (Status.FAILED, Reason.TARGET_BUSY, ())
    assert f"no lock within 0.3 s: it is being worked on by pid {holder} (dbtend " in str(child.error)


async def test_r30_a_command_whose_client_was_killed_keeps_other_stores_off_until_the_server_has_ended_it(
    slow: Database, tmp_path: Path
) -> None:
    async with working(tmp_path / "one.db", slow) as other, connected(slow.url, 60, name="two 1/1") as session:
        running = slow.ours()
        other.kill()
        end_what_is_left(slow)
        await session.session.lock()
        assert len(running) == 1
        assert slow.ours() == []


async def test_a_session_that_ends_leaves_no_lock(database: Database) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY)")
    async with connected(database.url) as session:
        await session.session.lock()
        await session.execute(await first_step(session, Operation.REINDEX), StepContext())
        assert database.value(LOCKS) == 2
    await until(database, LOCKS.replace("count(*)", "count(*) = 0"))


@pytest.mark.parametrize("lock", [1, 2])
async def test_somebody_who_holds_it_for_ever_is_named_and_waited_for_no_longer_than_the_lock_timeout(
    database: Database, tmp_path: Path, lock: int
) -> None:
    with database.session(f"SELECT pg_advisory_lock({CLASS}, {lock})") as somebody:
        await submit(tmp_path / "jobs.db", database, Operation.VACUUM)
        child = await over(tmp_path / "jobs.db")
        assert child.reason is Reason.TARGET_BUSY
        assert f"it is being worked on by pid {somebody.info.backend_pid} (somebody, postgres" in str(child.error)


async def test_plans_and_inspections_do_not_wait_for_it(slow: Database, tmp_path: Path) -> None:
    async with working(tmp_path / "one.db", slow), Engine.open(tmp_path / "two.db") as engine:
        await engine.plan(Request(target=slow.url, operations=(Operation.VACUUM,)))
        await engine.advise(slow.url)
        await engine.submit([Request(target=slow.url, operations=(Operation.VACUUM,))])


async def begun(database: Database, session: Stepwise) -> int:
    """The backend that has the lock."""
    await session.session.lock()
    return int(database.value(OF_ATTEMPT))


async def test_a_session_that_is_ended_on_the_server_is_replaced_and_takes_it_again(database: Database) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY)")
    async with connected(database.url) as session:
        first = await begun(database, session)
        step = await first_step(session, Operation.REINDEX)
        database.end_sessions(f"pid = {first}")
        assert (await session.execute(step, StepContext())).status in {Status.COMPLETED, Status.FAILED}
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        assert database.value(OF_ATTEMPT) != first


async def test_r30_no_step_begins_when_all_sessions_were_lost_and_another_store_works_there(
    database: Database,
) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY)")
    async with connected(database.url, 0.3, name="one 1/1") as one, connected(database.url, name="two 1/1") as two:
        await begun(database, one)
        step = await first_step(one, Operation.REINDEX)
        assert (await one.execute(step, StepContext())).status is Status.COMPLETED
        database("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbtend one 1/1'")
        await two.session.lock()
        for _ in range(2):
            result = await one.execute(step, StepContext())
            assert result.status in {Status.FAILED, Status.SKIPPED}
        assert "(dbtend two 1/1, postgres" in str(result.error)


async def test_a_lost_session_of_its_own_that_the_server_still_has_is_ended(database: Database) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY)")
    async with connected(database.url, 10) as session:
        first = await begun(database, session)
        step = await first_step(session, Operation.REINDEX)
        assert isinstance(session.session, PostgresSession)
        reader = session.session._reader
        lost = reader.connection
        reader.connection, reader.server = await reader._reopen()  # as if only this end knew that it is lost
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        assert database.value(OF_ATTEMPT) == reader.server.connection_id != first
        await lost.close()


async def test_sessions_that_join_at_once_do_not_wait_for_each_other(database: Database) -> None:
    waits: list[str] = []
    target = resolve(database.url)
    async with target.connect(lock_timeout=5, name="test 1/1", waiting=lambda why, *_: waits.append(why)) as session:
        await session.lock()
        assert isinstance(session, PostgresSession)
        opened = await asyncio.gather(*(session._connect() for _ in range(8)))
        for connection, _ in opened:
            await connection.close()
    assert waits == []


async def test_two_processes_that_ask_at_once_never_both_have_it(database: Database) -> None:
    async def attempt(number: int) -> bool:
        async with connected(database.url, 0, name=f"{number} 1/1") as session:
            try:
                await session.session.lock()
            except TargetBusyError:
                return False
            assert database.value(f"SELECT count(*) FROM ({OF_ATTEMPT}) AS l") == 1
            return True

    assert any(await asyncio.gather(*map(attempt, range(8))))


async def test_a_pooler_gets_its_session_back_without_the_lock(database: Database) -> None:
    with pgbouncer(database, "session", pool_size=5, server_reset_query="") as pool:
        async with connected(pool.url) as session:
            await session.session.lock()
            assert database.value(LOCKS) == 1
        assert database.value(LOCKS) == 0


async def test_r30_a_process_that_was_declared_dead_in_a_step_begins_none_when_it_wakes_up(
    slow: Database, tmp_path: Path
) -> None:
    store = tmp_path / "one.db"
    async with working(store, slow) as zombie:
        zombie.signal(signal.SIGSTOP)
        lock = directory_of(store) / f"{owner_in(store)}.lock"
        lock.unlink()
        lock.touch(mode=0o600)
        slow.set_fast()
        child = await over(store)
        assert (child.status, child.attempt) == (Status.COMPLETED, 2)
        node = slow.value("SELECT relfilenode FROM pg_class WHERE relname = 'slow_number'")
        zombie.signal(signal.SIGCONT)
        assert await zombie.says() == "over"
        assert slow.value("SELECT relfilenode FROM pg_class WHERE relname = 'slow_number'") == node
        async with Engine.open(store) as engine:
            assert (await engine.job(1)).children[0] == child
