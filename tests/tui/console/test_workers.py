"""The page of the worker processes, and the pause of a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import OnDuplicate, Operation, Request
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, add_running_job, entry, finish_job, open_console, worker_process
from tui.console import feed
from tui.console.screens.workers import WorkersScreen

STORE = Path("jobs.db")


@pytest.fixture
def _appearance_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WORKERS_EVERY", 0.02)
    monkeypatch.setattr("tui.console.screens.workers.WORKERS_EVERY", 0.02)


@pytest.mark.usefixtures("_appearance_often")
async def test_the_header_says_that_a_worker_has_stalled(sales: Path, seeded: Seeded, clock: Clock) -> None:
    """No change tells of it, not even while jobs only wait."""
    async with worker_process(seeded.store, clock, pid=4712, last_beat=0):
        await seeded.store.submit([new_job()], OnDuplicate.REFUSE)
        async with open_console(seeded.path, entry(), clock=clock) as console:
            assert "worker up, 1 waiting" in console.text("#header")
            clock.forward(11)
            await console.until(lambda: "1 of 2 workers stalled, 1 waiting" in console.text("#header"))


async def test_the_header_says_that_nobody_takes_what_waits(sales: Path, clock: Clock, tmp_path: Path) -> None:
    """A `dbtend run` does its own jobs only, so it is no worker for others."""
    started: list[int] = []
    async with open_console(STORE, entry(), clock=clock, ensure_worker=lambda: started.append(1)) as console:
        store = console.engine._store
        async with worker_process(store, clock, pid=4712, serves_all=False):  # type: ignore[arg-type]
            await console.engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
            await console.until(lambda: "no worker, 1 waiting" in console.text("#header"))
            await console.until(lambda: started)


async def test_workers_are_looked_at_only_while_a_job_is_open(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        assert not console.app.context.feed.ticking
        (waiting,) = await seeded.store.submit([new_job("other")], OnDuplicate.REFUSE)
        await console.until(lambda: console.app.context.feed.ticking and console.app.context.feed.workers)
        assert [worker.pid for worker in console.app.context.feed.workers] == [4711]
        await console.engine.cancel((await console.engine.job(waiting)).children[0].id)
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: len(console.app.context.feed.open) == 2)
        await finish_job(seeded.store, seeded.owner, clock, 2)
        for child in (await console.engine.job(waiting)).children:
            await console.engine.cancel(child.id)
        await console.until(lambda: not console.app.context.feed.open)
        assert not console.app.context.feed.ticking


@pytest.mark.usefixtures("_appearance_often")
async def test_the_page_of_workers_is_live(sales: Path, seeded: Seeded, clock: Clock) -> None:
    """Also while no job is open: a process that comes or goes is no news of a job."""
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("w")
        assert console.screen_name == "WorkersScreen"
        await console.until(lambda: len(console.lines("#page")) == 2)
        assert console.lines("#page")[1].split() == ["4711", "db1", "11:06:40", "all", "jobs", "nothing"]
        async with worker_process(seeded.store, clock, pid=4712, host="db2\x1b[31m"):
            await console.until(lambda: len(console.lines("#page")) == 3)
            assert "db2\\x1b[31m" in console.lines("#page")[2]
        await console.until(lambda: len(console.lines("#page")) == 2)
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: console.lines("#page")[1].endswith("#1.2 analyze sales.db"))
        await console.press("w", "escape")
        assert console.screen_name == "MainScreen"


async def test_what_is_read_for_a_page_that_was_left_meanwhile_does_no_harm(clock: Clock) -> None:
    async with open_console(STORE, clock=clock) as console:
        await console.press("w")
        left = console.app.screen
        assert isinstance(left, WorkersScreen)
        await console.press("escape")
        await left._load()


@pytest.mark.usefixtures("_appearance_often")
async def test_what_to_do_about_a_process_that_has_stalled(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with worker_process(seeded.store, clock, pid=4712, last_beat=0) as owner:
        parent_id = await add_running_job(seeded.store, owner, clock)
        async with open_console(seeded.path, entry(), clock=clock) as console:
            await console.press("w")
            await console.until(lambda: len(console.lines("#page")) == 3)
            clock.forward(11)
            await console.until(lambda: len(console.lines("#page")) == 6)
            said = "\n".join(console.lines("#page"))
            assert "stalled: the process is alive and has work" in said
            assert "kill -CONT 4712" in said
            assert "kill -9 4712 is safe: its job is run again" in said
            await console.engine.cancel((await console.engine.job(parent_id)).children[1].id)
            await console.until(lambda: "is cancelled, as asked" in "\n".join(console.lines("#page")))


async def test_pause_asks_and_resume_does_not(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        assert console.text("#header").endswith("nothing running")
        await console.press("P")
        assert console.lines("#text")[0].strip() == "Pause all work on this store?"
        await console.press("enter")
        assert await console.engine.paused() is None
        await console.press("P", "y")
        await console.until(lambda: console.text("#header").endswith("paused"))
        paused = await console.engine.paused()
        assert paused is not None
        assert (paused.by, paused.at) == ("dba@desk", clock.now)
        assert console.text("#footer").startswith("P resume")
        await console.press("w")
        assert console.lines("#page")[0].startswith("Paused since 11:06:40 by dba@desk")
        await console.press("escape", "P")
        await console.until(lambda: console.text("#header").endswith("nothing running"))
        assert await console.engine.paused() is None
        assert "P resume" not in console.text("#footer")


async def test_the_fleet_shows_a_pause_and_resume_says_whose_it_was(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press("f", "P", "y")
        await console.until(lambda: console.text("#header").endswith("paused"))
        assert console.text("#footer").startswith("P resume")
        await console.press("P")
        await console.until(lambda: not console.text("#header").endswith("paused"))
        assert console.message == "Resumed: jobs start again. The pause was by dba@desk."


async def test_a_pause_by_others_is_seen_at_the_start_and_later(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await seeded.store.pause("cron@db1")
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.until(lambda: console.text("#header").endswith("paused"))
        await seeded.store.resume()
        await console.until(lambda: console.text("#header").endswith("nothing running"))
        await seeded.store.submit([new_job()], OnDuplicate.REFUSE)
        await seeded.store.pause("cron@db1")
        await console.until(lambda: console.text("#header").endswith("paused, 1 waiting"))


async def test_no_to_a_pause_leaves_one_that_came_meanwhile(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("P")
        await seeded.store.pause("cron@db1")
        await console.until(lambda: console.app.context.feed.pause)
        await console.press("escape")
        assert await console.engine.paused() is not None
