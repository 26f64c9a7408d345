"""The log of a crashed application is written back by an operation, never by an inspection or plan."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine import Engine, Operation, Request, Status, TargetHistory
from engine.config.model import TargetEntry
from engine.domain.surveys import FleetLevel
from engine.inspection import inspector
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import make_database


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    path = make_database(directory / "a.db", rows=200, journal_mode="wal")
    # Closing a connection would write its log back.
    with another_process(path, "PRAGMA wal_autocheckpoint = 0", "UPDATE item SET note = hex(zeroblob(3000))") as pid:
        os.kill(pid, signal.SIGKILL)
    assert sizes(path)[1] > 500_000
    return path


def sizes(path: Path) -> tuple[int, int]:
    """Bytes of the file and of its log."""
    return path.stat().st_size, Path(f"{path}-wal").stat().st_size


async def test_looks_and_plans_leave_it_as_it_is(crashed: Path) -> None:
    before = sizes(crashed)
    advice = {one.operation: one for one in await inspector.advise(str(crashed), TargetHistory(now=0), budget=None)}
    assert advice[Operation.CHECKPOINT].facts["wal_size"] == before[1]
    await inspector.inspect(str(crashed))
    for operation in Operation.CHECKPOINT, Operation.VACUUM, Operation.CHECK:
        planned = await inspector.plan(Request(target=str(crashed), operations=(operation,)))
        assert planned.operations[0].steps
    assert sizes(crashed) == before


@pytest.mark.parametrize("has_index", [True, False])
async def test_a_survey_leaves_it_as_it_is(crashed: Path, tmp_path: Path, has_index: bool) -> None:
    """Without its index, too, with which SQLite must read the whole log first."""
    if not has_index:
        Path(f"{crashed}-shm").unlink()
    before = [Path(f"{crashed}{end}").read_bytes() for end in ("", "-wal")]
    async with Engine.open(tmp_path / "state" / "jobs.db") as engine:
        (found,) = [one.survey async for one in engine.survey([TargetEntry(name="a", url=str(crashed))])]
        assert (await engine.inspect(str(crashed))).facts["size"] == found.size
    assert found.level is FleetLevel.UNCHECKED
    assert [Path(f"{crashed}{end}").read_bytes() for end in ("", "-wal")] == before


async def test_a_job_that_waits_for_its_turn_leaves_it_as_it_is(crashed: Path, tmp_path: Path) -> None:
    before = sizes(crashed)
    async with Engine.open(tmp_path / "state" / "jobs.db") as engine:
        await engine.submit([Request(target=str(crashed), operations=(Operation.CHECKPOINT,))])
    assert sizes(crashed) == before


async def test_the_job_that_writes_it_back_tells_how_much_that_was(crashed: Path, tmp_path: Path) -> None:
    _, log = sizes(crashed)
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([Request(target=str(crashed), operations=(Operation.CHECKPOINT,))])
        (done,) = await engine.wait([job.id])
    (child,) = done.children
    assert child.status is Status.COMPLETED
    assert child.steps[0].effect == {"written_back": log}
    assert not Path(f"{crashed}-wal").exists()
