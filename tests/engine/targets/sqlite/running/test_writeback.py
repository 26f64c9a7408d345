"""Writing to the disk beside the statements that write much."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets.sqlite.running import writeback
from tests.engine.targets.sqlite.a_session import connected, execute
from tests.sqlite_files import make_database


@pytest.mark.parametrize(
    ("operation", "behind"), [(Operation.VACUUM, True), (Operation.REINDEX, True), (Operation.ANALYZE, False)]
)
async def test_it_goes_on_for_as_long_as_the_step_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, behind: bool
) -> None:
    path = make_database(tmp_path / "a.db", rows=12_000)
    told: list[list[str]] = []

    def until_stopped(paths: list[str], stop: Event) -> None:
        stop.wait()
        told.append(paths)

    monkeypatch.setattr(writeback, "keep_writing", until_stopped)
    monkeypatch.setattr(writeback, "_INTERVAL", 0.0)
    async with connected(path) as (session, _):
        step = (await session.plan(operation, Options())).steps[0]
        assert (await execute(session, step)).status is Status.COMPLETED
        assert told == ([[str(path), f"{path}-journal", f"{path}-wal"]] if behind else [])
