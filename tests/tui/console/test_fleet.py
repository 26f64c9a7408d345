"""The fleet screen: all targets by level, filtered, marked, and run in one go."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.config.model import TargetEntry
from engine.fleet import surveyor
from tests.tui.console.harness import Clock, Console, entry, open_console

STORE = Path("jobs.db")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine has as much time for a survey as another one."""
    monkeypatch.setattr(surveyor, "TIME_LIMIT", 60.0)


def make_tenant(path: Path, *, rows: int, kept: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO orders(note) VALUES (?)", ((f"{n:05} " + "x" * 4000,) for n in range(rows)))
        db.execute("DELETE FROM orders WHERE id > ?", (kept,))
        db.execute("COMMIT")


@pytest.fixture
def fleet(tmp_path: Path) -> list[TargetEntry]:
    """Twelve tenants: t2 has most to win, t11 is no longer there, t12 is no database any more."""
    entries = []
    for n in range(1, 13):
        path = tmp_path / f"t{n}.db"
        if n == 12:
            path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
        elif n != 11:
            make_tenant(path, rows=12_000 if n in {2, 3} else 40, kept=100 if n == 2 else 5_000 if n == 3 else 40)
        entries.append(entry(f"t{n}", groups=("eu",) if n % 2 else ("us",)))
    return [TargetEntry(name=one.name, url=f"{one.name}.db", groups=one.groups) for one in entries]


def rows(console: Console) -> list[str]:
    return console.lines("#fleet")


def names(console: Console) -> list[str]:
    return [row.split()[0].removeprefix("●") for row in rows(console)]


async def test_it_opens_first_where_there_are_many(fleet: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *fleet, clock=clock) as console:
        assert console.screen_name == "FleetScreen"
        print("\n".join([console.text("#header"), *rows(console)]))
        assert console.text("#header").startswith("Fleet  12 targets: 1 critical")
        assert names(console)[:2] == ["t12", "t2"]


async def test_it_is_opened_by_its_key_where_there_are_few(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        assert console.screen_name == "MainScreen"
        await console.press("f")
        assert console.screen_name == "FleetScreen"
        await console.press("q")
        assert console.screen_name == "MainScreen"
