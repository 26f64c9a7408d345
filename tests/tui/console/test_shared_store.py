"""The console on a store that many hosts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, Operation, Request, StoreLocation
from engine.config.model import TargetEntry
from tests.postgres_server import PostgresServer, running_server
from tests.shared_stores import copied_store, make_template
from tests.tui.console.harness import Clock, chosen, entry, open_console


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[StoreLocation]:
    with copied_store(postgres) as url:
        yield StoreLocation.parse(url)


@pytest.fixture
def own_server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """One that is stopped and started, with a store."""
    with running_server(postgres.binaries) as server:
        make_template(server)
        yield server


async def test_a_job_of_another_host_moves_and_ends_on_the_screen(
    shared: StoreLocation, sales: Path, clock: Clock
) -> None:
    async with open_console(shared, entry(), clock=clock) as console, Engine.open(shared, workers=1) as other:
        (job,) = await other.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
        await other.wait([job.id])
        await console.until(lambda: "✓ completed" in console.lines()[0])


async def test_a_lost_connection_is_a_line_that_heals_and_stops_the_clock(
    own_server: PostgresServer, sales: Path, clock: Clock
) -> None:
    store = StoreLocation.parse(own_server.url("empty_store"))
    async with open_console(store, entry(), clock=clock) as console:
        assert console.banner == ""
        own_server.stop()
        await console.until(lambda: "retrying" in console.banner, settled=False)
        assert "gone" not in console.text("#header")
        context, lost_at = console.app.context, clock()
        clock.forward(60)
        assert context.clock() == lost_at
        own_server.start()
        await console.until(lambda: console.banner == "", settled=False)
        assert context.clock() == lost_at + 60_000_000


async def test_one_that_only_looks_changes_nothing(shared: StoreLocation, sales: Path, clock: Clock) -> None:
    async with open_console(shared, entry(), clock=clock, read_only=True) as console:
        await console.press("p")
        assert await console.engine.paused() is None


async def test_a_file_of_another_host_is_planned_and_run_there(shared: StoreLocation, clock: Clock) -> None:
    there = TargetEntry(name="stock", url="sqlite://db2/srv/stock.db", label="PROD")
    async with open_console(shared, there, clock=clock) as console:
        assert "a worker on db2 runs" in " ".join(console.lines("#operations"))
        assert chosen(console) == []
        await console.press("r")
        assert "1 reindex  if needed" in " ".join(console.lines("#page"))
        await console.press("enter")
        assert "unknown what this blocks" in " ".join(console.lines("#text"))
        await console.press(*"stock", "enter", "2", "space", "r", "enter", *"stock", "enter")
        by_choice, needed = await console.engine.history()
        assert (needed.request.options.if_needed is None, by_choice.request.options.if_needed) == (False, None)
        assert len(by_choice.children) == 1 < len(needed.children)


async def test_files_of_other_hosts_are_among_the_plans_of_several(
    shared: StoreLocation, sales: Path, clock: Clock
) -> None:
    there = TargetEntry(name="stock", url="sqlite://db2/srv/stock.db")
    async with open_console(shared, entry(), there, clock=clock) as console:
        await console.press("1", "*", "r")
        assert "2 targets" in console.lines("#page")[0]
        await console.press("enter")
        assert len(await console.engine.history()) == 2


async def test_a_job_that_waits_for_another_host_asks_for_no_worker_here(shared: StoreLocation, clock: Clock) -> None:
    there = TargetEntry(name="stock", url="sqlite://db2/srv/stock.db")
    async with Engine.open(shared) as other:
        await other.submit([Request(target=there.url, operations=(Operation.VACUUM,))])
    async with open_console(shared, there, clock=clock) as console:
        assert console.screen_name == "MainScreen"
        await console.until(lambda: "a worker of db2" in console.banner)
        await console.until(lambda: "no worker on db2, 1 waiting" in console.text("#header"))
