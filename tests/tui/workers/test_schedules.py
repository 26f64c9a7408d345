"""Permanent workers fire schedules: real processes, by a clock that the test sets."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from engine import Engine, ParentJob, WorkerProcess
from engine.domain.schedules import Firing, FiringStatus
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tests.waiting import wait_until

A_WORKER = """
import sys, time
from pathlib import Path
from engine.schedules import scheduler
from engine.system import clock
ahead = Path(sys.argv[1])
clock.now._wall = lambda: time.time_ns() + int(ahead.read_text())
scheduler.INTERVAL = 0.5
from tui.cli import main
sys.exit(main(["worker", *sys.argv[2:]]))
"""
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class Clock:
    """That of worker processes. It begins just after a full minute; schedules are due at the next."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "ahead"
        """How many nanoseconds it is ahead."""
        self.due = time.time_ns() // MINUTE + 2
        self._show(self.due * MINUTE - 55 * SECOND)

    def _show(self, at: int) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(str(at - time.time_ns()))
        new.replace(self.file)

    def pass_due(self) -> None:
        """From now on it is a second after they were due."""
        self._show(self.due * MINUTE + SECOND)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@contextmanager
def worker(dbtend: CommandLine, clock: Clock, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", A_WORKER, str(clock.file), *options],
        env={**os.environ, **dbtend.environment},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def nightly(dbtend: CommandLine, tmp_path: Path) -> CommandLine:
    """With a schedule that is due each minute, on one database."""
    make_database(tmp_path / "sales.db", rows=50)
    dbtend.configure(
        f'[schedules.nightly]\ntargets = ["{tmp_path}/sales.db"]\noperations = ["analyze"]\nstart = "* * * * *"\n'
    )
    return dbtend


def told(store: Path) -> tuple[Sequence[Firing], Sequence[ParentJob], Sequence[WorkerProcess]]:
    async def look() -> tuple[Sequence[Firing], Sequence[ParentJob], Sequence[WorkerProcess]]:
        async with Engine.open(store) as engine:
            alive = [one for one in await engine.workers() if one.alive]
            return await engine.firings("nightly"), await engine.history(), alive

    return asyncio.run(look()) if store.exists() else ((), (), ())


def knows_schedule(store: Path) -> bool:
    async def look() -> bool:
        async with Engine.open(store) as engine:
            return "nightly" in await engine.schedule_states()

    return store.exists() and asyncio.run(look())


def wait_until_said(process: subprocess.Popen[str], words: str) -> None:
    """Until it has these words on stderr."""
    assert process.stderr is not None
    stderr, said = process.stderr.fileno(), bytearray()
    os.set_blocking(stderr, False)

    def has_said() -> bool:
        with suppress(BlockingIOError):
            said.extend(os.read(stderr, 65_536))
        return words.encode() in said

    wait_until(has_said)


def kill(process: subprocess.Popen[str], store: Path) -> None:
    """It and all that it has forked, at once."""
    _, _, workers = told(store)
    for pid in [process.pid, *(one.pid for one in workers)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_two_workers_that_take_the_place_of_a_killed_one_fire_once(nightly: CommandLine, clock: Clock) -> None:
    store = nightly.store
    with worker(nightly, clock) as first:
        wait_until(lambda: knows_schedule(store))
        kill(first, store)
    assert told(store)[0] == []
    clock.pass_due()
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(worker(nightly, clock))
        wait_until(lambda: any(job.status.is_final for job in told(store)[1]))
        firings, jobs, _ = told(store)
    assert [(one.due_at // 60_000_000, one.status) for one in firings] == [(clock.due, FiringStatus.FIRED)]
    assert [job.schedule for job in jobs] == ["nightly"]


def test_a_worker_that_waits_for_its_turn_fires_schedules(nightly: CommandLine, clock: Clock) -> None:
    """The worker of a console serves the store, and fires none."""
    store = nightly.store
    with worker(nightly, clock, "--idle-exit", "60"):
        wait_until(lambda: bool(told(store)[2]))
        assert not knows_schedule(store)
        with worker(nightly, clock):
            wait_until(lambda: knows_schedule(store))
            clock.pass_due()
            wait_until(lambda: any(job.status.is_final for job in told(store)[1]))
            _, jobs, workers = told(store)
            assert len({one.pool for one in workers}) == 1
            assert [job.schedule for job in jobs] == ["nightly"]


def test_a_worker_takes_over_a_changed_config_file(nightly: CommandLine, clock: Clock) -> None:
    store, text = nightly.store, (nightly.home / "config-home" / "dbtend" / "config.toml").read_text()
    nightly.configure("")
    with worker(nightly, clock) as process:
        wait_until(lambda: bool(told(store)[2]))
        nightly.configure("[schedules.nightly]\n")  # a broken one changes nothing
        wait_until_said(process, "the schedules read last stay in force")
        assert not knows_schedule(store)
        nightly.configure(text)
        wait_until(lambda: knows_schedule(store))
        clock.pass_due()
        wait_until(lambda: any(job.status.is_final for job in told(store)[1]))
    assert len(told(store)[0]) == 1
