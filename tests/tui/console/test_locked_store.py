"""A store that others keep locked as the console is to be opened."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from textual.app import App

from engine import Engine
from engine.store.sqlite.store import SqliteStore
from tests.engine.targets.sqlite.another_process import another_process
from tests.tui.console.quiet import draw_what_has_changed
from tests.waiting import eventually
from tui.console import waiting_app
from tui.console.views.status_banner import locked_store_document, pause_before
from tui.console.waiting_app import WaitingApp

LOCKS = ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE")


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    async with SqliteStore.open(tmp_path / "jobs.db"):
        pass
    return tmp_path / "jobs.db"


def attempt(stack: AsyncExitStack, store: Path, *, read_only: bool) -> Callable[[], asyncio.Future[Engine]]:
    return lambda: asyncio.ensure_future(stack.enter_async_context(Engine.open(store, timeout=0, read_only=read_only)))


@pytest.mark.parametrize("read_only", [False, True])
async def test_it_says_who_and_goes_on_when_the_store_is_free(
    store: Path, read_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_app, "SECOND", 0.02)
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        app = WaitingApp(store, attempt(stack, store, read_only=read_only))
        async with app.run_test() as pilot:
            with another_process(store, *LOCKS) as pid:
                await eventually(lambda: app._tries >= 3)
                await pilot.pause()
                said = " ".join(app._page.line_at(n).text.strip() for n in range(app._page.line_count))
                assert f"process {pid} (python" in said
                assert "failed" in said
            engine = await eventually(lambda: app.return_value)
        assert await engine.history() == []


async def test_what_else_is_wrong_by_then_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_app, "SECOND", 0.02)
    with closing(sqlite3.connect(store)) as file:
        file.execute("PRAGMA user_version = 999")
        file.commit()
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        app = WaitingApp(store, attempt(stack, store, read_only=False))
        async with app.run_test():
            await eventually(lambda: app.error)
    assert "was written by a newer dbtend (store version 999" in str(app.error)


async def test_who_has_had_enough_leaves(store: Path) -> None:
    async with AsyncExitStack() as stack:
        app = WaitingApp(store, attempt(stack, store, read_only=False))
        with another_process(store, *LOCKS):
            async with app.run_test() as pilot:
                await pilot.press("q")
        assert (app.return_value, app.error) == (None, None)


async def test_it_is_drawn_anew_when_it_is_brought_back(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_app, "SECOND", 3600)
    async with AsyncExitStack() as stack:
        app = WaitingApp(store, attempt(stack, store, read_only=False))
        async with app.run_test() as pilot:
            await pilot.pause()
            painted: list[object] = []
            monkeypatch.setattr(app, "_display", lambda _, what: painted.append(what))
            app.app_resume_signal.publish(app)
            await pilot.pause()
            draw_what_has_changed(app)
            assert painted


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_how_it_looks(
    size: tuple[int, int], store: Path, looks_right: Callable[[App[Engine]], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_app, "SECOND", 3600)
    async with AsyncExitStack() as stack:
        app = WaitingApp(Path("/srv/jobs.db"), attempt(stack, store, read_only=False), theme="dbtend")
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            assert looks_right(app)


def test_the_words() -> None:
    lines = locked_store_document(Path("/srv/jobs\x1b.db"), "process 7 (cp) reads it", 4, 3, 100)
    assert [line.text for line in lines] == [
        "The job store is locked.",
        "/srv/jobs\\x1b.db: process 7 (cp) reads it.",
        "",
        "Next try in 4 s (3 tries failed). The console opens as soon as the store is free.",
    ]
    assert [pause_before(tries) for tries in range(1, 8)] == [1, 2, 4, 8, 10, 10, 10]
