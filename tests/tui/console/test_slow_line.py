"""The console on a shared store behind a slow line: rows move, keys need no answer, and a cut line heals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Request, StoreLocation
from tests.shared_stores import copied_store
from tests.slow_lines import SlowLine, slow_line
from tests.tui.console.harness import Clock, entry, open_console

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

ONE_WAY = 0.025
"""Seconds: a round trip takes 50 ms."""


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    with copied_store(postgres) as made:
        yield made


@pytest.fixture
async def line(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[SlowLine]:
    async with slow_line(postgres.base / ".s.PGSQL.5432", tmp_path, delay=ONE_WAY) as opened:
        yield opened


@pytest.fixture
def store(url: str, line: SlowLine, tmp_path: Path) -> StoreLocation:
    """Reached by the slow line."""
    return StoreLocation.parse(f"{url.partition('?')[0]}?host={tmp_path}")


async def test_rows_move_keys_answer_and_a_cut_line_heals(
    url: str, store: StoreLocation, line: SlowLine, sales: Path, clock: Clock
) -> None:
    near = StoreLocation.parse(url)
    async with open_console(store, entry(), clock=clock) as console, Engine.open(near, workers=1) as other:
        (job,) = await other.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
        await other.wait([job.id])
        await console.until(lambda: "✓ completed" in console.lines()[0])

        line.stall()
        await other.submit([Request(target=str(sales), operations=(Operation.ANALYZE,))])
        await console.pilot.press("question_mark")
        await console.until(lambda: console.screen_name == "HelpScreen", settled=False)
        await console.pilot.press("q")
        await console.until(lambda: console.screen_name == "MainScreen", settled=False)
        line.go()
        await console.until(lambda: len(console.lines()) > 1)

        line.cut()
        await console.until(lambda: "retrying" in console.banner, settled=False)
        line.join()
        await console.until(lambda: console.banner == "", settled=False)


async def test_the_first_screen_needs_no_answer_of_the_server(
    store: StoreLocation, line: SlowLine, sales: Path, clock: Clock
) -> None:
    line.stall()
    async with open_console(store, entry(), clock=clock, early=True, settled=False) as console:
        await console.until(lambda: any("sales.db" in row for row in console.lines("#targets")), settled=False)
        assert console.text("#header").endswith("opening the store")
        line.go()
        await console.until(lambda: console.text("#header").endswith("nothing running"))
        assert await console.engine.opened()
