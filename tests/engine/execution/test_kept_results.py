"""What a process had completed and could not store before it ended: stored by the next one, and not done again."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Engine, JobId, Operation, Reason, Status
from engine.domain.claims import Claim, Outcome, Report
from engine.domain.requests import OnDuplicate
from engine.domain.steps import LogLevel, LogLine, Progress, Step, WaitsFor
from engine.execution.kept_results import KeptResults
from tests.building import COMPLETED, new_job
from tests.engine.processes import python
from tests.engine.working import FunctionWorker, over, processing
from tests.sqlite_files import make_database
from tests.waiting import eventually

if TYPE_CHECKING:
    from engine.execution.reporter import Reporter
    from engine.store.sqlite.store import SqliteStore

WORKS = """
    from engine import Engine, Operation, Options, Request
    from tests.engine.working import job_once

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            request = Request(
                target=sys.argv[2], operations=(Operation.VACUUM,), options=Options(lock_timeout=600.0))
            (job,) = await engine.submit([request])
            await job_once(engine, job.id, lambda job: job.children[0].steps)
            print("at work", flush=True)
            await engine.wait([job.id])

    asyncio.run(main())
"""


async def test_r26_what_was_completed_is_not_done_again_after_the_death_of_its_process(tmp_path: Path) -> None:
    target = make_database(tmp_path / "sales.db")
    store = tmp_path / "jobs.db"
    kept = tmp_path / "jobs.db.d" / "results" / "1.1.1"
    with closing(sqlite3.connect(target, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with python(WORKS, store, target) as process:
            assert await process.says() == "at work"
            with closing(sqlite3.connect(store, isolation_level=None, timeout=60)) as locker:
                locker.execute("BEGIN IMMEDIATE")
                writer.execute("ROLLBACK")
                await eventually(kept.exists)
                os.kill(process.pid, signal.SIGKILL)
                assert await process.says() == ""
                locker.execute("ROLLBACK")
    written_at = target.stat().st_mtime_ns
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
        await engine.wait([1])
        (child,) = (await engine.job(1)).children
    assert (child.status, child.attempt) == (Status.COMPLETED, 1)
    assert [(one.number, one.status) for one in child.attempts] == [(1, Status.COMPLETED)]
    assert {step.status for step in child.steps} == {Status.COMPLETED}
    assert "kept on its host" in child.log[-1].message
    assert target.stat().st_mtime_ns == written_at
    assert not kept.exists()


class SlowResults(KeptResults):
    """On a disk that is slow."""

    def __init__(self, store: Path) -> None:
        super().__init__(store)
        self.begun, self.may_go_on, self.is_written = threading.Event(), threading.Event(), threading.Event()

    def keep(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        self.begun.set()
        self.may_go_on.wait(30)
        super().keep(claim, outcome, report)
        self.is_written.set()


async def test_a_result_that_the_store_takes_while_it_is_being_kept_is_not_left(store: SqliteStore) -> None:
    results = SlowResults(store.path)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as locker:

        async def locks_the_store(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
            locker.execute("BEGIN IMMEDIATE")
            return COMPLETED

        async with processing(store, FunctionWorker(locks_the_store), results=results):
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            assert await asyncio.to_thread(results.begun.wait, 30)
            locker.execute("ROLLBACK")
            await over(store, 1)
            results.may_go_on.set()
        assert await asyncio.to_thread(results.is_written.wait, 30)
    assert list((store.path.with_name(f"{store.path.name}.d") / "results").iterdir()) == []


def test_a_result_is_read_as_it_was_kept(tmp_path: Path) -> None:
    results = KeptResults(tmp_path / "jobs.db")
    claim = Claim(job=JobId(3, 1), type="x", attempt=2, owner="me", target="t", operation="vacuum", options=None)
    step = Step(
        number=1, attempt=2, object="main", command="VACUUM", status=Status.COMPLETED, started_at=5, finished_at=6,
        operation=Operation.VACUUM, effect={"freed_pages": 3},
    )  # fmt: skip
    outcome = Outcome(
        status=Status.FAILED, ended_at=7, reason=Reason.TARGET_BUSY, error="é\udcff", warnings=("w",), after={"size": 1}
    )
    line = LogLine(number=1, attempt=2, at=5, level=LogLevel.WARNING, message="m")
    report = Report(progress=Progress(fraction=0.5, waits_for=WaitsFor.LOCK), steps=(step,), log=(line,))
    results.keep(claim, outcome, report)
    again = Claim(job=JobId(3, 1), type="x", attempt=3, owner="you", target="t", operation="vacuum", options=None)
    found = results.of_earlier(again)
    assert found is not None
    assert (found.started_at, found.outcome, found.report) == (0, outcome, report)
    assert results.of_earlier(claim) is None
    (tmp_path / "jobs.db.d" / "results" / "3.1.2").write_text("{")
    assert results.of_earlier(again) is None
