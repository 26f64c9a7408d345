"""A batch is one row in the job tree, with counts that name every failure; it unfolds, and is cancelled and retried."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from textual.app import App

from engine import Engine, FailedRequest, JobOutcome, OnDuplicate, Operation, ParentJob, Reason, Request
from engine.domain.batches import Batch, BatchOptions
from engine.domain.errors import TargetUnavailableError
from engine.store.protocol import Failure
from engine.submission import manager
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, entry, open_console
from tui.console.parts import many_job_actions
from tui.console.views.batch_rows import batch_detail, batch_row
from tui.console.views.line import MARK, Role
from tui.console.views.rows import summary

STORE = Path("jobs.db")
all_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=["80x24", "120x40", "200x60"])


def tenants(number: int) -> list[Request]:
    """Requests for so many databases; the last but one is no database, and the last is not there."""
    for n in range(1, number + 1):
        path = Path(f"t{n}.db")
        if n == number - 1:
            path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
        elif n < number:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("CREATE TABLE IF NOT EXISTS a(b)")
    return [Request(target=f"t{n}.db", operations=(Operation.ANALYZE,)) for n in range(1, number + 1)]


async def run_batch(clock: Clock, number: int = 12) -> Sequence[ParentJob]:
    async with Engine.open(STORE, workers=2, clock=clock) as engine:
        made = await engine.submit(tenants(number))
        ended = await engine.wait([job.id for job in made])
        clock.forward(5)
        return ended


async def test_a_batch_is_one_row_that_names_what_failed(sales: Path, clock: Clock) -> None:
    await run_batch(clock)
    async with open_console(STORE, entry(), clock=clock, size=(120, 40)) as console:
        await console.until(lambda: console.lines()[0].startswith("► b1  12 targets  10 completed"))
        assert len(console.lines()) == 1
        assert sum(map(int, [part.split()[0] for part in console.lines()[0].split("targets")[1].split(",")])) == 12
        await console.press("3")
        assert "2 unreachable" in str(console.app.screen.query_one("#jobs").border_subtitle)
        detail = "\n".join(console.lines("#detail"))
        assert "t11.db" in detail
        assert "t12.db" in detail
        assert "there is no such file" in detail


async def test_the_detail_of_a_batch_says_how_much_it_gave_back(sales: Path, clock: Clock) -> None:
    requests = tenants(12)
    for n in range(1, 11):
        with closing(sqlite3.connect(f"t{n}.db", isolation_level=None)) as db:
            db.execute("INSERT INTO a SELECT zeroblob(200000)")
            db.execute("DELETE FROM a")
    async with Engine.open(STORE, workers=2, clock=clock) as engine:
        made = await engine.submit([replace(one, operations=(Operation.VACUUM,)) for one in requests])
        await engine.wait([job.id for job in made])
    async with open_console(STORE, entry(), clock=clock, size=(120, 40)) as console:
        await console.until(lambda: console.lines()[0].startswith("► b1  12 targets  10 completed"))
        await console.press("3")
        await console.until(lambda: "MB given back" in " ".join(console.lines("#detail")))


async def test_a_batch_unfolds_to_what_failed_and_a_line_for_the_rest(sales: Path, clock: Clock) -> None:
    await run_batch(clock)
    async with open_console(STORE, entry(), clock=clock, size=(120, 40)) as console:
        await console.until(lambda: console.lines()[0].startswith("► b1"))
        await console.press("3", "l")
        rows = console.lines()
        assert rows[0].startswith("▼ b1  12 targets")
        assert [row.split()[2] for row in rows[1:3]] == ["t11.db", "t12.db"]
        assert ["× unreachable " in row for row in rows[1:3]] == [True, True]
        assert rows[3].strip() == "10 more: 10 completed"
        await console.press("G", "enter")
        assert console.screen_name == "HistoryScreen"
        assert len(console.lines("#history")) == 12
        await console.press("escape", "escape", "h")
        assert console.screen_name == "HistoryScreen"
        await console.press("escape", "3", "g", "left")
        assert len(console.lines()) == 1


async def test_a_small_batch_shows_all_its_jobs(sales: Path, clock: Clock) -> None:
    await run_batch(clock, 4)
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.until(lambda: console.lines()[0].startswith("► b1"))
        await console.press("3", "enter")
        assert [row.split()[2] for row in console.lines()[1:]] == ["t1.db", "t2.db", "t3.db", "t4.db"]
        places = [row.index("✓" if "✓" in row else "×") for row in console.lines()[1:]]
        assert places == places[:1] * 4  # the column is as wide as its longest word
        await console.press("G", "enter")
        assert console.screen_name == "JobScreen"
        assert "× unreachable" in console.lines("#page")[0]


async def test_a_batch_is_cancelled_as_one(sales: Path, clock: Clock) -> None:
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(12))
    async with open_console(STORE, entry(), clock=clock) as console:
        while console.screen_name == "ConfirmScreen":
            await console.press("n")
        await console.until(lambda: console.lines()[0].startswith("▼ b1"))
        await console.press("3", "c")
        assert console.lines("#text")[0].startswith("Cancel b1: 10 open jobs of 12?")
        await console.press("y")
        await console.until(lambda: "10 cancelled" in console.lines()[0])
        assert (await console.engine.batch(1)).is_over


async def test_what_did_not_complete_is_retried_as_a_new_batch(sales: Path, clock: Clock) -> None:
    await run_batch(clock)
    Path("t11.db").unlink()
    for name in ("t11.db", "t12.db"):
        with closing(sqlite3.connect(name, isolation_level=None)) as db:
            db.execute("CREATE TABLE a(b)")
    async with open_console(STORE, entry(), clock=clock, workers=2) as console:
        await console.until(lambda: console.lines()[0].startswith("► b1"))
        await console.press("3", "t")
        assert " ".join(console.lines("#text")).startswith("Run 2 jobs of b1 that did not complete again?")
        await console.press("y")
        await console.until(lambda: any("b2  2 targets  2 completed" in row for row in console.lines()))
        assert (await console.engine.batch(2)).retry_of == 1


async def test_what_is_retried_is_worked_out_beside_the_event_loop(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be thousands of jobs."""
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(4)[:2])
        await engine.cancel_batch(1)
    threads: list[threading.Thread] = []

    def confirmation_of(job: ParentJob) -> list[str]:
        threads.append(threading.current_thread())
        return []

    monkeypatch.setattr(many_job_actions, "confirmation_of", confirmation_of)
    async with open_console(STORE, entry(), clock=clock) as console:
        while console.screen_name == "ConfirmScreen":
            await console.press("n")
        await console.until(lambda: any(row.startswith("► b1") for row in console.lines()))
        await console.press("3", "g", "t")
        assert "2 jobs of b1" in " ".join(console.lines("#text"))
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_a_retry_that_was_made_elsewhere_while_the_question_stood_repeats_nothing(
    sales: Path, clock: Clock
) -> None:
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(4)[:2])
        await engine.cancel_batch(1)
    async with open_console(STORE, entry(), clock=clock) as console:
        while console.screen_name == "ConfirmScreen":
            await console.press("n")
        await console.until(lambda: any(row.startswith("► b1") for row in console.lines()))
        await console.press("3", "g", "t")
        assert "2 jobs of b1" in " ".join(console.lines("#text"))
        async with Engine.open(STORE, workers=1, clock=clock) as engine:
            made = await engine.wait([job.id for job in await engine.retry_batch(1)])
        clock.forward(5)
        await console.press("y")
        await console.until(lambda: all(f"#{job.id}" in console.message for job in made))
        assert len(await console.engine.history()) == 4


async def test_a_retry_names_the_jobs_that_are_open_already(sales: Path, clock: Clock) -> None:
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(5))
        await engine.cancel_batch(1)
        clock.forward(5)
        (there,) = await engine.submit([Request(target="t2.db", operations=(Operation.ANALYZE,))])
        clock.forward(5)
    async with open_console(STORE, entry(), clock=clock) as console:
        while console.screen_name == "ConfirmScreen":
            await console.press("n")
        await console.until(lambda: any(row.startswith("► b1") for row in console.lines()))
        await console.press("3")
        await console.press("G")
        assert console.lines()[-1].startswith("► b1")
        await console.press("t", "y")
        await console.until(lambda: f"#{there.id}" in console.message)
        assert (await console.engine.batch(2)).total == 4


async def test_patterns_that_could_not_be_listed_are_not_counted_among_what_is_retried(
    sales: Path, clock: Clock
) -> None:
    url = "postgresql://dba@127.0.0.1:1/*"
    down = FailedRequest(
        Request(target=url, operations=(Operation.ANALYZE,)), TargetUnavailableError(url, "is down"), is_pattern=True
    )
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(4), failed=[down])
        await engine.cancel_batch(1)
        await engine.submit([], failed=[down])
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.until(lambda: console.lines()[-1].startswith("► b1"))
        await console.press("3", "g", "t")
        assert "nothing is left but patterns" in console.message
        await console.press("G", "t")
        asked = " ".join(console.lines("#text"))
        assert asked.startswith("Run 4 jobs of b1 that did not complete again?")
        assert "Not 1 pattern that could not be listed." in asked


async def test_other_jobs_stand_beside_batches_in_order(sales: Path, clock: Clock) -> None:
    await run_batch(clock)
    async with Engine.open(STORE, workers=1, clock=clock) as engine:
        (job,) = await engine.submit([Request(target="sales.db", operations=(Operation.ANALYZE,))])
        await engine.wait([job.id])
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.until(lambda: any(row.startswith("► b1") for row in console.lines()))
        assert [row.split()[1] for row in console.lines()] == ["#13", "b1"]


async def test_a_large_batch_pushes_no_older_job_out_of_the_tree(sales: Path, clock: Clock) -> None:
    async with Engine.open(STORE, workers=2, clock=clock) as engine:
        for _ in range(3):
            (job,) = await engine.submit([Request(target="sales.db", operations=(Operation.ANALYZE,))])
            await engine.wait([job.id])
        made = await engine.submit(tenants(60))
        await engine.wait([one.id for one in made])
        async with open_console(STORE, entry(), clock=clock) as console:
            await console.until(lambda: len(console.lines()) == 4)
            assert [row.split()[1] for row in console.lines()] == ["b1", "#3", "#2", "#1"]
            again = await engine.submit([replace(one.request, operations=(Operation.OPTIMIZE,)) for one in made[:58]])
            await engine.wait([one.id for one in again])
            await console.until(lambda: "58 completed" in console.lines()[0])
            assert [row.split()[1] for row in console.lines()] == ["b2", "b1", "#3", "#2", "#1"]
            # Completed jobs have no rows, and are not kept.
            await console.until(lambda: len(console.tree._parents) < 10)
            await console.press("3", "g", "down", "l")
            assert [row.split()[2] for row in console.lines()[2:4]] == ["t59.db", "t60.db"]


async def test_a_batch_and_jobs_are_marked_and_cancelled_together(sales: Path, clock: Clock) -> None:
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit([Request(target="sales.db", operations=(Operation.ANALYZE,))])
        await engine.submit(tenants(12))
        await engine.submit([Request(target="sales.db", operations=(Operation.VACUUM,))])
    async with open_console(STORE, entry(), clock=clock) as console:
        while console.screen_name == "ConfirmScreen":
            await console.press("n")
        await console.until(lambda: any(row.startswith("▼ b1") for row in console.lines()))
        await console.press("3", "g", "space", "space")
        assert str(console.tree.border_subtitle).startswith("2 marked, ")
        assert any(row.startswith(f"▼{MARK}b1") for row in console.lines())
        await console.press("down", "space", "m")
        assert console.message == "b1 is a batch. Only jobs can be pinned: unfold it and mark its jobs."
        await console.press("t")
        assert console.message == "Nothing to retry: none of the 1 marked job and 1 marked batch has ended."
        await console.press("c")
        assert console.lines("#text")[:3] == [
            "Cancel 1 marked job and 1 marked batch?",
            "b1: 10 open jobs of 12",
            "#14 vacuum on sales.db",
        ]
        await console.press("y")
        await console.until(lambda: (console.tree.marks, len(console.app.context.feed.open)) == (frozenset(), 1))
        assert (await console.engine.batch(1)).counts == {JobOutcome.CANCELLED: 10, JobOutcome.UNREACHABLE: 2}


async def test_a_batch_and_jobs_are_marked_and_retried_together(sales: Path, clock: Clock) -> None:
    await run_batch(clock)
    async with Engine.open(STORE, workers=1, clock=clock) as engine:
        (job,) = await engine.submit([Request(target="sales.db", operations=(Operation.ANALYZE,))])
        await engine.wait([job.id])
        clock.forward(5)
    for name in ("t11.db", "t12.db"):
        Path(name).unlink(missing_ok=True)
        with closing(sqlite3.connect(name, isolation_level=None)) as db:
            db.execute("CREATE TABLE a(b)")
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.until(lambda: len(console.lines()) == 2)
        await console.press("3", "g", "space", "space", "t")
        assert console.lines("#text")[:4] == [
            "Run 1 marked job and 1 marked batch again?",
            "2 jobs of b1 that did not complete",
            "#13 analyze on sales.db",
            "Each becomes a new job. Each batch becomes a new",
        ]
        await console.press("y")
        await console.until(lambda: len(console.lines()) == 7)
        assert [row.split()[1] for row in console.lines() if row[0] in "►▼"] == ["#16", "b2", "#13", "b1"]
        assert ((await console.engine.batch(2)).retry_of, (await console.engine.job(16)).retry_of) == (1, 13)


@pytest.mark.parametrize("width", range(24, 120, 3))
def test_no_width_hides_that_something_failed(width: int) -> None:
    counts = {JobOutcome.COMPLETED: 298, JobOutcome.FAILED: 2, JobOutcome.RUNNING: 12, JobOutcome.PENDING: 1000}
    batch = Batch(id=17, options=BatchOptions(), created_at=0, counts=counts)
    row = batch_row(batch, expanded=False, width=width)
    assert len(row.text) == width
    if width >= 33:
        assert "2 failed" in row.text
    assert "2 failed" in summary([], max(width, 8), {17: batch})
    detail = " ".join(part.text.strip() for part in batch_detail(batch, [], str, width))
    assert all(f"{number:,} {outcome}" in detail for outcome, number in list(counts.items())[:3])


@all_sizes
async def test_batch(
    size: tuple[int, int], sales: Path, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    await run_batch(clock)
    async with open_console(STORE, entry(), clock=clock, size=size) as console:
        await console.until(lambda: console.lines()[0].startswith("► b1"))
        await console.press("3", "l")
        assert looks_right(console.app)


@all_sizes
async def test_page_of_a_job_on_a_target_that_could_not_be_opened(
    size: tuple[int, int], seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    why = "there is no such file (check the path; dbtend never creates a database)"
    gone = new_job("gone", Operation.VACUUM, Operation.ANALYZE, failure=Failure(Reason.UNREACHABLE, why))
    await seeded.store.submit([gone], OnDuplicate.REFUSE)
    clock.forward(5)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("h", "enter")
        assert console.screen_name == "JobScreen"
        assert "failed" not in "\n".join(console.lines("#page"))
        assert looks_right(console.app)


async def test_a_retry_of_many_says_meanwhile_that_it_is_submitted(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(14))
        await engine.cancel_batch(1)
    told: list[str] = []
    async with open_console(STORE, entry(), clock=clock) as console:
        tell = console.app.context.tell

        def record(sentence: str, role: Role = Role.TEXT) -> None:
            told.append(sentence)
            tell(sentence, role)

        monkeypatch.setattr(console.app.context, "tell", record)
        await console.until(lambda: any(row.startswith("► b1") for row in console.lines()))
        await console.press("3", "g", "t", "y")
        await console.until(lambda: any(" b2  14 targets" in row for row in console.lines()))
        assert told == ["Submitting 14 jobs ..."]
        assert not console.message


async def test_a_batch_that_is_submitted_in_part_says_so_and_its_retry_goes_on(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "PORTION", 2)

    def killed(done: int, total: int) -> None:
        raise InterruptedError

    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(5))
        await engine.cancel_batch(1)
        with pytest.raises(InterruptedError):
            await engine.retry_batch(1, on_portion=killed)
        await engine.cancel_batch(2)
        clock.forward(5)
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.until(lambda: console.lines()[0].startswith("► b2"))
        assert "2 of 5 targets" in console.lines()[0]
        await console.press("3", "g", "c")
        assert console.lines("#text")[0].startswith("Cancel b2: 0 open jobs of 2, and 3 not submitted?")
        await console.press("n", "h")
        await console.until(lambda: any("2 of 5 targets" in row for row in console.lines("#history")))
        await console.press("G", "t")
        question = " ".join(console.lines("#text"))
        assert "3 jobs of b1" in question
        await console.press("y")
        await console.until(lambda: any(row.startswith("► b3") for row in console.lines("#history")))
        rows = console.lines("#history")
        assert [row.split()[1] for row in rows] == ["b3", "b2", "b1"]
        assert "3 targets" in rows[0]
        assert (await console.engine.batch(3)).unsubmitted == 0
