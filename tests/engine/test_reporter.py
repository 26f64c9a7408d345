"""R21: of very long logs head and tail are kept, in memory and in the store, whatever the store took when."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import StoreError
from engine.execution import Claim, Report
from engine.jobs import LOG_HEAD, LOG_LINE_LIMIT, LOG_TAIL, JobId, LogLevel, OnDuplicate, Operation, Options, Status
from engine.reporter import Reporter
from engine.store import connections, transactions
from engine.targets.base import PlannedStep, StepResult
from tests.building import COMPLETED, new_job, ticking_clock

if TYPE_CHECKING:
    from engine.store.sqlite import SqliteStore

STEP = PlannedStep(object="main", command="VACUUM", reason="", lock="")


def kept(last: int, head: int = LOG_HEAD, tail: int = LOG_TAIL) -> list[int]:
    """The numbers of the lines that should be there where `last` were written."""
    return [*range(1, min(head, last) + 1), *range(max(head, last - tail) + 1, last + 1)]


async def claimed(store: SqliteStore) -> Claim:
    claim = await store.claim("me")
    assert claim is not None
    return claim


async def test_r21_of_a_hundred_thousand_lines_head_and_tail_are_stored(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.reporter.INTERVAL", 0)
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await claimed(store)
    most, sent = 0, asyncio.Event()

    async def send(report: Report) -> None:
        nonlocal most
        await store.report(claim, report)
        most = max(most, len((await store.job(1)).children[0].log))
        sent.set()

    reporter = Reporter(claim, send, ticking_clock())
    for number in range(1, 100_001):
        reporter.log(LogLevel.INFO, f"line {number}")
        if number % 1_700 == 0:
            await sent.wait()
            sent.clear()
    await store.finish(claim, COMPLETED, await reporter.stop())
    log = (await store.job(1)).children[0].log
    assert [line.number for line in log] == kept(100_000)
    assert {line.message == f"line {line.number}" for line in log} == {True}
    assert most == LOG_HEAD + LOG_TAIL


async def test_r21_a_store_that_takes_nothing_lets_no_log_grow_in_memory() -> None:
    async def refuse(report: Report) -> None:
        raise StoreError("the store of jobs", "the disk is full")

    claim = Claim(
        job=JobId(1, 1), type="", attempt=1, owner="me", target="", operation=Operation.VACUUM, options=Options()
    )
    reporter = Reporter(claim, refuse, ticking_clock())
    for number in range(100_000):
        reporter.log(LogLevel.INFO, f"line {number}")
    report = await reporter.stop()
    assert [line.number for line in report.log] == kept(100_000)


async def test_r21_each_attempt_has_a_log_of_its_own(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    for _ in range(2):
        claim = await claimed(store)
        reporter = Reporter(claim, lambda report, claim=claim: store.report(claim, report), ticking_clock())  # type: ignore[misc]
        for number in range(2 * (LOG_HEAD + LOG_TAIL)):
            reporter.log(LogLevel.INFO, f"line {number}")
        await store.release(claim, await reporter.stop())
    log = (await store.job(1)).children[0].log
    assert [(line.attempt, line.number) for line in log] == [
        (attempt, number) for attempt in (1, 2) for number in kept(2 * (LOG_HEAD + LOG_TAIL))
    ]


async def test_r21_of_a_very_long_line_both_ends_are_kept(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await claimed(store)
    reporter = Reporter(claim, lambda report: store.report(claim, report), ticking_clock())
    reporter.log(LogLevel.ERROR, "x" * LOG_LINE_LIMIT)
    reporter.log(LogLevel.ERROR, f"begin {'x' * 10_000_000} end")
    await store.finish(claim, COMPLETED, await reporter.stop())
    whole, shortened = (line.message for line in (await store.job(1)).children[0].log)
    assert whole == "x" * LOG_LINE_LIMIT
    assert shortened.startswith("begin x")
    assert shortened.endswith("x end")
    assert "... 9,992,010 characters left out ..." in shortened
    assert len(shortened) < LOG_LINE_LIMIT + 100


@settings(max_examples=60, deadline=None)
@given(chunks=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=12))
def test_r21_whatever_the_store_took_when_head_and_tail_are_there_in_the_end(chunks: list[tuple[int, bool]]) -> None:
    """`chunks`: so many lines, then whether the store takes what it is given meanwhile."""
    head, tail = 5, 7

    async def write() -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = connections.create_file(Path(directory) / "jobs.db")
            with closing(connections.connect_writer(path)) as file:
                file.execute("PRAGMA synchronous = OFF")
                transactions.submit(file, [new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE, 1)
                claim = transactions.claim(file, "me", None, 2)
                assert claim is not None
                takes = True

                async def send(report: Report) -> None:
                    if not takes:
                        raise StoreError("the store of jobs", "the disk is full")
                    transactions.write_report(file, claim, report)

                reporter = Reporter(claim, send, ticking_clock())
                for lines, takes in chunks:  # noqa: B007 - `send` looks at it
                    for _ in range(lines):
                        reporter.log(LogLevel.INFO, "line")
                    for _ in range(3):
                        await asyncio.sleep(0)
                unsent = await reporter.stop()
                assert len(unsent.log) <= head + tail
                transactions.finish(file, claim, COMPLETED, unsent, 3)
                stored = [number for (number,) in file.execute("SELECT number FROM log ORDER BY number")]
                assert stored == kept(sum(lines for lines, _ in chunks), head, tail)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("engine.reporter", "engine.store.transactions"):
            patch.setattr(f"{module}.LOG_HEAD", head)
            patch.setattr(f"{module}.LOG_TAIL", tail)
        patch.setattr("engine.reporter.INTERVAL", 0)
        asyncio.run(write())


async def test_the_phase_of_a_step_ends_with_it(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await claimed(store)
    sent = asyncio.Event()

    async def send(report: Report) -> None:
        await store.report(claim, report)
        sent.set()

    reporter = Reporter(claim, send, ticking_clock())
    reporter.begin_step(1, STEP, of=2)
    reporter.enter_phase("copying")
    await sent.wait()
    assert (await store.job(1)).children[0].progress.phase == "copying"
    reporter.end_step(StepResult(status=Status.COMPLETED))
    report = await reporter.stop()
    assert report.progress.phase is None
    await store.finish(claim, COMPLETED, report)
    assert (await store.job(1)).children[0].progress.phase is None
