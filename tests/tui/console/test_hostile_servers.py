"""The console with a server that answers as no PostgreSQL does beside a good database: that one stays usable."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine import Operation
from engine.config.model import TargetEntry
from engine.targets.postgres.connection import connecting
from tests.hostile_server import hostile_server
from tests.postgres_databases import Database
from tests.tui.console.harness import Clock, entry, open_console


@pytest.mark.parametrize(
    ("how", "since"),
    [
        ("more columns", 7), ("no row", 7), ("other values", 9), ("endless rows", 8), ("a huge field", 7),
        ("endless notices", 1), ("errors in several lines", 7), ("garbage", 1), ("version 0", 0), ("silence", 1),
        ("silence", 8),
    ],
)  # fmt: skip
async def test_a_good_database_stays_usable(
    database: Database, sales: Path, clock: Clock, how: str, since: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how != "silence":
        monkeypatch.setattr(connecting, "ANSWER_WITHIN", 2.0)
    with ExitStack() as servers:
        url = servers.enter_context(hostile_server(database, how, since))
        bad = TargetEntry(name="bad", url=url, operations=(Operation.VACUUM,))
        async with open_console(Path("jobs.db"), bad, entry(), clock=clock, size=(120, 40), settled=False) as console:

            def says(text: str) -> bool:
                return any(text in line for line in console.lines("#operations"))

            await console.until(lambda: console.tree.line_count, settled=False)
            await console.pilot.press("1", "down")
            await console.until(lambda: says("vacuum"), settled=False)
            await console.until(lambda: says("[x]"), settled=False)
            assert console.app.is_running
            async with asyncio.timeout(30):
                await console.app.action_quit()
            servers.close()  # or what still waits for its answer would be waited for here


async def test_many_that_are_silent_keep_no_file_waiting(database: Database, sales: Path, clock: Clock) -> None:
    with ExitStack() as servers:
        urls = [servers.enter_context(hostile_server(database, "silence", since)) for since in (1, 8)]
        silent = [
            TargetEntry(name=f"bad{number}", url=f"{where}?connect_timeout={number + 10}")
            for where in urls
            for number in range(10)
        ]
        async with open_console(Path("jobs.db"), *silent, entry(), clock=clock, settled=False) as console:
            await console.until(lambda: console.lines("#fleet"), settled=False)
            await console.pilot.press("slash", *"sales", "enter", "enter")

            def says(text: str) -> bool:
                return any(text in line for line in console.lines("#operations"))

            await console.until(lambda: says("[x]"), settled=False)
            servers.close()
