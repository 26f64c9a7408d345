"""Servers and accounts with few connections: operations use those that there are, and wait for those of each other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Operation, Options, Request, ServerOptions, Status
from engine.domain.errors import TargetError
from engine.domain.steps import WaitsFor
from engine.targets.outage import Outage
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.targets.mysql.a_session import a_user, filled, runs, until
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.mysql.test_cancel import HOLDS
from tests.engine.targets.server_session import Told, connected, plan, run
from tests.mysql_databases import MySqlDatabase, new_database
from tests.waiting import eventually

pytestmark = LONG_ON_MYSQL


@contextmanager
def three_databases(database: MySqlDatabase, most: int) -> Iterator[list[str]]:
    """The URLs of three, each with a table, of a user who may have so many connections."""
    with ExitStack() as stack:
        stack.enter_context(a_user(database))
        all_three = [database, *(stack.enter_context(new_database(database.server)) for _ in range(2))]
        user = f"joe_{database.name}"
        for one in all_three:
            filled(one, "item")
            database(f"GRANT ALL ON {one.name}.* TO {user}@localhost")
        database(f"ALTER USER {user}@localhost WITH MAX_USER_CONNECTIONS {most}")
        yield [one.as_user(user) for one in all_three]


async def test_attempts_that_have_a_connection_each_do_not_wait_for_each_other(database: MySqlDatabase) -> None:
    all_have_one, told = asyncio.Barrier(3), [Told() for _ in range(3)]

    async def attempt(url: str, report: Told) -> StepResult:
        async with connected(url) as session:
            await session.session.lock()
            await all_have_one.wait()
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            return await session.execute(step, StepContext(report=report))

    with three_databases(database, 3) as urls:
        async with asyncio.timeout(90):
            results = await asyncio.gather(*map(attempt, urls, told))
    assert [(result.status, result.error) for result in results] == [(Status.COMPLETED, None)] * 3
    assert {one.phases[0] for one in told if one.phases} == {"account has no connection left; next try in 1 s"}


async def test_jobs_wait_for_connections_of_other_jobs_for_as_long_as_these_work(
    database: MySqlDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past_limit: Counter[Outage[Any]] = Counter()
    goes_on = Outage._may_get_of_others

    async def count(this: Outage[Any], error: TargetError) -> bool:
        past_limit[this] += 1
        return await goes_on(this, error)

    monkeypatch.setattr(Outage, "_may_get_of_others", count)
    options = Options(lock_timeout=60, server=ServerOptions(server_wait=0.5))
    store = tmp_path / "jobs.db"
    with three_databases(database, 3) as urls:
        requests = [Request(target=url, operations=(Operation.REBUILD,), options=options) for url in urls]
        async with asyncio.timeout(120), Engine.open(store, workers=1) as first:
            with database.session(HOLDS):
                jobs = [job.id for job in await first.submit(requests)]
                await until(database, runs("ALTER", "Waiting for table metadata lock"))
                async with Engine.open(store, workers=2):  # for one job there is a connection, and none for its steps
                    await eventually(lambda: sum(number >= 3 for number in past_limit.values()) == 2)
                    children = [job.children[0] for job in await first.jobs(jobs)]
                    assert {child.status for child in children} == {Status.RUNNING}
                    for child in children[1:]:
                        assert child.progress.waits_for is WaitsFor.SERVER
                        assert str(child.progress.phase).startswith("account has no connection left; next try in ")
            children = [job.children[0] for job in await first.wait(jobs)]
    assert [(child.status, child.error) for child in children] == [(Status.COMPLETED, None)] * 3


async def test_an_account_of_one_connection_is_refused_and_of_two_works(database: MySqlDatabase) -> None:
    filled(database, "item")
    with a_user(database, "ALL") as url:
        database(f"ALTER USER joe_{database.name}@localhost WITH MAX_USER_CONNECTIONS 1")
        refused = (await plan(url, Operation.REBUILD)).refused or ""
        database(refused[refused.index("ALTER USER ") :].rstrip(";"))
        assert {result.status for result in (await run(url, Operation.REBUILD)).values()} == {Status.COMPLETED}


async def test_where_the_server_has_no_second_connection_one_is_waited_for(database: MySqlDatabase) -> None:
    filled(database, "item")
    most = database.value("SELECT @@max_connections")
    used = "SELECT COUNT(*) FROM information_schema.processlist WHERE command <> 'Daemon'"
    with a_user(database, "ALL") as url, ExitStack() as others:
        async with asyncio.timeout(60), connected(url) as session:
            others.callback(database, f"SET GLOBAL max_connections = {most}")
            while database.value(used) < 10:
                others.enter_context(database.session())
            database("SET GLOBAL max_connections = 10")
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            told = Told()
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            await told.something.wait()
            assert told.phases[0] == "server has no connection left; next try in 1 s"
            others.close()
            assert (await running).status is Status.COMPLETED
