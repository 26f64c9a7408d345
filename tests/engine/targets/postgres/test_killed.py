"""Processes killed during an operation: the server stops it, leftovers are dropped, and the history says so."""

from __future__ import annotations

import asyncio
import re
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine import Engine, JobId, Operation, Reason, Status
from engine.store.ending_texts import format_worker_death
from tests.engine.processes import python
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import connected
from tests.engine.working import job_once
from tests.postgres_databases import SLEEPS, Database

if TYPE_CHECKING:
    from engine import ChildJob

WORKS = """
    from engine import Engine, Operation, Options, Request

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            options = Options(objects=(sys.argv[4],), lock_timeout=60, confirmed=True)
            (job,) = await engine.submit(
                [Request(target=sys.argv[2], operations=(Operation(sys.argv[3]),), options=options)])
            print(job.id, flush=True)
            await engine.wait([job.id])

    asyncio.run(main())
"""


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def killed_in(database: Database, store: Path, operation: Operation, named: str) -> int:
    """The job of a process that was killed while this goes on."""
    with python(WORKS, store, database.url, operation, named) as process:
        number = int(await process.says())
        await until(database, SLEEPS)
        process.kill()
    return number


async def told(store: Path, number: int) -> None:
    """Let it go on until it says what goes on in its step."""
    async with Engine.open(store) as engine:
        await job_once(engine, number, lambda job: job.children[0].progress.phase)


async def over(store: Path, number: int) -> ChildJob:
    """The child, when another process has seen to it."""
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
        (job,) = await engine.wait([number])
    return job.children[0]


async def test_killed_in_vacuum_full_nothing_runs_any_more_and_it_is_told(database: Database, store_path: Path) -> None:
    database.make_slow()
    node = database.value("SELECT relfilenode FROM pg_class WHERE relname = 'slow'")
    with python(WORKS, store_path, database.url, Operation.VACUUM_FULL, "slow") as process:
        number = int(await process.says())
        await told(store_path, number)
        process.kill()
    child = await over(store_path, number)
    assert database.ours() == []
    assert database.value("SELECT relfilenode FROM pg_class WHERE relname = 'slow'") == node
    assert (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)
    assert str(child.error).startswith(format_worker_death(1))
    ends = " nothing changed in public.slow"
    if database.major < 14:  # a server cannot watch its clients: the next attempt ends what still runs
        ends += r"; pid \d+ of the dead process still ran and was terminated: VACUUM \(FULL, VERBOSE\) .*"
    assert re.search(ends + "$", str(child.error))


async def test_trap_a_vacuum_full_that_was_completed_while_its_process_died_is_told(
    database: Database, store_path: Path
) -> None:
    database("CREATE TABLE item AS SELECT generate_series(1, 1000) AS id")
    node = "SELECT relfilenode FROM pg_class WHERE relname = 'item'"
    before = database.value(node)
    with python(WORKS, store_path, database.url, Operation.VACUUM_FULL, "item") as process:
        with database.session("LOCK TABLE item IN ACCESS SHARE MODE"):
            number = int(await process.says())
            await told(store_path, number)
            process.signal(signal.SIGSTOP)
        await until(database, f"SELECT ({node}) <> {before}")
        process.kill()
    child = await over(store_path, number)
    assert (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)
    assert str(child.error).startswith(format_worker_death(1))
    assert " public.item has been rewritten since, by its VACUUM FULL or " in str(child.error)
    assert "run ANALYZE" in str(child.error)


async def test_killed_in_reindex_concurrently_its_leftover_is_dropped_and_it_is_run_again(
    database: Database, store_path: Path
) -> None:
    database.make_slow()
    number = await killed_in(database, store_path, Operation.REINDEX, "slow_number")
    database.set_fast()
    child = await over(store_path, number)
    assert (child.status, child.attempt) == (Status.COMPLETED, 2)
    assert [line for line in child.log if "public.slow_number_ccnew was dropped" in line.message]
    assert [(step.attempt, step.status) for step in child.steps] == [(1, Status.FAILED), (2, Status.COMPLETED)]
    assert database.invalid_indexes() == []


async def test_cancelled_by_force_what_runs_on_the_server_is_ended_and_cleaned(
    database: Database, store_path: Path
) -> None:
    database.make_slow()
    with python(WORKS, store_path, database.url, Operation.REINDEX, "slow_number") as process:
        number = int(await process.says())
        await until(database, SLEEPS)
        async with Engine.open(store_path) as engine:
            await engine.cancel(JobId(number), force=True)
        assert await process.ended() < 0
    child = await over(store_path, number)
    assert (child.status, child.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
    assert "process was killed" in str(child.error)
    assert "public.slow_number_ccnew was dropped" in str(child.error)
    assert (database.ours(), database.invalid_indexes()) == ([], [])


async def test_what_does_not_notice_that_its_client_is_gone_is_ended(database: Database) -> None:
    of_attempt = partial(
        psycopg.AsyncConnection.connect, database.url, autocommit=True, application_name="dbtend test 1/1"
    )
    async with await of_attempt() as old, await of_attempt() as idle:
        await idle.execute("SELECT 1")
        pid = old.info.backend_pid
        running = asyncio.create_task(old.execute("SELECT\n  pg_sleep(600)"))
        await until(database, SLEEPS)
        async with connected(database.url, name="test 1/2") as session:
            (told,) = await session.cleanup_orphans(())
        assert told.startswith(f"pid {pid} ")
        assert told.endswith(": SELECT pg_sleep(600)")
        with pytest.raises(psycopg.errors.AdminShutdown):
            await running
        with pytest.raises(psycopg.OperationalError):
            await idle.execute("SELECT 1")


async def test_what_another_store_runs_is_left_alone(database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(
        database.url, autocommit=True, application_name="dbtend other 1/1"
    ) as other:
        async with connected(database.url, name="test 1/2") as session:
            assert await session.cleanup_orphans(()) == ()
        await other.execute("SELECT 1")
