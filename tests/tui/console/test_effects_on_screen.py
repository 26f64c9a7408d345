"""What operations did and found, where the console shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

from engine import Facts, JobId, OnDuplicate, Operation, Progress, Reason, Status, Step
from engine.domain.claims import Outcome, Report
from engine.domain.steps import LogLevel, LogLine
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import MB, Clock, Console, entry, open_console

LooksRight = Callable[[App[None]], bool]
FOUND = (
    "wrong # of entries in index my-index",
    "row 3 missing from index my-index",
    "row 9 missing from index my-index",
)
CHECKED = Outcome(
    status=Status.FAILED,
    reason=Reason.OPERATION_ERROR,
    error=f"{FOUND[0]}, the first of 3 findings",
    before={"size": 24.1 * MB, "free_pages": 1620},
    after={"size": 24.1 * MB, "free_pages": 1620, "findings": 3, "level": "full", "damaged_indexes": ["my-index"]},
)


async def add_job_of_all_kinds(store: SqliteStore, owner: str, clock: Clock) -> int:
    """A check with a finding, then one operation per kind of effect; the last still runs."""
    operations = (
        Operation.CHECK, Operation.REINDEX, Operation.INCREMENTAL_VACUUM, Operation.FTS_OPTIMIZE, Operation.CHECKPOINT,
        Operation.BACKUP, Operation.VACUUM,
    )  # fmt: skip
    (parent_id,) = await store.submit([new_job("sales", *operations)], OnDuplicate.REFUSE)
    effects: dict[Operation, tuple[Facts, Facts]] = {
        Operation.REINDEX: ({"index_size": 4 * MB}, {"index_size": 3 * MB}),
        Operation.INCREMENTAL_VACUUM: (
            {"size": 24 * MB, "pages": 6000},
            {"size": 16 * MB, "pages": 4000, "freed_pages": 2000},
        ),
        Operation.FTS_OPTIMIZE: ({"fts_segments": 14}, {"fts_segments": 1}),
        Operation.BACKUP: ({}, {"backup": "/srv/copies/sales.db", "backup_size": 16 * MB}),
    }
    while claim := await store.claim(owner, [parent_id]):
        operation = Operation(claim.operation)
        step = Step(
            number=1, attempt=1, object="main", command="VACUUM" if operation is Operation.VACUUM else "PRAGMA some",
            status=Status.RUNNING, started_at=clock.now,
        )  # fmt: skip
        clock.forward(8)
        if operation is Operation.VACUUM:
            progress = Progress(fraction=0.4, object="main", phase="writing back", steps_total=1)
            await store.report(claim, Report(progress=progress, steps=(step,)))
            break
        log: tuple[LogLine, ...] = ()
        outcome = Outcome(status=Status.COMPLETED)
        if operation is Operation.CHECK:
            outcome = CHECKED
            log = tuple(
                LogLine(number=number, attempt=1, at=clock.now, level=LogLevel.ERROR, message=message)
                for number, message in enumerate(FOUND, 1)
            )
        elif operation is Operation.CHECKPOINT:
            outcome = Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED, error="there is no log")
        else:
            before, after = effects[operation]
            outcome = Outcome(status=Status.COMPLETED, before=before, after=after)
        await store.finish(claim, outcome, Report(log=log))
    return parent_id


async def opened(console: Console) -> None:
    """Wait until the job is shown, and go into the list of jobs."""
    await console.until(lambda: len(console.lines()) > 1)
    await console.press("3")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_rows_of_all_kinds(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_job_of_all_kinds(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await opened(console)
        await console.press("+", *["down"] * 7)
        assert looks_right(console.app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_page_of_a_job_with_findings(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_job_of_all_kinds(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await opened(console)
        await console.press("enter")
        assert looks_right(console.app)


async def test_each_kind_says_what_it_did(sales: Path, seeded: Seeded, clock: Clock) -> None:
    job = await add_job_of_all_kinds(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=(120, 40)) as console:
        await opened(console)
        rows = {line.split()[1]: line for line in console.lines()[1:]}
        assert "3 findings (full)" in rows["check"]
        assert "1.00 MB smaller" in rows["reindex"]
        assert "2,000 pages freed" in rows["incremental-vacuum"]
        assert "14 -> 1 segment" in rows["fts-optimize"]
        assert "there is no log" in rows["checkpoint"]
        assert "16.0 MB to /srv/copies/sales.db" in rows["backup"]
        assert rows["vacuum"].split()[4:] == ["━━━━─────", "40%", "writing", "back", "0:12", "left", "0:08"]
        await console.press("home", "down")
        assert console.tree.job == JobId(job, 1)
        said = console.lines("#detail")
        assert "damaged indexes  my-index" in said
