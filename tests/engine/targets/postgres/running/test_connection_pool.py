"""The connections of steps: when a wait for one ends, and when one is opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine import Operation, Options, ServerOptions, Status
from engine.domain.steps import WaitsFor
from engine.domain.time_limits import Window
from engine.system.background import wait_postponing_cancel
from engine.system.dsn import address
from engine.targets import connection_pool
from engine.targets.limits import NotBegunError
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server, connect
from engine.targets.postgres.running.connection_pool import ConnectionPool
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import Told, connected
from tests.postgres_databases import SLEEPS, Database
from tests.slow_lines import slow_line


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The URL of a server that takes connections and says nothing, and what is set when it has one."""
    asked, over = asyncio.Event(), asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        try:
            await over.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield f"postgresql://joe@127.0.0.1:{server.sockets[0].getsockname()[1]}/shop", asked
    finally:
        over.set()
        server.close()


@pytest.mark.parametrize("what", ["cancel", "time limit"])
async def test_a_server_that_says_nothing_holds_up_no_cancel_and_no_time_limit(what: str) -> None:
    async with silent() as (url, asked), asyncio.timeout(5):

        async def opened() -> tuple[Connection, Server]:
            return await connect(address(url), name="test 1/1", lock_timeout=1)

        window = Window()
        context = StepContext(window=window)
        all_of_them = ConnectionPool(opened)

        async def begin() -> None:
            async with all_of_them.connection(context):
                pass

        beginning = asyncio.create_task(begin())
        await asked.wait()
        (context.cancel if what == "cancel" else window.closed).set()
        with pytest.raises(NotBegunError):
            await beginning
        await all_of_them.close()


@pytest.mark.parametrize("ignores_cancel", [False, True])
async def test_a_connection_whose_step_was_cancelled_meanwhile_is_closed(
    database: Database, tmp_path: Path, *, ignores_cancel: bool
) -> None:
    """`ignores_cancel`: the server answers only after its step was cancelled."""
    given: list[Connection] = []
    line = slow_line(database.server.base / ".s.PGSQL.5432", tmp_path, delay=0.01)
    async with asyncio.timeout(60), line:
        where = address(f"postgresql://postgres@/{database.name}?host={tmp_path}")

        async def opened() -> tuple[Connection, Server]:
            if ignores_cancel:
                beginning.cancel()
            one = await wait_postponing_cancel(connect(where, name="test 1/1", lock_timeout=1))
            given.append(one[0])
            beginning.cancel()
            return one

        async def begin() -> None:
            async with all_of_them.connection(StepContext()):
                pass

        all_of_them = ConnectionPool(opened)
        beginning = asyncio.create_task(begin())
        with pytest.raises(asyncio.CancelledError):
            await beginning
        assert [one.closed for one in given] == [True]
        await all_of_them.close()


async def test_a_server_that_has_connections_again_is_asked_for_them_while_a_long_step_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "GROW_AGAIN_AFTER", 0.2)
    database.make_slow()
    database("CREATE ROLE joe LOGIN", "CREATE TABLE item (a int)")
    database("ALTER TABLE item OWNER TO joe", "ALTER TABLE slow OWNER TO joe", "ALTER SCHEMA public OWNER TO joe")
    async with connected(database.as_user("joe")) as session, asyncio.timeout(60):
        plan = await session.plan(Operation.REINDEX, Options(jobs=2, server=ServerOptions(schemas=("public",))))
        (slow,) = plan.steps
        (item,) = (await session.plan(Operation.ANALYZE, Options(objects=("item",)))).steps
        database("ALTER ROLE joe CONNECTION LIMIT 2")
        cancel, told = asyncio.Event(), Told()
        running = asyncio.create_task(session.execute(slow, StepContext(cancel=cancel)))
        await until(database, SLEEPS)
        waiting = asyncio.create_task(session.execute(item, StepContext(report=told)))
        await told.something.wait()
        assert told.all[-1].waits_for is WaitsFor.SERVER
        database("ALTER ROLE joe CONNECTION LIMIT 5")
        assert (await waiting).status is Status.COMPLETED
        assert not running.done()
        cancel.set()
        assert (await running).status is Status.CANCELLED
