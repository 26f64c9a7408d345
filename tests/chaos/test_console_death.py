"""Whatever becomes of a console, the job that was started there goes on, and the next console shows it."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import Engine, HistoryFilter, JobOutcome, Operation, Request, Status
from engine.submission import manager
from tests.chaos.console import Console, console
from tests.chaos.processes import Processes, processes
from tests.chaos.trace import Trace
from tests.sqlite_files import content, integrity, make_database, transaction

CONFIG = """
[targets.sales]
url = "{}"
operations = ["vacuum"]
lock_timeout = 600
"""
LEAVES_THE_SCREEN, SHOWS_THE_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture
def all_processes(tmp_path: Path) -> Iterator[Processes]:
    with processes(Trace(tmp_path)) as started:
        yield started


def kill(opened: Console) -> None:
    opened.process.send_signal(signal.SIGKILL)


def hang_up(opened: Console) -> None:
    opened.process.send_signal(signal.SIGHUP)


def terminate(opened: Console) -> None:
    opened.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "die",
    [
        kill,
        pytest.param(hang_up, marks=pytest.mark.long),
        pytest.param(terminate, marks=pytest.mark.long),
        Console.close,
    ],
)
async def test_a_vacuum_outlives_its_console(
    all_processes: Processes, tmp_path: Path, die: Callable[[Console], None]
) -> None:
    sales, config, store = make_database(tmp_path / "sales.db"), tmp_path / "config.toml", all_processes.trace.store
    config.write_text(CONFIG.format(sales))
    before, size = content(sales), sales.stat().st_size
    arguments = ("--store", store, "--config", config)
    with transaction(sales, "DEFERRED"):  # which keeps the VACUUM waiting
        with console(all_processes.environment(), *arguments) as first:
            await first.shows("optimize")
            first.press(b"r")
            await first.shows("run this plan")
            first.press(b"\r")
            await first.shows("1 running")
            die(first)
            await first.ended()
        if die in {hang_up, terminate}:
            assert LEAVES_THE_SCREEN in first.output
            assert SHOWS_THE_CURSOR in first.output
        async with Engine.open(store) as engine:
            (going_on,) = await engine.open_jobs()
            assert going_on.children[0].status is Status.RUNNING
    async with Engine.open(store) as engine, asyncio.timeout(60):
        await engine.wait([going_on.id])
        (done,) = await engine.history(HistoryFilter(status=JobOutcome.COMPLETED))
    assert (done.id, [child.attempt for child in done.children]) == (going_on.id, [1])
    with console(all_processes.environment(), *arguments) as second:
        await second.shows("completed")
    assert sales.stat().st_size < size
    assert (content(sales), integrity(sales)) == (before, [])


async def test_a_retry_of_a_batch_that_dies_with_its_console_is_gone_on_with(
    all_processes: Processes, tmp_path: Path
) -> None:
    sales, config, store = make_database(tmp_path / "sales.db"), tmp_path / "config.toml", all_processes.trace.store
    config.write_text(CONFIG.format(sales))
    number = 2 * manager.PORTION + 1
    gone = [Request(target=str(tmp_path / f"gone-{n}.db"), operations=(Operation.CHECK,)) for n in range(number)]
    async with Engine.open(store) as engine:
        await engine.submit(gone)
    with console(all_processes.environment(), "--store", store, "--config", config) as opened:
        await opened.shows(f"{number} targets")
        opened.press(b"3gt")
        await opened.shows("again?")
        opened.press(b"y")
        await opened.shows("are submitted")
        kill(opened)
        await opened.ended()
    async with Engine.open(store) as engine:
        if left := (await engine.batch(2)).unsubmitted:
            await engine.retry_batch(1)
        jobs = [job for batch in range(1, 3 + bool(left)) for job in await engine.batch_jobs(batch)]
    assert set(Counter(job.target for job in jobs).values()) == {2}
    assert len(jobs) == 2 * number


async def test_a_run_goes_on_without_its_terminal(all_processes: Processes, tmp_path: Path) -> None:
    sales, store = make_database(tmp_path / "sales.db"), all_processes.trace.store
    arguments = ("run", sales, "--lock-timeout", 600, "--grace", 0, "--store", store)
    with transaction(sales, "EXCLUSIVE") as lock, console(all_processes.environment(), *arguments) as run:
        await run.shows("running")
        run.close()
        lock.execute("ROLLBACK")
        assert await run.ended() == 1  # nobody has read its result
    async with Engine.open(store) as engine:
        (job,) = await engine.history()
    assert (job.status, [child.attempt for child in job.children]) == (Status.COMPLETED, [1] * len(job.children))
