"""A network that fails, with or without a word: a step ends in the truth, here and on the server."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.targets.step_execution import StepContext
from tests.black_hole import network_to
from tests.engine.targets.postgres.a_session import until, until_gone
from tests.engine.targets.postgres.test_cancel import a_step
from tests.engine.targets.server_session import Told, connected
from tests.postgres_databases import OUR_SESSIONS, SLEEPS, Database, new_database
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops packets for a test")
# As long as it takes to give up, here and on the server, where nobody says otherwise it is a minute.
SOON = "keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=3000&connect_timeout=2"
LOST = "the connection was lost: the server crashed or was shut down at once, or the network failed"


@pytest.fixture(scope="module")
def remote(postgres: PostgresServer) -> Iterator[Database]:
    """A database on a server that is reached by TCP."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = PostgresServer(postgres.binaries)
    try:
        server.listen(port)
        server.start()
        with new_database(server) as database:
            database.make_slow()
            yield database
    finally:
        server.discard()


@pytest.mark.parametrize("how", [pytest.param("drops everything", marks=pytest.mark.long), "resets everything"])
async def test_a_network_that_fails_ends_the_step_here_and_on_the_server_and_the_next_goes_on(
    remote: Database, how: str
) -> None:
    async with asyncio.timeout(120), network_to(remote.server.tcp_port) as network:
        url = f"postgresql://postgres@127.0.0.1:{network.port}/{remote.name}?{SOON}"
        async with connected(url, 60) as session:
            step = await a_step(session, Operation.VACUUM_FULL)
            first = asyncio.create_task(session.execute(step, StepContext()))
            await until(remote, SLEEPS)
            sessions = remote.value(f"SELECT array_agg(pid)::text FROM pg_stat_activity WHERE {OUR_SESSIONS}")
            if how == "drops everything":
                network.drop_everything()
            else:
                network.reset_everything()
            result = await first
            assert (result.status, result.error) == (Status.FAILED, LOST)
            # A new one may be there: it asked whether the server had crashed.
            await until(remote, f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY ('{sessions}'))")
            told, cancel = Told(), asyncio.Event()
            following = asyncio.create_task(session.execute(step, StepContext(report=told, cancel=cancel)))
            if how == "drops everything":
                await told.something.wait()
                assert told.phases[0].startswith("server is down; next try in ")
                network.work_again()
            await until(remote, SLEEPS)
            cancel.set()
            assert (await following).status is Status.CANCELLED


@pytest.mark.long
async def test_a_cancel_does_not_wait_for_ever_for_a_network_that_drops_everything(remote: Database) -> None:
    async with asyncio.timeout(120), network_to(remote.server.tcp_port) as network:
        url = f"postgresql://postgres@127.0.0.1:{network.port}/{remote.name}?{SOON}"
        async with connected(url, 60) as session:
            step, cancel = await a_step(session, Operation.VACUUM_FULL), asyncio.Event()
            running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
            await until(remote, SLEEPS)
            network.drop_everything()
            cancel.set()
            result = await running
            # What became of it nobody can know: it is not told as cancelled.
            assert (result.status, result.error) == (Status.FAILED, LOST)
            await until_gone(remote)


async def test_the_server_gives_up_as_soon_as_we_do(remote: Database) -> None:
    url = f"postgresql://postgres@127.0.0.1:{remote.server.tcp_port}/{remote.name}?{SOON}"
    async with connected(url) as session:
        query = "SELECT current_setting('tcp_keepalives_idle'), current_setting('tcp_user_timeout')"
        ((idle, patience),) = await session._reader.rows(query, row=(str, str))
        assert (idle, patience) == ("1", "3s") or (idle, patience) == ("1", "3000")
