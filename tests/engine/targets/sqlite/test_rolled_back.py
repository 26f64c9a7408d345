"""A plan or a job rolls back what a crash left, and says so once; who only looks rolls nothing back."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine import Engine, Operation, Request, TargetHistory
from engine.domain.damage import NO_CHECK_ON_RECORD
from engine.domain.errors import HotJournalError
from engine.inspection import inspector
from engine.targets.sqlite.inspection import ROLLED_BACK
from tests.engine.targets.sqlite.another_process import BEGINS_TO_WRITE, another_process
from tests.sqlite_files import files_beside, make_database


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    path = make_database(directory / "a.db", rows=200)
    with another_process(path, program=BEGINS_TO_WRITE) as pid:
        os.kill(pid, signal.SIGKILL)
    assert files_beside(path) == {"a.db", "a.db-journal"}
    return path


async def test_a_plan_tells_it(crashed: Path) -> None:
    request = Request(target=str(crashed), operations=(Operation.VACUUM,))
    assert (await inspector.plan(request)).warnings == (NO_CHECK_ON_RECORD, ROLLED_BACK)
    assert (await inspector.plan(request)).warnings == (NO_CHECK_ON_RECORD,)


async def _advise(target: str) -> object:
    return await inspector.advise(target, TargetHistory(now=0), budget=None)


@pytest.mark.parametrize("look", [inspector.inspect, _advise, inspector.page_map, inspector.read_times])
async def test_a_look_writes_nothing_so_it_is_refused(crashed: Path, look: Callable[[str], Awaitable[object]]) -> None:
    before = {file: file.read_bytes() for file in crashed.parent.iterdir()}
    with pytest.raises(HotJournalError, match=r"must be rolled back first .* dbtend run --op check"):
        await look(str(crashed))
    assert {file: file.read_bytes() for file in crashed.parent.iterdir()} == before
    await inspector.plan(Request(target=str(crashed), operations=(Operation.CHECK,)))
    assert files_beside(crashed) == {"a.db"}
    await look(str(crashed))


async def test_the_advice_before_a_job_tells_it(crashed: Path) -> None:
    for told in (True, False):
        advice = await inspector.advise(str(crashed), TargetHistory(now=0), budget=None, recover=True)
        assert [one.operation for one in advice if ROLLED_BACK in one.reason] == [Operation.CHECK] * told


async def test_the_log_of_the_job_that_opens_it_tells_it(crashed: Path, tmp_path: Path) -> None:
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([Request(target=str(crashed), operations=(Operation.ANALYZE,))])
        (done,) = await engine.wait([job.id])
    assert ROLLED_BACK in [line.message for line in done.children[0].log]


@pytest.mark.parametrize("journal_mode", ["delete", "truncate", "persist"])
async def test_a_journal_that_is_in_use_or_done_with_is_none_of_a_crash(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    statements = (f"PRAGMA journal_mode = {journal_mode}", "BEGIN", "UPDATE item SET price = 1")
    with another_process(path, *statements):
        assert path.with_name("a.db-journal").exists()
        assert (await inspector.inspect(str(path))).remarks == ()
    with another_process(path, *statements, "COMMIT"):
        assert (await inspector.inspect(str(path))).remarks == ()
