"""Patterns of databases of a server: they are listed in the background, and keep nothing else waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.config.model import TargetEntry
from engine.fleet import expansion
from engine.fleet.expansion import patterns_of_all_databases
from tests.postgres_databases import Database
from tests.tui.console.harness import Clock, Console, entry, open_console
from tui.console.screens.main import MainScreen

STORE = Path("jobs.db")


def names(console: Console) -> list[str]:
    main = console.app.screen_stack[0]
    assert isinstance(main, MainScreen)
    return [state.entry.name for state in main.model.states.values()]


def says(console: Console, *parts: str) -> bool:
    return any(all(part in line for part in parts) for line in console.lines("#fleet"))


async def test_a_server_that_hangs_keeps_nothing_waiting_and_says_so(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "LIST_WITHIN", 0.5)

    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(never_answers, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    all_of_it = TargetEntry(name="db1", url=f"postgresql://dba@127.0.0.1:{port}/*?sslmode=disable")
    async with open_console(STORE, entry(), all_of_it, clock=clock, settled=False) as console:
        await console.until(lambda: console.screen_name == "FleetScreen", settled=False)
        await console.until(lambda: says(console, "no answer in 0.5 s"), settled=False)
        await console.pilot.press("f", "q")
        assert names(console) == ["db1", "sales.db"]
    server.close()


async def test_all_databases_of_a_server_replace_its_pattern(database: Database, tmp_path: Path, clock: Clock) -> None:
    (pattern,) = patterns_of_all_databases([TargetEntry(name="db1", url=database.url, label="PROD")])
    async with open_console(tmp_path / "jobs.db", pattern, clock=clock, size=(160, 50)) as console:
        assert console.screen_name == "FleetScreen"
        await console.until(lambda: "postgres" in names(console))
        assert "db1" not in names(console)
        assert len(set(names(console))) == len(names(console))
        await console.until(lambda: says(console, "postgres [PROD]", "pg "))


async def test_a_wildcard_that_names_no_databases_is_one_target(clock: Clock) -> None:
    one = TargetEntry(name="one", url="host=/nowhere port=1 dbname=shop application_name=*")
    async with open_console(STORE, one, clock=clock) as console:
        assert names(console) == ["one"]
        await console.press("enter")
        assert any("one" in line for line in console.lines("#targets"))
