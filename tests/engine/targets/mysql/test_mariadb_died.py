"""A MariaDB server that dies under a step: its socket tells that from a shutdown; by TCP a second death does."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Operation, Options, ParentJob, Request, Status
from engine.config.model import TargetEntry
from engine.domain.damage import DamageSource
from engine.domain.statuses import Reason
from engine.domain.surveys import FleetLevel
from engine.targets.mysql.connection.errors import SocketLeftError
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.running.operation import MySqlOperation
from tests.engine.targets.mysql.a_session import filled, until
from tests.engine.targets.mysql.test_server_died import restarted_when_it_dies
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("server", [Flavor.MARIADB], ids=str, indirect=True, scope="session")
OPERATIONS = [Operation.CHECK, Operation.ANALYZE, Operation.REBUILD]


@pytest.fixture
def shop(own_server: MySqlServer) -> Iterator[MySqlDatabase]:
    with own_server.running(), new_database(own_server) as database:
        filled(database, "inn")
        filled(database, "well")
        database("CREATE OR REPLACE USER ann@'127.0.0.1'", "GRANT ALL ON *.* TO ann@'127.0.0.1'")
        yield database
        if own_server.process is None or own_server.process.poll() is not None:
            own_server.start()
        database.reconnect()


@pytest.fixture
def dies_under_inn(own_server: MySqlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_under_inn(own_server, monkeypatch, signal.SIGKILL)


def ended_under_inn(server: MySqlServer, monkeypatch: pytest.MonkeyPatch, how: signal.Signals) -> None:
    """While each command on this table is on its way, the server is halted, and never answers."""
    run = MySqlOperation._commands_of

    async def ending(self: MySqlOperation, step: Any, *others: Any) -> Any:
        if step.object != "inn":
            return await run(self, step, *others)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        running = asyncio.create_task(run(self, step, *others))
        asyncio.get_running_loop().call_soon(server.process.send_signal, how)
        if how is not signal.SIGKILL:
            asyncio.get_running_loop().call_soon(server.process.send_signal, signal.SIGCONT)
        return await running

    monkeypatch.setattr(MySqlOperation, "_commands_of", ending)


class Refusals:
    """Of connections by a socket that a server left behind: one that restarts sooner cannot be told to have died."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._refused = threading.Event()
        monkeypatch.setattr(SocketLeftError, "__init__", lambda _: self._refused.set())

    async def next(self) -> None:
        await eventually(self._refused.is_set)
        self._refused.clear()


async def run_for_a_second(shop: MySqlDatabase) -> None:
    """It tells in whole seconds when it started: two starts within one of them would look like the same."""
    shop.reconnect()
    await until(shop, "SELECT variable_value >= 1 FROM information_schema.global_status WHERE variable_name = 'UPTIME'")


async def run(engine: Engine, url: str, operation: Operation, options: Options | None = None) -> ParentJob:
    (job,) = await engine.submit([Request(target=url, operations=(operation,), options=options or Options())])
    async with asyncio.timeout(120):
        (job,) = await engine.wait([job.id])
    return job


@pytest.mark.parametrize("by_tcp", [False, True], ids=["socket", "tcp"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_a_table_under_which_it_died_is_suspect_and_left_out_until_it_is_named(
    shop: MySqlDatabase,
    operation: Operation,
    dies_under_inn: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    by_tcp: bool,
) -> None:
    url = shop.server.tcp_url(shop.name) if by_tcp else shop.url
    await run_for_a_second(shop)
    restarts = restarted_when_it_dies(shop.server, after=None if by_tcp else Refusals(monkeypatch).next)
    async with restarts as codes, Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (child,) = (await run(engine, url, operation)).children
        steps = {step.object: step for step in child.steps}
        assert (steps["inn"].status, steps["inn"].reason) == (Status.FAILED, Reason.SERVER_DIED)
        assert "the server died while" in str(steps["inn"].error)
        assert steps["well"].status is Status.COMPLETED
        # By TCP it may have been shut down: only a check, which can wait for another time, is not begun again.
        deaths = 2 if by_tcp and operation is not Operation.CHECK else 1
        assert await eventually(lambda: len(codes) == deaths)
        assert await eventually(shop.server._is_ready)
        assert [(one.object, one.source) for one in await engine.known_damage(url)] == [
            ("inn", DamageSource.SERVER_LOST)
        ]
        (survey,) = [one.survey async for one in engine.survey([TargetEntry(name="s", url=url)], refresh=True)]
        assert survey.level is FleetLevel.CRITICAL
        for other in OPERATIONS:
            (child,) = (await run(engine, url, other)).children
            assert [(step.object, step.status) for step in child.steps] == [("well", Status.COMPLETED)]
        assert len(codes) == deaths
        await run_for_a_second(shop)
        (child,) = (await run(engine, url, Operation.CHECK, Options(objects=("inn",)))).children
        assert child.reason is Reason.SERVER_DIED
        assert await eventually(lambda: len(codes) == deaths + 1)
