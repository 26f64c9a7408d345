"""A statement is sent, its answer read as a whole, and it is stopped where that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from engine.system.dsn import address
from engine.targets.postgres.connection.connecting import connect
from engine.targets.postgres.running.connection_pool import ConnectionPool, PooledConnection
from engine.targets.postgres.running.statement import Answer, Statements
from engine.targets.step_execution import StepContext
from engine.targets.stop_signal import StopSignal, StopSignals
from tests.postgres_databases import Database


@contextlib.asynccontextmanager
async def a_connection(database: Database) -> AsyncIterator[PooledConnection]:
    pooled = PooledConnection(*await connect(address(database.url), name="dbtend test", lock_timeout=1))
    try:
        yield pooled
    finally:
        await pooled.close()


async def answer(database: Database, command: str, *stops: StopSignal) -> Answer:
    async with a_connection(database) as pooled:
        return await pooled.statements.run(command, *stops)


async def test_rows_come_as_text(database: Database) -> None:
    query = "SELECT g, NULL, 'é' || g FROM generate_series(1, 2) AS g"
    assert (await answer(database, query)).rows == [("1", None, "é1"), ("2", None, "é2")]


async def test_a_command_that_is_larger_than_any_buffer_gets_there(database: Database) -> None:
    assert (await answer(database, f"SELECT length('{'x' * 30_000_000}')")).rows == [("30000000",)]


async def test_what_fails_is_an_answer_and_the_connection_goes_on(database: Database) -> None:
    async with a_connection(database) as pooled:
        failed = await pooled.statements.run("SELECT 1 / 0")
        assert failed.error is not None
        assert failed.error.sqlstate == "22012"
        assert (await pooled.statements.run("SELECT 1")).rows == [("1",)]


async def test_a_connection_that_is_ended_says_why(database: Database) -> None:
    ended = await answer(database, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert ended.error is not None
    assert ended.error.sqlstate == "57P01"


async def test_one_that_is_lost_is_an_error_without_a_reason(database: Database) -> None:
    connection, _ = await connect(address(database.url), name="dbtend test", lock_timeout=1)
    await connection.close()
    assert (await Statements(connection).run("SELECT 1")).error is not None


async def test_between_its_commands_anybody_may_use_the_connection(database: Database) -> None:
    async with a_connection(database) as pooled:
        for number in range(3):
            assert (await pooled.statements.run(f"SELECT {number}")).rows == [(str(number),)]
            rows = await (await pooled.connection.execute("SELECT pg_sleep(0.01), %s", (number,))).fetchall()
            assert rows == [("", number)]


async def test_one_that_is_ended_while_nothing_runs_is_listened_to_no_more(database: Database) -> None:
    async with a_connection(database) as pooled:
        assert (await pooled.statements.run("SELECT 1")).rows == [("1",)]
        assert database.end_sessions(f"pid = {pooled.server.connection_id}") == 1
        for _ in range(3):  # in the first round it is seen that there is something to read
            await asyncio.sleep(0)
        assert not pooled.statements.is_listening
        assert (failed := (await pooled.statements.run("SELECT 1")).error) is not None
        assert failed.sqlstate == "57P01"


async def test_a_step_gets_another_connection_than_one_that_was_ended_just_now(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.connection_pool.ASSUMED_ALIVE", 600.0)
    pool = ConnectionPool(lambda: connect(address(database.url), name="dbtend test", lock_timeout=1))
    backends = []
    for _ in range(2):
        async with pool.connection(StepContext()) as pooled:
            assert (await pooled.statements.run("SELECT 1")).rows == [("1",)]
            backends.append(pooled.server.connection_id)
        async with pool.connection(StepContext()) as same:
            assert same is pooled
        database.end_sessions(f"pid = {pooled.server.connection_id}")
        for _ in range(3):
            await asyncio.sleep(0)
    await pool.close()
    assert backends[0] != backends[1]


async def test_what_is_said_between_commands_belongs_to_none(database: Database) -> None:
    async with a_connection(database) as pooled:
        answer = await pooled.statements.run("SELECT 1")
        await pooled.connection.execute("DO $$ BEGIN RAISE WARNING 'by the way'; END $$")
        assert answer.notices == []
        assert (await pooled.statements.run("SELECT 2")).notices == []


async def test_a_name_that_the_encoding_does_not_have_is_an_error(database: Database) -> None:
    async with a_connection(database) as pooled:
        await pooled.connection.execute("SET client_encoding = 'LATIN1'")
        pooled.statements.close()
        failed = await Statements(pooled.connection).run("SELECT '☃'")
    assert failed.error is not None


async def test_what_one_step_sets_does_not_hold_for_the_next(database: Database) -> None:
    async with a_connection(database) as pooled:
        for settings, delay in (((("vacuum_cost_delay", "7"),), "7ms"), ((), "0"), ((), "0")):
            await pooled.set(settings)
            assert (await pooled.statements.run("SHOW vacuum_cost_delay")).rows == [(delay,)]


async def test_a_cancel_that_was_there_before_stops_it(database: Database) -> None:
    cancel = asyncio.Event()
    cancel.set()
    stopped = await answer(database, "SELECT pg_sleep(600)", StopSignals().of(cancel))
    assert stopped.was_stopped


async def test_whatever_is_set_first_stops_it_while_it_runs(database: Database) -> None:
    stops, cancel, other = StopSignals(), asyncio.Event(), StopSignal()
    async with a_connection(database) as pooled:
        for tell in (cancel.set, other.set):
            running = asyncio.create_task(pooled.statements.run("SELECT pg_sleep(600)", stops.of(cancel), other))
            sleeps = f"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {pooled.server.connection_id}"
            await asyncio.to_thread(database.wait_for, sleeps)
            tell()
            assert (await running).was_stopped
            cancel = asyncio.Event()
    await stops.end()
