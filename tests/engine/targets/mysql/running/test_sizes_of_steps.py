"""The sizes of tables after their steps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine import Operation
from engine.domain.requests import Options
from engine.domain.time_limits import Window
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import tables
from engine.targets.mysql.running import sizes as sizes_of_steps
from engine.targets.mysql.running.sizes import Sizes
from engine.targets.step_execution import StepContext
from tests.engine.targets.mysql.a_session import filled, runs, until
from tests.engine.targets.mysql.looking import looking
from tests.engine.targets.server_session import connected
from tests.mysql_databases import MySqlDatabase


async def questions(reader: Reader) -> int:
    """How many statements this connection has sent."""
    query = "SHOW SESSION STATUS LIKE 'Questions'"
    ((_, number),) = await reader.rows(query, row=(str, str))
    return int(number)


async def test_one_query_answers_all_steps_that_have_ended(database: MySqlDatabase) -> None:
    database(*(f"CREATE TABLE item{number} (id INT PRIMARY KEY)" for number in range(30)))
    async with looking(database.url) as reader:
        found, sizes = await tables(reader), Sizes(reader)
        before = await questions(reader)
        told = await asyncio.gather(*(sizes.of(table, StepContext()) for table in found))
        assert await questions(reader) - before == 2  # one is that of the number itself
        await sizes.end()
    on_disk = {path.stem: path.stat().st_size for path in (database.server.data / database.name).glob("*.ibd")}
    assert dict(zip((table.name for table in found), told, strict=True)) == on_disk


async def test_the_last_step_does_not_wait_for_the_pause_after_a_query(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes_of_steps, "_REST", 1e9)
    for name in ("first", "second", "third"):
        filled(database, name)
    async with connected(database.url) as session, asyncio.timeout(60):
        planned = await session.plan(Operation.REBUILD, Options())
        first, second, third = planned.steps
        results = [await session.execute(first, StepContext())]
        waits = asyncio.create_task(session.execute(second, StepContext()))
        results += [await session.execute(third, StepContext()), await waits]
    assert all("size" in (result.effect or {}) for result in results)


async def test_no_pause_is_waited_for_where_no_other_step_begins(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes_of_steps, "_REST", 1e9)
    for name in ("first", "second", "third"):
        filled(database, name)
    async with connected(database.url, lock_timeout=30) as session, asyncio.timeout(60):
        first, second, _ = (await session.plan(Operation.REBUILD, Options())).steps
        await session.execute(first, StepContext())
        window = Window()
        with database.session(f"SELECT * FROM {second.object} LIMIT 1"):
            running = asyncio.create_task(session.execute(second, StepContext(window=window)))
            await until(database, runs("ALTER", "Waiting for table metadata lock"))
            window.closed.set()
        assert "size" in ((await running).effect or {})


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["limit", "cancel"])
async def test_r32_a_cancel_and_the_limit_end_the_pause(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    monkeypatch.setattr(sizes_of_steps, "_REST", 1e9)
    for name in ("first", "second", "third"):
        filled(database, name)
    context, is_done = StepContext(), asyncio.Event()
    async with connected(database.url) as session, asyncio.timeout(60):
        first, second, _ = (await session.plan(Operation.REBUILD, Options())).steps
        await session.execute(first, StepContext())
        in_pause = replace(context, command_finished=is_done.set)
        running = asyncio.create_task(session.execute(second, in_pause))
        await is_done.wait()
        (context.cancel if is_cancelled else context.window.closed).set()
        assert "size" in ((await running).effect or {})
