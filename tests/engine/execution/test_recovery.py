"""Recovery runs the mandatory follow-ups after a crash, and reports those that are missing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.domain.claims import Claim
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Step
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.store.ending_texts import format_worker_death
from engine.system.clock import now
from engine.targets import resolve
from engine.targets.sqlite.connection.target_lock import TargetLock
from engine.targets.sqlite.running.operation import SqliteOperation
from engine.targets.sqlite.running.work import Work
from tests.engine.execution.test_worker import claim_of, refuse
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import make_database, remove_index_entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.domain.claims import Outcome, Report
    from engine.targets.plans import PlannedStep
    from engine.targets.step_execution import StepContext, StepResult


TO_BE_REBUILT = """
CREATE TABLE notes(body TEXT);
CREATE VIRTUAL TABLE found USING fts5(body, content="notes");
INSERT INTO notes VALUES ('apples and pears'), ('apples only'), ('pears only');
INSERT INTO found(found) VALUES ('rebuild');
DELETE FROM notes WHERE rowid = 1;
INSERT INTO found(found, rowid, body) VALUES ('delete', 1, 'apples and pears');
"""
REBUILD = """INSERT INTO main."found"("found") VALUES('rebuild')"""
WRONG = f"searches in found are wrong until {REBUILD} has run"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A database whose full-text index VACUUM makes wrong, which has to be forced."""
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(TO_BE_REBUILT)
    return path


def search(path: Path, words: str) -> list[str | None]:
    with closing(sqlite3.connect(path)) as db:
        return [body for (body,) in db.execute("SELECT body FROM found WHERE found MATCH ? ORDER BY rank", (words,))]


def lost_claim(path: Path, *steps: tuple[str, Status], **more: Any) -> Claim:
    """The claim of a VACUUM whose first process died after these steps."""
    earlier = tuple(
        Step(number=number, attempt=1, object="x", command=command, status=status, started_at=1)
        for number, (command, status) in enumerate(steps, 1)
    )
    return replace(claim_of(path, options=Options(force=True)), attempt=2, deaths=1, earlier=earlier, **more)


async def worked(claim: Claim, cancel: asyncio.Event | None = None) -> tuple[Outcome, Report]:
    reporter = Reporter(claim, refuse, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim, reporter, cancel or asyncio.Event())
    return outcome, await reporter.stop()


def when_vacuum_is_done(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    execute = SqliteOperation.execute

    async def executed(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        result = await execute(self, step, context)
        if step.command == "VACUUM":
            do()
        return result

    monkeypatch.setattr(SqliteOperation, "execute", executed)


async def test_where_the_rebuild_after_vacuum_cannot_have_its_lock_it_is_said_what_is_wrong_until_it_has_run(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.running.operation.FOLLOW_UP_LOCK_TIMEOUT", 0.1)
    with ExitStack() as other:
        when_vacuum_is_done(monkeypatch, lambda: other.enter_context(another_process(notes, "BEGIN IMMEDIATE")))
        outcome, _ = await worked(claim_of(notes, options=Options(lock_timeout=0.1, force=True)))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert (outcome.error or "").startswith(f"found: VACUUM is done; {WRONG} (")
    assert not any("is rebuilt" in warning for warning in outcome.warnings)


async def test_the_rebuild_after_vacuum_waits_for_its_lock_longer_than_it_is_asked_for(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock timeout of 0, and an application that lets go only when the rebuild has begun to wait for it."""
    loop = asyncio.get_running_loop()
    with ExitStack() as other:

        async def let_go(self: Work) -> None:
            loop.call_soon_threadsafe(other.close)

        monkeypatch.setattr(Work, "report_blockers", let_go)
        when_vacuum_is_done(monkeypatch, lambda: other.enter_context(another_process(notes, "BEGIN IMMEDIATE")))
        outcome, _ = await worked(claim_of(notes, options=Options(lock_timeout=0, force=True)))
    assert (outcome.status, outcome.error) == (Status.COMPLETED, None)
    assert search(notes, "apples") == ["apples only"]


@pytest.mark.parametrize(
    ("earlier", "stays"),
    [
        ([("VACUUM", Status.COMPLETED)], "what it had finished stays done (VACUUM), the rest was rolled back"),
        (
            [("VACUUM", Status.COMPLETED), (REBUILD, Status.FAILED)],
            "what it had finished stays done (VACUUM), the rest",
        ),
        ([("VACUUM", Status.FAILED)], "what it had not finished was rolled back"),
        ([], "what it had not finished was rolled back"),  # it died before it could tell anything
    ],
)
@pytest.mark.parametrize(
    ("recovering", "status", "how"),
    [
        (Reason.CANCELLED_BY_USER, Status.CANCELLED, "its process died before it could stop: "),
        (Reason.OWNER_LOST, Status.FAILED, "the process that ran it died: "),
    ],
)
async def test_after_a_vacuum_whose_process_died_the_rebuild_that_is_missing_is_run(
    notes: Path, earlier: list[tuple[str, Status]], stays: str, recovering: Reason, status: Status, how: str
) -> None:
    with closing(sqlite3.connect(notes)) as db:
        db.execute("VACUUM")
    assert search(notes, "apples") != ["apples only"]
    outcome, report = await worked(lost_claim(notes, *earlier, recovering=recovering))
    assert (outcome.status, outcome.reason, outcome.warnings) == (status, recovering, ())
    assert (outcome.error or "").startswith(how + stays)
    assert (outcome.error or "").endswith(f"found nothing wrong; {REBUILD} has run since")
    assert [(step.command, step.status) for step in report.steps] == [(REBUILD, Status.COMPLETED)]
    assert search(notes, "apples") == ["apples only"]


async def test_a_rebuild_that_was_done_is_not_done_again(notes: Path) -> None:
    claim = lost_claim(notes, ("VACUUM", Status.COMPLETED), (REBUILD, Status.COMPLETED), recovering=Reason.OWNER_LOST)
    outcome, report = await worked(claim)
    assert report.steps == ()
    assert f"stays done (VACUUM, {REBUILD})" in (outcome.error or "")
    assert (outcome.error or "").endswith("found nothing wrong")


async def test_a_rebuild_that_is_missing_and_cannot_be_run_is_told(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.running.operation.FOLLOW_UP_LOCK_TIMEOUT", 0.1)
    claim = lost_claim(notes, ("VACUUM", Status.COMPLETED), recovering=Reason.OWNER_LOST)
    impatient = replace(claim, options=Options(force=True, lock_timeout=0.1))
    with another_process(notes, "BEGIN IMMEDIATE"):
        outcome, _ = await worked(impatient)
    assert (outcome.warnings[0]).startswith(f"VACUUM is done; {WRONG} (")
    assert WRONG in (outcome.error or "")


async def test_in_a_damaged_database_nothing_is_rebuilt_and_that_is_told(notes: Path) -> None:
    with closing(sqlite3.connect(notes)) as db:
        db.executescript("CREATE TABLE t(a); CREATE INDEX i ON t(a); INSERT INTO t VALUES (1), (2), (3), (4)")
    remove_index_entries(notes, "i")
    outcome, report = await worked(lost_claim(notes, recovering=Reason.OWNER_LOST))
    assert report.steps == ()
    damage, rebuild = outcome.warnings
    assert damage.endswith(" in index i")
    assert rebuild.endswith(WRONG)
    assert (outcome.error or "").startswith(f"{format_worker_death(1)}: ")
    assert damage in (outcome.error or "")


async def test_the_indexes_that_were_rebuilt_before_the_process_died_are_named(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=100)
    done = tuple((f'REINDEX main."{name}"', Status.COMPLETED) for name in ("a", "b"))
    claim = lost_claim(path, *done, ('REINDEX main."c"', Status.FAILED), recovering=Reason.OWNER_LOST)
    outcome, _ = await worked(replace(claim, operation=Operation.REINDEX, deaths=2))
    assert (outcome.error or "").startswith(format_worker_death(2))
    assert f"({', '.join(command for command, _ in done)})" in (outcome.error or "")


async def test_a_database_that_is_gone_when_it_is_to_be_looked_after(tmp_path: Path) -> None:
    outcome, _ = await worked(lost_claim(tmp_path / "gone.db", recovering=Reason.OWNER_LOST))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.OWNER_LOST)
    assert (outcome.error or "").startswith(f"{format_worker_death(1)}: ")


async def test_a_second_attempt_that_does_not_get_as_far_as_the_first_still_runs_what_that_left_undone(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(notes)) as db:
        db.execute("VACUUM")
    cancel, execute = asyncio.Event(), SqliteOperation.execute

    async def cancelled_before(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        cancel.set()
        return await execute(self, step, context)

    monkeypatch.setattr(SqliteOperation, "execute", cancelled_before)
    outcome, report = await worked(lost_claim(notes, ("VACUUM", Status.COMPLETED)), cancel)
    assert outcome.status is Status.CANCELLED
    assert [(step.command, step.status) for step in report.steps] == [
        ("VACUUM", Status.CANCELLED),
        (REBUILD, Status.COMPLETED),
    ]
    assert search(notes, "apples") == ["apples only"]


async def test_r32_a_stop_ends_a_recovery_that_waits_for_its_lock_and_hands_it_back(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel, take = asyncio.Event(), TargetLock._try

    def stopped_at_the_first_refusal(lock: TargetLock) -> bool:
        is_taken = take(lock)
        if not is_taken:
            cancel.set()
        return is_taken

    claim = lost_claim(notes, ("VACUUM", Status.COMPLETED), recovering=Reason.OWNER_LOST)
    claim = replace(claim, options=replace(claim.options or Options(), lock_timeout=3600))
    holder = resolve(str(notes)).connect(lock_timeout=1)
    async with holder as other, asyncio.timeout(60):
        await other.lock()
        monkeypatch.setattr(TargetLock, "_try", stopped_at_the_first_refusal)
        outcome, _ = await worked(claim, cancel)
    assert (outcome.status, outcome.reason) == (Status.CANCELLED, Reason.SHUTDOWN)
