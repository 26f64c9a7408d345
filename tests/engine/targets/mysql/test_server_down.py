"""A server that goes down during a step: the step runs again when it is back."""

from __future__ import annotations

import asyncio
import signal

from engine import Operation, Options, Reason, ServerOptions, Status
from engine.targets.step_execution import DONE_OR_UNCHANGED, StepContext
from tests.engine.targets.mysql.a_session import filled, runs, until
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.server_session import Told, connected
from tests.mysql_databases import new_database
from tests.mysql_server import MySqlServer

pytestmark = LONG_ON_MYSQL


async def test_a_rebuild_is_begun_again_after_a_restart_and_not_where_the_server_stays_away(
    own_server: MySqlServer,
) -> None:
    own = own_server
    with own.running(), new_database(own) as database:
        filled(database, "item", 100_000)
        async with asyncio.timeout(90), connected(database.url) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            told = Told()
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            await until(database, runs("ALTER", "altering table"))
            await asyncio.to_thread(own.stop, signal.SIGKILL)
            await asyncio.to_thread(own.start)
            result = await running
        assert result.status is Status.COMPLETED
        assert result.warnings == ("item: begun twice, because the server went away",)
        assert any("next try in" in phase for phase in told.phases)
        database.reconnect()
        assert database("CHECK TABLE item QUICK")[-1][3] == "OK"
        assert not list((own.data / database.name).glob("#sql*"))

        async with asyncio.timeout(60), connected(database.url) as session:
            options = Options(server=ServerOptions(server_wait=0.1))
            (step,) = (await session.plan(Operation.REBUILD, options)).steps
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, runs("ALTER", "altering table"))
            await asyncio.to_thread(own.stop, signal.SIGKILL)
            result = await running
            assert (result.status, result.reason, result.left) == (
                Status.FAILED, Reason.SERVER_LOST, DONE_OR_UNCHANGED,
            )  # fmt: skip
            assert result.stop_reason
            result = await session.execute(step, StepContext())
            assert (result.status, result.never_began) == (Status.SKIPPED, True)
        await asyncio.to_thread(own.start)


async def test_a_rebuild_that_a_shutdown_interrupts_is_begun_again_as_well(own_server: MySqlServer) -> None:
    own = own_server
    with own.running(), new_database(own) as database:
        filled(database, "item", 100_000)
        async with asyncio.timeout(90), connected(database.url) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, runs("ALTER", "altering table"))
            await asyncio.to_thread(own.stop)
            await asyncio.to_thread(own.start)
            result = await running
        assert (result.status, result.error) == (Status.COMPLETED, None)
