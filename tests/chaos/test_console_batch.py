"""kill -9 of the console in the middle of a batch of 40 databases: of it alone, and with all that works for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Engine, JobOutcome
from tests.chaos.checker import check
from tests.chaos.console import console
from tests.chaos.processes import processes
from tests.chaos.storm import until_all_is_over
from tests.chaos.test_batch import completions, finished, tenant
from tests.chaos.trace import Trace, What
from tests.sqlite_files import content, transaction

FILES = 40
CONFIG = """
[targets.tenants]
url = "{}/t*.db"
operations = ["vacuum"]
lock_timeout = 600
"""


@pytest.mark.parametrize(
    "with_workers",
    [pytest.param(False, id="alone"), pytest.param(True, id="with its workers", marks=pytest.mark.long)],
)
async def test_r7_a_batch_is_completed_once_when_its_console_is_killed(tmp_path: Path, with_workers: bool) -> None:
    files = [tenant(tmp_path / f"t{number}.db") for number in range(FILES)]
    contents = {path: content(path) for path in files}
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(tmp_path))
    trace = Trace(tmp_path)
    arguments = ("--store", trace.store, "--config", config)
    with processes(trace) as started:
        with transaction(files[-1], "DEFERRED"):  # which keeps one VACUUM waiting, so that some job is left
            with console(started.environment(), *arguments) as first:
                await first.shows(f"{FILES} targets")
                first.press(b"*")
                await first.shows(f"{FILES} marked")
                first.press(b"\r")
                await first.shows("optimize")
                first.press(b"r")
                await first.shows("run this plan")
                first.press(b"\r")
                await finished(trace, 5)
                started.kill(first.pid)
                await first.ended()
            if with_workers:
                started.kill_all()
        if with_workers:
            left = len(await open_jobs(trace.store))
            assert left > 0
            with console(started.environment(), *arguments) as second:
                await second.shows("from earlier")
                before = sum(line.what is What.FINISHED for line in trace.told())
                second.press(b"y")
                await finished(trace, before + min(left, 5))
                started.kill(second.pid)
                await second.ended()
        await until_all_is_over(trace.store)
        async with Engine.open(trace.store) as engine:
            assert (await engine.batch(1)).counts == {JobOutcome.COMPLETED: FILES}
        with console(started.environment(), *arguments) as last:
            await last.shows(f"{FILES} targets")
            last.press(b"h")
            await last.shows(f"{FILES} completed")
    assert await check(trace.store, trace.told(), contents) == []
    assert completions(trace.store) == dict.fromkeys(range(1, FILES + 1), 1)


async def open_jobs(store: Path) -> list[int]:
    async with Engine.open(store) as engine:
        return [job.id for job in await engine.open_jobs()]
