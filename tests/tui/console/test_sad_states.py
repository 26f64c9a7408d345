"""What goes wrong around the console, with its real causes: it says so, does nothing twice, and goes on when it can."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from textual.app import App

from engine import OnDuplicate, Operation, Request
from engine.domain.errors import StoreLostError
from engine.store.sqlite import writer
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.engine.targets.sqlite.another_process import BEGINS_TO_WRITE, another_process
from tests.sqlite_files import make_database
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, add_failed_job, add_running_job, chosen, entry, open_console
from tui.console import context as context_module
from tui.console import feed
from tui.workers.detached import DetachedWorker

LooksRight = Callable[[App[None]], bool]
both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
Size = tuple[int, int]


@pytest.fixture
def _speaks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_module, "MESSAGE_EVERY", 0.3)


@pytest.mark.usefixtures("_speaks_at_once")
async def test_a_job_is_stored_once_when_the_store_is_free_again(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BUSY_TIMEOUT", 3600)  # the write goes on for as long as a busy machine takes for this
    async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
        with another_process(sales.with_name("jobs.db"), "BEGIN EXCLUSIVE") as pid:
            await console.press("r")
            await console.pilot.press("enter")
            await console.until(lambda: "Retrying" in console.message, settled=False)
            assert f"process {pid} (python" in console.message
            assert "is writing it" in console.message
            monkeypatch.setattr(context_module, "MESSAGE_EVERY", 60)  # so that the next word stands until it was read
            await console.pilot.press("r")
            await console.until(
                lambda: console.screen_name == "PlanScreen" and "run" in console.text("#footer"), settled=False
            )
            await console.pilot.press("enter")
            await console.until(lambda: "Not done:" in console.message, settled=False)
        await console.until(lambda: "#1" in console.lines()[0], settled=False)
        await console.settle()
        assert [job.id for job in await console.engine.history()] == [1]


@pytest.mark.usefixtures("_speaks_at_once")
async def test_once_it_is_stored_nothing_says_that_the_store_is_busy(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BUSY_TIMEOUT", 3600)
    async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
        with another_process(sales.with_name("jobs.db"), "BEGIN EXCLUSIVE"):
            await console.press("r")
            await console.pilot.press("enter")
            await console.until(lambda: "Retrying" in console.message, settled=False)
        await console.until(lambda: "#1" in console.lines()[0], settled=False)
        await console.settle()
        assert console.message == ""


@pytest.mark.usefixtures("_speaks_at_once")
async def test_a_job_that_could_not_be_stored_leaves_the_choice_as_it_was(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
        monkeypatch.setattr(writer, "BUSY_TIMEOUT", 0.2)
        await console.press("2", "space")
        choice = chosen(console)
        with another_process(sales.with_name("jobs.db"), "BEGIN EXCLUSIVE") as pid:
            await console.press("r", "enter")
            assert console.message.startswith("Nothing was stored: another process has kept it locked")
            assert f"process {pid} (python" in console.message
            assert chosen(console) == choice
        await console.press("r", "enter")
        await console.until(lambda: "#1" in console.lines()[0])


@both_sizes
async def test_a_store_that_is_taken_away(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(Path("jobs.db"), entry(), clock=clock, size=size) as console:
        seeded.path.unlink()
        await console.until(lambda: "was removed while it was in use" in console.banner)
        assert "The screen shows the last state that was read." in console.banner
        await console.press("down", "h", "escape")
        assert "was removed" in console.banner
        await console.press("2", "r", "enter")
        assert "was removed" in " ".join(console.lines("#page"))
        await console.press("escape")
        hide_the_path(console, seeded.path)
        await console.settle()
        assert looks_right(console.app)
    assert not seeded.path.exists()


def hide_the_path(console: Console, path: Path) -> None:
    """No frame shows where the tests run."""
    lost = console.engine.lost
    assert lost is not None
    lost.args = (str(lost).replace(str(path.parent), "/srv"),)
    console.app.context.banner_changed.publish(console.app.context.banner)


@pytest.mark.usefixtures("sales")
async def test_the_hot_journal_of_a_crash_is_shown_and_a_plan_rolls_it_back(clock: Clock) -> None:
    path = make_database(Path("app.db"), rows=200)
    with another_process(path, program=BEGINS_TO_WRITE) as pid:
        os.kill(pid, signal.SIGKILL)
    async with open_console(Path("jobs.db"), entry("app.db"), clock=clock) as console:
        assert "hot journal" in " ".join(console.lines("#targets"))
        assert "press r to plan a check" in " ".join(console.lines("#operations"))
        assert Path("app.db-journal").exists()
        await console.press("r")
        plan = " ".join(console.lines("#page"))
        assert "check" in plan
        assert "rolled back the unfinished transaction" in plan
        assert not Path("app.db-journal").exists()


async def test_a_store_that_is_replaced(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        other = seeded.path.with_name("other.db")
        async with SqliteStore.open(other):
            pass
        other.replace(seeded.path)
        await console.until(lambda: "was replaced by another file" in console.banner)
        with pytest.raises(StoreLostError):
            await console.engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
    async with SqliteStore.open(seeded.path) as store:
        assert await store.open_jobs() == []


@both_sizes
async def test_jobs_wait_and_nobody_was_asked_to_do_them(
    size: Size, sales: Path, clock: Clock, looks_right: LooksRight
) -> None:
    async with SqliteStore.open(Path("jobs.db"), clock=clock) as store:
        await store.submit([new_job("sales"), new_job("app")], OnDuplicate.REFUSE)
    async with open_console(Path("jobs.db"), entry(), clock=clock, size=size) as console:
        await console.until(lambda: console.screen_name == "ConfirmScreen")
        await console.press("n")
        assert console.banner.startswith("2 jobs wait, no worker is up. Start one with: dbtend worker")
        assert looks_right(console.app)


@pytest.fixture
def _appearance_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WORKERS_EVERY", 0.02)


@pytest.mark.usefixtures("_appearance_often")
@pytest.mark.parametrize("cause", ["no python", "no log", "no directory"])
async def test_a_worker_that_cannot_be_started(
    cause: str, sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sales.with_name("jobs.db")
    directory = sales.with_name("jobs.db.d")
    match cause:
        case "no python":
            monkeypatch.setattr(sys, "executable", "/nowhere/python")
            said = "cannot be started: No such file or directory: /nowhere/python"
        case "no log":
            (directory / "worker.log").mkdir(parents=True)
            said = f"cannot be started: Is a directory: {directory}/worker.log"
        case _:
            async with SqliteStore.open(store):
                pass
            shutil.rmtree(directory, ignore_errors=True)
            directory.write_text("")
            said = f"{directory}: cannot be used"
    worker = DetachedWorker(store)
    async with open_console(store, entry(), clock=clock, ensure_worker=worker.ensure) as console:
        await console.press("r", "enter")
        await console.until(lambda: console.banner)
        assert console.banner.startswith("No worker: ")
        assert said.replace(" ", "") in console.banner.replace(" ", "")
        await console.press("down")
        assert console.banner.startswith("No worker: ")


async def test_nothing_is_said_while_all_is_well(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        assert (console.banner, console.message) == ("", "")


async def test_a_message_does_not_show_in_a_window_that_is_too_small(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        seeded.path.unlink()
        await console.until(lambda: console.banner)
        await console.press("c")
        await console.pilot.resize_terminal(58, 12)
        await console.until(lambda: console.text("#too-small") == "Too small: 58 x 12. Needs 60 x 15. q leaves.")
        shown = {widget.id for widget in console.app.screen.children if widget.display}
        assert shown == {"too-small"}
        await console.pilot.resize_terminal(40, 12)
        await console.until(lambda: console.text("#too-small") == "Needs 60 x 15. q leaves.")


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of one megabyte at `directory`, seen by this process only where it may mount."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(directory)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def can_mount_here(directory: Path) -> bool:
    try:
        with small_disk(directory):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def fill(path: Path) -> None:
    """Until nothing more can be written."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


async def test_a_full_disk_is_said_and_the_console_goes_on_when_there_is_room(
    sales: Path, tmp_path: Path, clock: Clock
) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    if not can_mount_here(disk):
        pytest.skip("no file system can be mounted here")
    with small_disk(disk):
        async with open_console(disk / "jobs.db", entry(), clock=clock) as console:
            await console.press("r", "enter")
            await console.until(lambda: "pending" in console.lines()[0])
            filler = disk / "filler"
            fill(filler)
            full, room = "the disk is full", "(make room on its file system)"
            for keys, said in (
                (("2", "space", "r", "enter"), f"{full}: nothing was submitted {room}"),
                (("3", "c", "y"), f"{full} {room}"),
                (("3", "m"), f"{full} {room}"),
            ):
                await console.press(*keys)
                assert said in console.message
            assert [job.id for job in await console.engine.open_jobs()] == [1]
            filler.unlink()
            await console.press("3", "c", "y")
            await console.until(lambda: "cancelled" in console.lines()[0])


async def test_a_target_that_is_locked(sales: Path, clock: Clock) -> None:
    with another_process(sales, "BEGIN EXCLUSIVE") as pid:
        async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
            said = " ".join(line.strip() for line in console.lines("#operations"))
            assert f"process {pid} (python" in said
            assert said.endswith("Retried automatically.")
            await console.press("r")
            assert "locked" in console.message
            assert f"process {pid} (python" in console.message
