"""A role or a database that may have one connection is refused at once: none could ever be had for the steps."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine import Engine, Operation, Options, Reason, Request, ServerOptions, Status
from engine.domain.claims import Claim, Report
from engine.domain.errors import TooManyConnectionsError
from engine.domain.jobs import JobId, JobType
from engine.execution.attempt import Attempt
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.system.clock import now
from engine.targets import outage, resolve
from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.session import PostgresSession
from engine.targets.session import Session
from engine.targets.target import Target
from tests.engine.targets.postgres.a_session import statuses
from tests.engine.targets.server_session import plan, run
from tests.postgres_databases import Database, as_admin


@pytest.fixture
def shop(database: Database) -> Database:
    """With a table of joe."""
    database("CREATE ROLE joe LOGIN", "CREATE TABLE item (a int)", "ALTER TABLE item OWNER TO joe")
    return database


async def test_a_role_of_one_connection_is_refused_and_of_two_works(shop: Database) -> None:
    shop("ALTER ROLE joe CONNECTION LIMIT 1")
    url = shop.as_user("joe")
    refused = (await plan(url, Operation.ANALYZE, objects=("item",))).refused or ""
    shop(refused[refused.index("ALTER ROLE ") :])
    assert statuses(await run(url, Operation.ANALYZE, objects=("item",))) == {Status.COMPLETED}


async def test_its_job_fails_at_once_and_does_not_wait_for_a_connection(shop: Database, tmp_path: Path) -> None:
    shop("ALTER ROLE joe CONNECTION LIMIT 1")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        (job,) = await engine.submit([Request(target=shop.as_user("joe"), operations=(Operation.ANALYZE,))])
        (job,) = await engine.wait([job.id])
    (child,) = job.children
    assert (child.status, child.reason, child.steps) == (Status.FAILED, Reason.REFUSED, ())
    assert 'ALTER ROLE "joe" CONNECTION LIMIT 2;' in str(child.error)


async def test_the_limit_is_that_of_the_role_that_logs_in(shop: Database) -> None:
    shop("CREATE ROLE boss", "GRANT boss TO joe", "ALTER ROLE joe SET role = 'boss'")
    shop("ALTER TABLE item OWNER TO boss", "ALTER ROLE joe CONNECTION LIMIT 1")
    refused = (await plan(shop.as_user("joe"), Operation.ANALYZE, objects=("item",))).refused
    assert 'ALTER ROLE "joe" ' in str(refused)


async def refusal(url: str) -> str | None:
    """Why a plan is refused; None where it could not be made for lack of a connection."""
    try:
        return (await plan(url, Operation.ANALYZE, objects=("item",))).refused or ""
    except TooManyConnectionsError:
        return None


async def test_a_database_of_one_connection_is_refused_but_to_a_superuser(shop: Database) -> None:
    shop(f"ALTER DATABASE {shop.name} CONNECTION LIMIT 1")
    assert (await plan(shop.url, Operation.ANALYZE, objects=("item",))).refused is None
    shop.admin.close()  # it counts, too, until its process has ended
    try:
        async with asyncio.timeout(30):
            while (refused := await refusal(shop.as_user("joe"))) is None:
                pass
        to_do = f"ALTER DATABASE {quote(shop.name)} CONNECTION LIMIT 2;"
        assert refused.endswith(f": {to_do}")
        with as_admin(shop.server.url()) as admin:
            admin.execute(to_do)
        results = await run(shop.as_user("joe"), Operation.ANALYZE, objects=("item",))
        assert statuses(results) == {Status.COMPLETED}
    finally:
        shop.reconnect()


async def test_a_server_that_is_full_before_the_first_step_is_waited_for_once_more(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "BACKOFF", (0.1,))
    take_lock, opens = PostgresSession.lock, Attempt.open
    begun = 0

    async def lose_the_connection(session: PostgresSession) -> tuple[str, ...]:
        warnings = await take_lock(session)
        if begun == 1:
            await session._reader.release()
            shop("ALTER ROLE joe CONNECTION LIMIT 0")
        return warnings

    async def lift_the_limit(attempt: Attempt, target: Target, stack: AsyncExitStack) -> Session:
        nonlocal begun
        begun += 1
        shop("ALTER ROLE joe CONNECTION LIMIT -1")
        return await opens(attempt, target, stack)

    monkeypatch.setattr(Attempt, "open", lift_the_limit)
    monkeypatch.setattr(PostgresSession, "lock", lose_the_connection)
    claim = Claim(
        job=JobId(1, 1), type=JobType.OPERATION, attempt=1, owner="me", target=shop.as_user("joe"),
        operation=Operation.ANALYZE, options=Options(objects=("item",), server=ServerOptions(server_wait=30)),
    )  # fmt: skip
    worker = DatabaseMaintenanceWorker(resolve)
    async with asyncio.timeout(60):
        reporter = Reporter(claim, ignore, now)
        outcome = await worker.execute(claim, reporter, asyncio.Event())
        await reporter.stop()
    assert (begun, outcome.status, outcome.error) == (2, Status.COMPLETED, None)


async def ignore(report: Report) -> None:
    pass
