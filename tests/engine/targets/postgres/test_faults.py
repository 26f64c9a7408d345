"""Servers and connections that fail: a step ends in the truth, and the next one goes on where it can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.domain.advice import Level, TargetHistory
from engine.domain.errors import PasswordNeededError, TargetRefusedError
from engine.domain.requests import Operation, Options, ServerOptions
from engine.domain.statuses import Reason, Status
from engine.targets import connection_pool, resolve
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.targets.postgres.a_session import until, until_gone
from tests.engine.targets.postgres.test_cancel import a_step
from tests.engine.targets.server_session import Told, connected, run
from tests.engine.targets.sqlite.small_disks import can_mount
from tests.engine.targets.stepwise import Stepwise
from tests.postgres_databases import OUR_SESSIONS, SLEEPS, Database, new_database
from tests.postgres_server import PostgresServer, running_server


@pytest.fixture
def own(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that only this test has."""
    with running_server(postgres.binaries) as server:
        yield server


@asynccontextmanager
async def running(session: Stepwise, database: Database) -> AsyncIterator[asyncio.Task[StepResult]]:
    step = await a_step(session, Operation.VACUUM_FULL)
    task = asyncio.create_task(session.execute(step, StepContext()))
    await until(database, SLEEPS)
    yield task


async def test_a_connection_that_was_ended_fails_its_step_and_no_other(database: Database) -> None:
    database.make_slow()
    async with connected(database.url, 60) as session, running(session, database) as task:
        database(f"SELECT pg_terminate_backend({database.ours()[0][0]})")
        result = await task
        assert (result.status, result.error) == (
            Status.FAILED,
            "an administrator ended the connection, or the server was shut down",
        )
        database.set_fast()
        step = await a_step(session, Operation.VACUUM_FULL)
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED


@pytest.mark.parametrize("assumed_alive", [0.0, 60.0])
async def test_trap_a_connection_that_was_ended_while_it_was_idle_fails_no_step(
    database: Database, monkeypatch: pytest.MonkeyPatch, assumed_alive: float
) -> None:
    monkeypatch.setattr(connection_pool, "ASSUMED_ALIVE", assumed_alive)
    database("CREATE TABLE item (id int)")
    async with connected(database.url) as session:
        step = (await session.plan(Operation.VACUUM, Options(objects=("item",)))).steps[0]
        for _ in range(2):
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
            assert database.end_sessions(OUR_SESSIONS)


async def test_a_lost_monitor_fails_no_step_and_comes_back(database: Database) -> None:
    database.make_slow()
    async with connected(database.url, 60) as session:
        step, told, cancel = await a_step(session, Operation.VACUUM_FULL), Told(), asyncio.Event()
        task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=told)))
        await until(database, SLEEPS)
        assert database.end_sessions(f"{OUR_SESSIONS} AND coalesce(wait_event, '') <> 'PgSleep'")
        told.something.clear()
        await asyncio.wait_for(told.something.wait(), 30)
        assert not task.done()
        cancel.set()
        assert (await task).status is Status.CANCELLED


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_server_that_is_stopped_ends_the_step_and_the_next_waits_for_it(
    own: PostgresServer, how: signal.Signals
) -> None:
    with new_database(own) as database:
        database.make_slow()
        database.set_fast()
        database("CHECKPOINT")  # these servers lose in a crash what they have not written yet
        async with connected(database.url, 60) as session:
            next_step = await a_step(session, Operation.VACUUM_FULL)
        database(f"ALTER DATABASE {database.name} RESET dbtend_test.fast")
        async with connected(database.url, 60) as session, running(session, database) as task:
            await asyncio.to_thread(own.stop, how)
            result = await task
            assert result.status is Status.FAILED
            assert "the server" in str(result.error)
            told = Told()
            following = asyncio.create_task(session.execute(next_step, StepContext(report=told)))
            await asyncio.wait_for(told.something.wait(), 30)
            assert told.phases[0].startswith("server is down; next try in ")
            own.start()
            database.reconnect()
            database.set_fast()
            await until(database, "SELECT true")
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
        async with connected(database.url) as session:
            assert (await session.execute(next_step, StepContext())).status is Status.COMPLETED


async def test_a_crash_of_the_server_is_told_as_that(own: PostgresServer) -> None:
    with new_database(own) as database:
        database.make_slow()
        async with connected(database.url, 60) as session, running(session, database) as task:
            pid = database.ours()[0][0]
            os.kill(pid, signal.SIGKILL)
            result = await task
            assert (result.status, result.reason) == (Status.FAILED, Reason.SERVER_DIED)
        database.reconnect()


async def test_a_server_that_does_not_come_back_is_waited_for_only_so_long(
    own: PostgresServer,
) -> None:
    server = ServerOptions(server_wait=0.05)
    with new_database(own) as database:
        database("CREATE TABLE item (id int)")
        async with connected(database.url) as session:
            step = (await session.plan(Operation.VACUUM, Options(objects=("item",), server=server))).steps[0]
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
            await asyncio.to_thread(own.stop)
            told = Told()
            result = await session.execute(step, StepContext(report=told))
            why = "server is down, for 0s by now: no server answers there"
            assert (result.status, result.error, result.stop_reason) == (Status.SKIPPED, f"not begun: {why}", why)
            assert result.never_began
            assert len(told.phases) == 1
            did = await session.facts(Operation.VACUUM)  # is known all the same
            assert (did["steps_completed"], did.get("steps_failed", 0)) == (1, 0)
            assert "size" not in did
            stopped = asyncio.Event()
            stopped.set()
            assert (await session.execute(step, StepContext(cancel=stopped))).status is Status.CANCELLED
        own.start()
        database.reconnect()


async def test_a_standby_is_refused_and_can_be_looked_at(own: PostgresServer) -> None:
    await asyncio.to_thread(own.become_standby)
    with pytest.raises(TargetRefusedError, match="it is a standby, which cannot be maintained"):
        async with connected(own.url()):
            pass
    async with connected(own.url(), writing=False) as session:
        assert (await session.info()).read_only == "it is a standby"
        advice = {one.operation: one for one in (await session.advise(TargetHistory(now=0), budget=0.5))[0]}
        assert advice[Operation.VACUUM].reason == "a standby does not count what happens to tables: ask its primary"
        assert {advice[one].level for one in (Operation.ANALYZE, Operation.OPTIMIZE)} == {Level.NONE}


@pytest.mark.skipif(os.geteuid() != 0 or not can_mount(), reason="only root may mount a small file system")
async def test_a_disk_that_is_full_fails_the_step_in_words_and_gives_its_space_back(postgres: PostgresServer) -> None:
    server = PostgresServer(postgres.binaries)
    try:
        small = server.base / "small"
        small.mkdir()
        server.start(small_disk=(small, "24m"))
        with new_database(server) as database:
            database(
                f"CREATE TABLESPACE small LOCATION '{small}'",
                "CREATE TABLE item (id int, note text) TABLESPACE small",
                "INSERT INTO item SELECT g, repeat('x', 200) FROM generate_series(1, 60000) AS g",
                "CREATE TABLE other (id int PRIMARY KEY)",
            )
            results = await run(database.url, Operation.VACUUM_FULL)
            full, other = results["public.item"], results["public.other"]
            assert (full.status, other.status) == (Status.FAILED, Status.COMPLETED)
            assert str(full.error).startswith(
                "the disk of the server is full: the space that this step took is free again"
            )
            database("DROP TABLE item", "DROP TABLESPACE small")
    finally:
        server.discard()


async def test_a_network_that_breaks_ends_the_step_here_and_on_the_server(database: Database) -> None:
    database.make_slow()
    through: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_side = await asyncio.open_unix_connection(database.server.base / ".s.PGSQL.5432")
        through.extend([writer, server_side[1]])
        await asyncio.gather(_copy(reader, server_side[1]), _copy(server_side[0], writer))

    between = Path(tempfile.mkdtemp(prefix="dbtend-net-"))
    network = await asyncio.start_unix_server(pass_on, between / ".s.PGSQL.5432")
    try:
        url = f"postgresql://postgres@:5432/{database.name}?host={between}"
        async with connected(url, 60) as session, running(session, database) as task:
            network.close()
            for writer in through:
                writer.transport.abort()
            result = await task
            assert result.status is Status.FAILED
            assert "the connection was lost" in str(result.error)
            await until_gone(database)
    finally:
        network.close()
        shutil.rmtree(between)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


async def test_a_password_comes_from_the_pass_file_and_its_lack_is_told(
    own: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "pgpass"
    passwords.write_text("*:*:*:joe:s3cret\n")
    with new_database(own) as database:
        database("CREATE ROLE joe LOGIN PASSWORD 's3cret'")
        own.ask_for_a_password("joe")
        database.reconnect()
        for mode, wrong in ((0o600, False), (0o644, True)):  # which libpq ignores
            target = resolve(database.as_user("joe"))
            passwords.chmod(mode)
            monkeypatch.setenv("PGPASSFILE", str(passwords))
            if wrong:
                with pytest.raises(PasswordNeededError, match="it asks for a password, and none was found") as caught:
                    await target.identify()
                assert "pgpass" in caught.value.hint
                assert "s3cret" not in str(caught.value)
            else:
                assert await target.identify() == await resolve(database.url).identify()
