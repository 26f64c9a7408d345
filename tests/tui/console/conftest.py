from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion
from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.screen import Screen

from engine.store.sqlite.store import SqliteStore
from engine.targets import disk_space
from engine.targets.sqlite.planning import planner
from tests.tui.console.harness import Clock, worker_process
from tests.tui.console.quiet import draw_later, until_idle
from tui.console.parts import target_inspector

PARSED: dict[object, list[RuleSet]] = {}


@pytest.fixture(autouse=True)
def _same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place, a time zone, a machine and a version of SQLite that every frame can show; no glance unasked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(target_inspector, "PRESENCE_EVERY", 3600.0)
    monkeypatch.setattr(planner, "available_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(planner, "processors", lambda: 2)
    # A loaded machine has as much time for advice as another one.
    monkeypatch.setattr(target_inspector, "ADVICE_BUDGET", 60.0)
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 20_000_000_000)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.46.0")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _no_guess_when_it_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("textual.app", "textual.pilot"):
        monkeypatch.setattr(f"{module}.wait_for_idle", until_idle)
    monkeypatch.setattr(Screen, "_compositor_refresh", draw_later)


@pytest.fixture(autouse=True)
def _styles_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each console has the same ones; Textual keeps what it parsed for the next time in the same app only."""
    parse = Stylesheet._parse_rules

    def parse_once(
        stylesheet: Stylesheet, css: str, read_from: Any, is_default_rules: bool, tie_breaker: int, scope: str
    ) -> list[RuleSet]:
        key = (css, read_from, is_default_rules, tie_breaker, scope, tuple(stylesheet._variables.items()))
        if key not in PARSED:
            PARSED[key] = parse(stylesheet, css, read_from, is_default_rules, tie_breaker, scope)
        return PARSED[key]

    monkeypatch.setattr(Stylesheet, "_parse_rules", parse_once)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """`sales.db`: 128 pages, a quarter of them free, whatever the version of SQLite."""
    path = tmp_path / "sales.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT)")
        db.execute('CREATE INDEX "my-index" ON orders(note)')
        db.execute("BEGIN")
        db.executemany("INSERT INTO orders(note) VALUES (?)", ((f"{n:05} " + "x" * 100,) for n in range(2000)))
        db.execute("DELETE FROM orders WHERE id > 1400")
        db.execute("COMMIT")
    return path


@dataclass
class Seeded:
    """A store that a test writes into beside the console, as a worker process would."""

    path: Path
    store: SqliteStore
    owner: str


@pytest.fixture
async def seeded(tmp_path: Path, clock: Clock, empty_store: Path) -> AsyncIterator[Seeded]:
    path = Path(shutil.copy(empty_store, tmp_path / "jobs.db"))
    async with SqliteStore.open(path, clock=clock) as store, worker_process(store, clock, pid=4711) as owner:
        yield Seeded(path, store, owner)


@pytest.fixture
def looks_right(snapshot: SnapshotAssertion) -> Callable[[App[None]], bool]:
    """Whether the screen equals the snapshot of this test; `--snapshot-update` replaces the snapshot."""
    pictures = snapshot.use_extension(SVGImageExtension)

    def compare(app: App[None]) -> bool:
        return bool(pictures == app.export_screenshot(title="dbtend", simplify=True))

    return compare
