"""Open jobs from earlier: opening a console starts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine import OnDuplicate
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.tui.console.harness import Clock, add_running_job, entry, open_console, worker_process
from tui.console import feed


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    """A store that no process serves."""
    async with SqliteStore.open(tmp_path / "jobs.db", clock=clock) as store:
        yield store


@pytest.fixture(autouse=True)
def _appearance_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WORKERS_EVERY", 0.02)


class Starts:
    """How often a worker was asked for."""

    times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def starts() -> Starts:
    return Starts()


async def test_only_yes_goes_on_with_what_was_left(
    store: SqliteStore, sales: Path, clock: Clock, starts: Starts
) -> None:
    await store.submit([new_job("sales"), new_job("app")], OnDuplicate.REFUSE)
    async with open_console(store.path, entry(), clock=clock, ensure_worker=starts) as console:
        await console.until(lambda: console.screen_name == "ConfirmScreen")
        asked = " ".join(line.strip() for line in console.lines("#text"))
        assert "2 jobs from earlier are open and no worker is up. Start a worker for them now?" in asked
        assert "With no, they start with the next job" in asked
        assert not starts.times
        await console.press("y")
        assert starts.times


@pytest.mark.parametrize("key", ["enter", "n", "escape"])
async def test_no_leaves_them_waiting_until_a_job_is_run_here(
    key: str, store: SqliteStore, sales: Path, clock: Clock, starts: Starts
) -> None:
    await store.submit([new_job("app")], OnDuplicate.REFUSE)
    async with open_console(store.path, entry(), clock=clock, ensure_worker=starts) as console:
        await console.until(lambda: console.screen_name == "ConfirmScreen")
        assert "1 job from earlier is open" in console.lines("#text")[0]
        await console.press(key)
        await store.submit([new_job("other")], OnDuplicate.REFUSE)
        await console.until(lambda: len(console.app.context.feed.open) == 2)
        async with worker_process(store, clock, pid=4712):
            await console.until(lambda: console.app.context.feed.workers)
        await console.until(lambda: "no worker" in console.text("#header"))
        assert not starts.times
        await console.press("2", "r", "enter")
        assert starts.times


async def test_the_question_goes_away_when_another_worker_does_them(
    store: SqliteStore, sales: Path, clock: Clock, starts: Starts
) -> None:
    await store.submit([new_job("app")], OnDuplicate.REFUSE)
    async with open_console(store.path, entry(), clock=clock, ensure_worker=starts) as console:
        await console.until(lambda: console.screen_name == "ConfirmScreen")
        async with worker_process(store, clock, pid=4712):
            await console.until(lambda: console.screen_name == "MainScreen")
        assert not console.app.context.supervisor.no_worker


async def test_what_a_living_process_works_on_is_not_left_over(
    store: SqliteStore, sales: Path, clock: Clock, starts: Starts
) -> None:
    """A `dbtend run` does its own jobs."""
    async with worker_process(store, clock, pid=4712, serves_all=False) as owner:
        await add_running_job(store, owner, clock)
        async with open_console(store.path, entry(), clock=clock, ensure_worker=starts) as console:
            await console.until(lambda: "1 running" in console.text("#header"))
            assert console.screen_name == "MainScreen"
            assert not starts.times


async def test_jobs_that_are_served_are_not_asked_about_and_a_worker_that_dies_is_replaced(
    store: SqliteStore, sales: Path, clock: Clock, starts: Starts
) -> None:
    await store.submit([new_job("app")], OnDuplicate.REFUSE)
    process = worker_process(store, clock, pid=4712)
    await process.__aenter__()
    async with open_console(store.path, entry(), clock=clock, ensure_worker=starts) as console:
        await console.until(lambda: "worker up" in console.text("#header"))
        assert console.screen_name == "MainScreen"
        assert not starts.times
        await process.__aexit__(None, None, None)
        await console.until(lambda: starts.times)
