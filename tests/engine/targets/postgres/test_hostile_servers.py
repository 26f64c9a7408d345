"""Servers that answer unlike PostgreSQL: each inspection ends soon, with one error, in little memory."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.errors import DbtendError
from engine.domain.requests import Operation, Options, Request
from engine.domain.statuses import Status
from engine.inspection import inspector
from engine.targets import connection_pool, resolve, stop_signal
from engine.targets.postgres.connection import connecting
from engine.targets.postgres.connection.bounded import MOST_MEMORY, taken
from engine.targets.postgres.reading import load_query
from engine.targets.postgres.running import statement
from engine.targets.step_execution import StepContext
from tests.engine.targets.server_session import connected
from tests.engine.targets.stepwise import stepwise
from tests.hostile_server import AT_LOGIN, HOW, hostile_server
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer
from tests.waiting import eventually

LONGEST = 120.0
"""Seconds after which a test is stuck."""
LATER = sorted(HOW.keys() - AT_LOGIN)
ALIKE = {
    "endless notifications", "endless parameters", "endless results", "endless errors", "endless readiness",
    "endless copy", "a huge error", "garbage", "http",
}  # fmt: skip
"""What is bounded as the endless rows, the endless notices and the huge field are."""
KINDS = {how: pytest.param(how, marks=[pytest.mark.long] if how in ALIKE else []) for how in HOW}
SINCE = 4
"""Answers that make a session, and the login."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a minute for each answer."""
    for module, name in (
        (load_query, "_PATIENCE"), (connecting, "CONNECTED_WITHIN"), (connecting, "ANSWER_WITHIN"),
        (connection_pool, "ALIVE_WITHIN"),
        (stop_signal, "CANCEL_GIVES_UP_AFTER"), (stop_signal, "CANCEL_AGAIN_AFTER"), (statement, "CANCEL_TIMEOUT"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 1.0)


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer) -> Iterator[Database]:
    with new_database(postgres) as database:
        database("CREATE TABLE item AS SELECT n AS id, repeat('x', 100) AS t FROM generate_series(1, 1000) AS n")
        database("CREATE INDEX item_id ON item (id)", "ANALYZE item")
        yield database


def has_been_asked(shop: Database, name: str) -> bool:
    """Whether the real server was asked for the command itself: the answer is on its way, or the last one."""
    return bool(shop(f"SELECT FROM pg_stat_activity WHERE application_name ~ '{name}' AND query ~ '^VACUUM'"))


async def ends_well(look_at: Callable[[], Awaitable[Any]]) -> str:
    """What it says; "" where it came to an end."""
    before, peak, is_over = taken(), 0, asyncio.Event()

    async def watch() -> None:
        nonlocal peak
        while not is_over.is_set():
            peak = max(peak, taken())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), 0.01)

    watching, said = asyncio.create_task(watch()), ""
    try:
        async with asyncio.timeout(LONGEST):
            await look_at()
    except DbtendError as error:
        said = str(error)
        assert said.isprintable()
        assert len(said) < 2000
    finally:
        is_over.set()
        await watching
    assert peak - before < 2 * MOST_MEMORY
    return said


@pytest.mark.parametrize("how", KINDS.values())
async def test_a_look_at_it_ends_in_a_sentence(shop: Database, how: str) -> None:
    for since in (0,) if how in AT_LOGIN else (1, SINCE):
        with hostile_server(shop, how, since) as url:
            request = Request(target=url, operations=(Operation.VACUUM, Operation.REINDEX))
            said = await asyncio.gather(
                ends_well(lambda url=url: inspector.inspect(url)),  # type: ignore[misc]
                ends_well(lambda url=url: inspector.advise(url, TargetHistory(now=0), budget=1)),  # type: ignore[misc]
                ends_well(lambda request=request: inspector.plan(request)),  # type: ignore[misc]
            )
            assert not any("makes no sense" in one for one in said)
            if since == 1 and not how.startswith("in a"):
                assert all(said)


@pytest.mark.parametrize("how", [KINDS[how] for how in LATER])
async def test_a_step_on_it_ends_whatever_it_answers(shop: Database, how: str) -> None:
    with hostile_server(shop, how, SINCE) as url:

        async def carry_out() -> None:
            async with connected(shop.url) as honest:
                (step,) = (await honest.plan(Operation.VACUUM, Options(objects=("item",)))).steps
                async with stepwise(resolve(url).connect(lock_timeout=1, name="test 1/1")) as session:
                    result = await session.execute(step, StepContext(cancel=asyncio.Event()))
                    if result.status is Status.FAILED:
                        assert result.error
                        assert result.error.isprintable()

        await ends_well(carry_out)


async def test_a_step_that_is_asked_to_stop_by_a_server_that_is_silent_says_that_it_may_still_run(
    shop: Database,
) -> None:
    async with connected(shop.url) as honest:
        (step,) = (await honest.plan(Operation.VACUUM, Options(objects=("item",)))).steps

    async def error_where_silent(since: int) -> str:
        with hostile_server(shop, "silence", since) as url:
            async with stepwise(resolve(url).connect(lock_timeout=1, name=f"test {since}/1")) as session:
                cancel = asyncio.Event()
                running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
                await eventually(lambda: running.done() or has_been_asked(shop, f"test {since}/1"))
                cancel.set()
                return str((await asyncio.wait_for(running, LONGEST)).error)

    # One of these is the answer to the command itself.
    errors = await asyncio.gather(*map(error_where_silent, (SINCE, SINCE + 1, SINCE + 2)))
    assert any("to the cancel" in error for error in errors), errors


@pytest.mark.parametrize("how", ["silence", "endless rows", "a huge field", "other values"])
async def test_its_answer_to_a_load_query_is_bounded_too(shop: Database, how: str) -> None:
    with hostile_server(shop, how, SINCE) as url:
        async with stepwise(resolve(url).connect(lock_timeout=1, writing=False)) as session:
            reader = session._reader
            said = await ends_well(lambda: load_query.ask(reader, "SELECT 0"))
        assert said.startswith(f"{resolve(url).url}: --pause-while failed: ")


@pytest.mark.parametrize("how", ["silence", "endless notices", "drip"])
async def test_a_look_that_is_given_up_ends_at_once_whatever_the_server_does(shop: Database, how: str) -> None:
    is_hostile = threading.Event()
    with hostile_server(shop, how, SINCE, is_hostile=is_hostile) as url:
        looking = asyncio.create_task(inspector.advise(url, TargetHistory(now=0), budget=1))
        await eventually(is_hostile.is_set)
        looking.cancel()
        await asyncio.wait_for(asyncio.gather(looking, return_exceptions=True), 10)


def test_every_query_says_what_its_columns_are() -> None:
    places = Path(inspect.getfile(connecting)).parents[1].rglob("*.py")
    calls = {f"{path.name}:{node.lineno}": node for path in places for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
             and node.func.attr in {"rows", "rows_or_error", "row", "row_or_error"} and node.args}  # fmt: skip
    without = {place for place, call in calls.items() if not any(keyword.arg == "row" for keyword in call.keywords)}
    assert {place.partition(":")[0] for place in without} <= {"load_query.py", "reader.py", "bounded.py"}, without
