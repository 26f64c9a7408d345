"""A cancelled submit stores nothing, or reports the stored jobs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Request
from engine.system.clock import now
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from pathlib import Path


class HeldClock:
    """A clock that holds a write to the store up, once."""

    def __init__(self) -> None:
        self.writing, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> int:
        if threading.current_thread().name == "dbtend-writer" and not self.writing.is_set():
            self.writing.set()
            self.go_on.wait(30)
        return now()


@pytest.mark.parametrize("times", [1, 3])
async def test_while_it_is_written_a_cancel_comes_too_late(tmp_path: Path, times: int) -> None:
    clock, sales = HeldClock(), make_database(tmp_path / "sales.db", rows=10)
    async with Engine.open(tmp_path / "jobs.db", clock=clock) as engine:
        submitting = asyncio.create_task(engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))]))
        assert await asyncio.to_thread(clock.writing.wait, 30)
        for _ in range(times):
            submitting.cancel()
            await asyncio.sleep(0)
        clock.go_on.set()
        (job,) = await submitting
        assert [open_job.id for open_job in await engine.open_jobs()] == [job.id]


async def test_before_that_it_leaves_nothing(tmp_path: Path) -> None:
    sales = make_database(tmp_path / "sales.db", rows=10)
    async with Engine.open(tmp_path / "jobs.db") as engine:
        submitting = asyncio.create_task(engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))]))
        await asyncio.sleep(0)
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        assert await engine.open_jobs() == []
