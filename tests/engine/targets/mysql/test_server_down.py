"""A server that goes down during a step: the step runs again when it is back."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress

import pytest

from engine import Operation, Options, Reason, ServerOptions, Status
from engine.domain.errors import ServerUnavailableError, TargetBusyError
from engine.targets.mysql.session import MySqlSession
from engine.targets.step_execution import DONE_OR_UNCHANGED, StepContext
from tests.engine.targets.mysql.a_session import filled, runs, until
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.server_session import Told, connected
from tests.engine.targets.stepwise import Stepwise
from tests.mysql_databases import new_database
from tests.mysql_server import MySqlServer
from tests.waiting import eventually

pytestmark = LONG_ON_MYSQL


async def test_a_rebuild_under_which_the_server_died_is_not_begun_again(own_server: MySqlServer) -> None:
    """MariaDB ends a rebuild without a word, also when it is shut down, but leaves no socket then; MySQL says it."""
    own = own_server
    with own.running(), new_database(own) as database:
        filled(database, "item", 100_000)
        async with asyncio.timeout(600), connected(database.url) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            told = Told()
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            await until(database, runs("ALTER", "altering table"))
            await asyncio.to_thread(own.stop, signal.SIGKILL)
            await asyncio.to_thread(own.start)
            result = await running
        assert (result.status, result.reason, result.stop_reason) == (Status.FAILED, Reason.SERVER_DIED, "")
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
                Status.FAILED,
                Reason.SERVER_DIED,
                DONE_OR_UNCHANGED,
            )
            assert result.stop_reason
            result = await session.execute(step, StepContext())
            assert (result.status, result.never_began) == (Status.SKIPPED, True)
        await asyncio.to_thread(own.start)


async def test_a_rebuild_that_a_shutdown_interrupts_is_begun_again_as_well(own_server: MySqlServer) -> None:
    own = own_server
    with own.running(), new_database(own) as database:
        filled(database, "item", 100_000)
        async with asyncio.timeout(600), connected(database.url) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, runs("ALTER", "altering table"))
            await asyncio.to_thread(own.stop)
            await asyncio.to_thread(own.start)
            result = await running
        assert (result.status, result.error) == (Status.COMPLETED, None)


async def test_after_a_restart_the_number_of_a_connection_means_another_session(own_server: MySqlServer) -> None:
    def session_of(one: Stepwise) -> MySqlSession:
        assert isinstance(one.session, MySqlSession)
        return one.session

    own = own_server
    with own.running(), new_database(own) as database:
        next_number_is(own, 100)
        async with connected(database.url, lock_timeout=0.1, name="one 1/1") as one:
            await one.session.lock()
            number, started = session_of(one)._reader.server.connection_id, session_of(one)._reader.server.started
            await asyncio.to_thread(own.stop, signal.SIGKILL)
            await eventually(lambda: time.time() >= started + 1)  # servers know in which second they started
            await asyncio.to_thread(own.start)
            database.reconnect()
            next_number_is(own, number)
            async with connected(database.url, name="two 1/1") as two:
                await two.session.lock()
                assert session_of(two)._reader.server.connection_id == number
                with suppress(ServerUnavailableError):
                    await session_of(one)._reader.rows("SELECT 1", row=(int,))  # it sees that its own is gone
                with pytest.raises(TargetBusyError):
                    await session_of(one)._lock.take()
                await session_of(two)._reader.rows("SELECT 1", row=(int,))


def next_number_is(server: MySqlServer, number: int) -> None:
    """Make connections until the next one has this number."""
    last = 0
    while last < number - 1:
        with server.admin() as admin, admin.cursor() as cursor:
            cursor.execute("SELECT CONNECTION_ID()")
            ((last,),) = cursor.fetchall()
    assert last == number - 1
