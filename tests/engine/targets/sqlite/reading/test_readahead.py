"""A database is read ahead of the statements that read all of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets.sqlite.planning import tuning
from engine.targets.sqlite.reading import readahead
from engine.targets.step_execution import StepContext
from tests.engine.targets.sqlite.a_session import connected
from tests.sqlite_files import integrity, make_database


@pytest.mark.parametrize("operation", [Operation.CHECK, Operation.ANALYZE])
async def test_nothing_reads_the_file_any_more_when_its_session_is_closed(
    tmp_path: Path, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "a.db")
    began, ended = asyncio.Event(), Event()
    loop = asyncio.get_running_loop()

    def endless(descriptor: int, size: int, stop: Event, progress: object) -> None:
        loop.call_soon_threadsafe(began.set)
        stop.wait()
        ended.set()

    for module in (readahead, tuning):
        monkeypatch.setattr(module, "WORTH_FROM", 0)
    monkeypatch.setattr(readahead, "worth_reading_ahead", lambda *_: True)
    monkeypatch.setattr(readahead, "read_ahead", endless)
    cancel = asyncio.Event()
    async with connected(path) as (session, _):
        step = (await session.plan(operation, Options())).steps[0]
        running = asyncio.ensure_future(session.execute(step, StepContext(cancel=cancel)))
        await began.wait()
        cancel.set()
        assert (await running).status in {Status.CANCELLED, Status.COMPLETED}
        assert not ended.is_set()
    assert ended.is_set()
    assert integrity(path) == []
