"""One child, executed on a real file."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.claims import Claim
from engine.domain.errors import StoreError, TargetError
from engine.domain.jobs import JobId, JobType, ParentJob
from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FINISHING, MAX_FINDINGS, LogLevel
from engine.domain.time_limits import Window
from engine.execution.knowledge import Knowledge, StoreKnowledge
from engine.execution.outcomes import StepOutcome, child_outcome, describe_failures, describe_findings
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.system.clock import now
from engine.targets import resolve
from engine.targets.limits import Limits, NotBegunError
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import PlannedStep
from engine.targets.sqlite.running.operation import SqliteOperation
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import integrity, make_database, remove_index_entries, set_schema_sql

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from engine.domain.claims import Outcome, Report
    from engine.domain.steps import Facts
    from engine.store.protocol import Store
    from engine.targets.plans import OperationPlan


def claim_of(path: Path | str, operation: Operation = Operation.VACUUM, options: Options | None = None) -> Claim:
    return Claim(
        job=JobId(1, 1),
        type=JobType.OPERATION,
        attempt=1,
        owner="me",
        target=str(path),
        operation=operation,
        options=options or Options(),
    )


async def forget(report: Report) -> None:
    pass


async def carried_out(
    path: Path, operation: Operation, cancel: asyncio.Event | None = None, **options: Any
) -> tuple[Outcome, Report]:
    """How the child ended, and all it had to tell."""
    claim = claim_of(path, operation, Options(**options))
    reporter = Reporter(claim, refuse, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim, reporter, cancel or asyncio.Event())
    return outcome, await reporter.stop()


class UnreadableStore:
    def __getattr__(self, name: str) -> Any:
        async def ask(*_: object, **__: object) -> None:
            raise StoreError("the store of jobs", "cannot be read")

        return ask


def of_unreadable_store() -> Knowledge:
    async def before_start(ask: Callable[[], Awaitable[None]]) -> None:
        await ask()

    store = cast("Store", UnreadableStore())
    return StoreKnowledge(store, "abc", config=None, clock=now, before_start=before_start)


async def refuse(report: Report) -> None:
    raise StoreError("the store of jobs", "is not asked here")


def told(report: Report) -> list[tuple[str, Status]]:
    return [(step.object, step.status) for step in report.steps]


async def test_a_vacuum_that_was_over_when_the_cancel_came_ends_completed_with_its_true_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode="wal")
    size = path.stat().st_size
    cancel = asyncio.Event()
    execute = SqliteOperation.execute

    async def cancel_comes_too_late(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        result = await execute(self, step, context)
        cancel.set()
        return result

    monkeypatch.setattr(SqliteOperation, "execute", cancel_comes_too_late)
    reporter = Reporter(claim_of(path), forget, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim_of(path), reporter, cancel)
    await reporter.stop()
    assert (outcome.status, outcome.error) == (Status.COMPLETED, None)
    assert outcome.after is not None
    assert outcome.after["size"] == path.stat().st_size < size


async def test_r26_an_operation_that_is_done_waits_for_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.attempt.ASK_AGAIN_AFTER", 0)
    path = make_database(tmp_path / "sales.db")
    size = path.stat().st_size

    class HangsOnceItIsDone(Knowledge):
        async def require_owned(self, claim: Claim) -> None:
            if path.stat().st_size < size:
                await asyncio.Event().wait()

    worker = DatabaseMaintenanceWorker(resolve, HangsOnceItIsDone())
    async with asyncio.timeout(30):
        outcome = await worker.execute(claim_of(path), Reporter(claim_of(path), refuse, now), asyncio.Event())
    assert outcome.status is Status.COMPLETED


@pytest.mark.parametrize("is_readable", [True, False])
async def test_progress_goes_by_what_each_step_took_before_where_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_readable: bool
) -> None:
    path = make_database(tmp_path / "sales.db")
    weighed: list[float | None] = []
    begin = Reporter.begin

    def note(self: Reporter, steps: Sequence[PlannedStep], **options: Any) -> None:
        weighed.extend(step.estimate for step in steps)
        begin(self, steps, **options)

    class Estimates(Knowledge):
        async def estimated(
            self, claim: Claim, plan: OperationPlan, options: Options, before: Facts, known: Sequence[ParentJob] | None
        ) -> OperationPlan:
            assert (claim.target, plan.operation, options) == (str(path), Operation.REINDEX, Options())
            assert before["size"] == path.stat().st_size
            return replace(plan, steps=tuple(replace(step, estimate=77.0) for step in plan.steps))

    async with resolve(str(path)).connect(lock_timeout=1) as session:
        steps = (await session.plan(Operation.REINDEX, Options())).plan.steps
    assert len(steps) > 1
    monkeypatch.setattr(Reporter, "begin", note)
    claim = claim_of(path, Operation.REINDEX)
    reporter = Reporter(claim, forget, now)
    worker = DatabaseMaintenanceWorker(resolve, Estimates() if is_readable else of_unreadable_store())
    assert (await worker.execute(claim, reporter, asyncio.Event())).status is Status.COMPLETED
    await reporter.stop()
    assert (set(weighed) == {77.0}) is is_readable


async def test_a_step_that_was_to_come_again_when_the_cancel_came_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "sales.db")
    cancel, execute = asyncio.Event(), SqliteOperation.execute

    async def gives_way_as_the_cancel_comes(
        self: SqliteOperation, step: PlannedStep, context: StepContext
    ) -> StepResult:
        cancel.set()
        return StepResult(status=Status.SKIPPED, error="it gave way", requeue=True)

    monkeypatch.setattr(SqliteOperation, "execute", gives_way_as_the_cancel_comes)
    outcome, _ = await carried_out(path, Operation.VACUUM, cancel)
    assert (outcome.status, outcome.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
    monkeypatch.setattr(SqliteOperation, "execute", execute)
    assert (await carried_out(path, Operation.VACUUM))[0].status is Status.COMPLETED


async def test_r16_a_step_that_cannot_be_interrupted_says_so_and_ends_as_what_really_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.step_runner.STOPS_WITHIN", 0)
    monkeypatch.setattr("engine.execution.reporter.INTERVAL", 0)
    path = make_database(tmp_path / "sales.db")
    cancel, finishing, execute = asyncio.Event(), asyncio.Event(), SqliteOperation.execute

    async def goes_on_until_it_was_told(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        cancel.set()
        await finishing.wait()
        return await execute(self, step, replace(context, cancel=asyncio.Event()))

    async def listen(report: Report) -> None:
        if report.progress.phase == FINISHING:
            finishing.set()

    monkeypatch.setattr(SqliteOperation, "execute", goes_on_until_it_was_told)
    reporter = Reporter(claim_of(path), listen, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim_of(path), reporter, cancel)
    report = await reporter.stop()
    assert (outcome.status, outcome.reason) == (Status.COMPLETED, None)
    assert report.progress.phase is None


async def test_r16_a_step_that_stops_when_asked_is_never_said_to_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.step_runner.STOPS_WITHIN", 60)
    monkeypatch.setattr("engine.execution.reporter.INTERVAL", 0)
    path = make_database(tmp_path / "sales.db")
    cancel = asyncio.Event()
    phases: set[str | None] = set()

    async def stops(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        cancel.set()
        return StepResult(status=Status.CANCELLED)

    async def listen(report: Report) -> None:
        phases.add(report.progress.phase)

    monkeypatch.setattr(SqliteOperation, "execute", stops)
    reporter = Reporter(claim_of(path), listen, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim_of(path), reporter, cancel)
    phases.add((await reporter.stop()).progress.phase)
    assert outcome.status is Status.CANCELLED
    assert phases == {None}


async def test_a_look_that_fails_while_it_is_cancelled_is_no_news() -> None:
    """What was cancelled is cancelled: asyncio has no error to complain of afterwards, on the user's terminal."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    asked = asyncio.Event()

    async def fails_when_cancelled() -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise TargetError("sales.db", "is locked") from None

    with pytest.raises(NotBegunError):
        await Limits(cancel=asked, window=Window()).unless_cancelled(fails_when_cancelled())
    gc.collect()
    assert complaints == []


async def test_what_was_rebuilt_before_a_cancel_is_written_back_although_others_keep_the_database_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode="wal")
    cancel, execute, done = asyncio.Event(), SqliteOperation.execute, 0

    async def cancel_comes_after_two(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        nonlocal done
        result = await execute(self, step, context)
        done += 1
        if done == 2:
            cancel.set()
        return result

    monkeypatch.setattr(SqliteOperation, "execute", cancel_comes_after_two)
    with another_process(path, "PRAGMA user_version"):
        outcome, report = await carried_out(path, Operation.REINDEX, cancel)
        assert path.with_name("sales.db-wal").stat().st_size == 0
    assert (outcome.status, outcome.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
    assert [status for _, status in told(report)] == [Status.COMPLETED] * 3
    assert report.steps[-1].command == "PRAGMA main.wal_checkpoint(TRUNCATE)"
    assert integrity(path) == []


async def test_where_nothing_was_done_nothing_is_completed(tmp_path: Path) -> None:
    """A full-text index is not rebuilt, and no log written back, after a VACUUM that could not begin."""
    path = make_database(tmp_path / "sales.db", rows=20, journal_mode="wal")
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE notes(body); CREATE VIRTUAL TABLE found USING fts5(body, content=notes)")
    with another_process(path, "BEGIN IMMEDIATE") as pid:
        outcome, report = await carried_out(path, Operation.VACUUM, lock_timeout=0)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert told(report) == [("main", Status.FAILED)]
    assert f"process {pid}" in str(outcome.error)
    assert not any("shrink" in warning for warning in outcome.warnings)


async def test_the_line_of_the_log_that_only_names_settings_is_known_as_such(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=200)
    outcome, report = await carried_out(path, Operation.VACUUM)
    assert outcome.status is Status.COMPLETED
    assert [line.number for line in report.log if line.is_settings] == [1]


async def test_a_check_in_parts_at_once_finds_what_one_after_the_other_finds(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=200)
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE INDEX names ON "group"(name)')
    for index in ("order", "names"):
        remove_index_entries(path, index)
    alone, _ = await carried_out(path, Operation.CHECK, jobs=1)
    at_once, report = await carried_out(path, Operation.CHECK, jobs=4)
    assert alone.after is not None
    assert at_once.after is not None
    assert set(at_once.after["damaged_indexes"]) == set(alone.after["damaged_indexes"]) == {"order", "names"}  # type: ignore[arg-type]
    assert at_once.after["findings"] == alone.after["findings"]
    assert (at_once.status, at_once.reason) == (Status.FAILED, Reason.OPERATION_ERROR)
    assert {line.level for line in report.log} >= {LogLevel.ERROR}
    assert [line for line in report.log if line.message.endswith(" in index order")]


async def test_parts_really_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    execute, together, running = SqliteOperation.execute, asyncio.Event(), 0

    async def waits_for_another(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        nonlocal running
        running += 1
        if running == 3:
            together.set()
        await together.wait()
        return await execute(self, step, context)

    monkeypatch.setattr(SqliteOperation, "execute", waits_for_another)
    async with asyncio.timeout(30):
        outcome, report = await carried_out(path, Operation.CHECK, jobs=3)
    assert outcome.status is Status.COMPLETED
    assert len(report.steps) == 3


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_cancel_stops_all_that_runs_at_once(
    tmp_path: Path, journal_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "sales.db", rows=20, journal_mode=journal_mode)
    cancel, begun = asyncio.Event(), 0

    async def wait_for_the_cancel(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        nonlocal begun
        begun += 1
        if begun == 2:
            cancel.set()
        await context.cancel.wait()
        return StepResult(status=Status.CANCELLED)

    monkeypatch.setattr(SqliteOperation, "execute", wait_for_the_cancel)
    outcome, report = await carried_out(path, Operation.CHECK, cancel, jobs=2)
    assert (outcome.status, begun) == (Status.CANCELLED, 2)
    assert [status for _, status in told(report)] == [Status.CANCELLED] * 2


def orphaned(path: Path, rows: int = 1) -> Path:
    """A database in which rows refer to a row that is not there."""
    make_database(path, rows=20)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute('CREATE TABLE child(id INTEGER PRIMARY KEY, group_id REFERENCES "group")')
        db.executemany("INSERT INTO child VALUES (?, 777)", [(number,) for number in range(rows)])
    return path


BUSY = "another session holds it"
ORPHAN = "a row of child refers to a missing row of group (rowid 0)"


async def test_the_error_of_a_check_is_what_it_found_and_no_step_that_failed(tmp_path: Path) -> None:
    outcome, _ = await carried_out(orphaned(tmp_path / "sales.db"), Operation.CHECK)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.OPERATION_ERROR)
    assert outcome.error == ORPHAN


async def test_what_several_steps_of_a_check_found_is_counted_together(tmp_path: Path) -> None:
    path = orphaned(tmp_path / "sales.db")
    remove_index_entries(path, "order")
    outcome, report = await carried_out(path, Operation.CHECK)
    found = [line.message for line in report.log if line.level is LogLevel.ERROR]
    assert ORPHAN in found
    assert outcome.error == f"{found[0]}, the first of {len(found)} findings"


def test_where_a_check_looked_no_further_there_may_be_more_than_what_was_found() -> None:
    damage = StepResult(
        status=Status.FAILED, error="damaged", findings=tuple(map(str, range(MAX_FINDINGS))), error_is_finding=True
    )
    orphan = StepResult(status=Status.FAILED, error=ORPHAN, findings=(ORPHAN,), error_is_finding=True)
    assert describe_findings([damage, orphan]) == "0, the first of 101 or more findings"


async def test_beside_a_step_that_failed_what_was_found_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = SqliteOperation.execute

    async def busy_unless_foreign_keys(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        if "foreign_key_check" in step.command:
            return await execute(self, step, context)
        return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=BUSY)

    monkeypatch.setattr(SqliteOperation, "execute", busy_unless_foreign_keys)
    outcome, _ = await carried_out(orphaned(tmp_path / "sales.db"), Operation.CHECK)
    assert outcome.error == f"{BUSY}; 1 of 2 steps failed. Found: {ORPHAN}"


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (("main", "main"), "database is locked; 2 of 3 steps failed"),
        (("main", "orders"), "orders: database is locked; 2 of 3 steps failed"),
        (("orders", "lines"), "orders, lines: database is locked; 2 of 3 steps failed"),
    ],
)
def test_of_what_failed_tables_and_indexes_are_named_and_not_the_whole_database(
    objects: tuple[str, str], words: str
) -> None:
    steps = [PlannedStep(object=name, command="ANALYZE", reason="", lock=NO_LOCK) for name in objects]
    failed = StepResult(status=Status.FAILED, error="database is locked")
    assert describe_failures([(step, failed) for step in steps], 3) == words


def test_of_many_different_failures_the_first_are_told_and_the_others_named() -> None:
    steps = [PlannedStep(object=f"t{number}", command="ANALYZE", reason="", lock=NO_LOCK) for number in range(12)]
    failed = [(step, StepResult(status=Status.FAILED, error=f"why of {step.object}")) for step in steps]
    assert describe_failures(failed[:2], 12) == "t0: why of t0; t1: why of t1; 2 of 12 steps failed"
    assert describe_failures(failed[:3], 12) == "t0: why of t0; t1: why of t1; t2 failed, too; 3 of 12 steps failed"
    assert describe_failures(failed, 12).endswith(
        "; t1: why of t1; t2, t3, t4, t5, t6 and 5 more failed, too; 12 of 12 steps failed"
    )


async def test_a_cancelled_check_that_had_found_something_says_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cancel, execute = orphaned(tmp_path / "sales.db"), asyncio.Event(), SqliteOperation.execute
    remove_index_entries(path, "order")

    async def cancelled_at_the_foreign_keys(
        self: SqliteOperation, step: PlannedStep, context: StepContext
    ) -> StepResult:
        if "foreign_key_check" not in step.command:
            return await execute(self, step, context)
        cancel.set()
        return StepResult(status=Status.CANCELLED)

    monkeypatch.setattr(SqliteOperation, "execute", cancelled_at_the_foreign_keys)
    outcome, report = await carried_out(path, Operation.CHECK, cancel)
    found = [line.message for line in report.log if line.level is LogLevel.ERROR]
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.OPERATION_ERROR)
    assert outcome.error == (
        f"stopped after 1 of 2 steps. By then: {found[0]}, the first of {len(found)} findings. "
        "Not through: PRAGMA main.foreign_key_check"
    )
    assert outcome.after is not None
    assert (outcome.after["findings"], outcome.after["complete"]) == (len(found), False)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (Operation.CHECKPOINT, "there is no write-ahead log"),
        (Operation.INCREMENTAL_VACUUM, "auto_vacuum is not incremental"),
    ],
)
async def test_what_is_not_needed_is_skipped_and_says_why(tmp_path: Path, operation: Operation, why: str) -> None:
    outcome, report = await carried_out(make_database(tmp_path / "sales.db", rows=20), operation)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, Reason.NOT_NEEDED)
    assert why in str(outcome.error)
    assert report.steps == ()


VACUUM_STEP = PlannedStep(object="orders", command="VACUUM orders", reason="", lock=NO_LOCK)


async def test_what_preflight_refuses_is_refused_and_not_begun(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "group", 'create TABLE "group"(id INTEGER PRIMARY KEY, name TEXT)')
    outcome, report = await carried_out(path, Operation.VACUUM)
    assert (outcome.status, outcome.reason, report.steps) == (Status.FAILED, Reason.REFUSED, ())
    assert "drop 'group'" in str(outcome.error)


def test_trap_what_was_done_in_part_was_not_refused_before_it_began() -> None:
    refused = (VACUUM_STEP, StepResult(status=Status.FAILED, reason=Reason.REFUSED, error="permission denied"))
    done = (replace(VACUUM_STEP, object="lines"), StepResult(status=Status.COMPLETED))

    def reason(*results: StepOutcome) -> Reason | None:
        return child_outcome(results, planned=[step for step, _ in results], after=None).reason

    assert reason(refused) is Reason.REFUSED
    assert reason(refused, done) is Reason.OPERATION_ERROR


async def test_an_object_that_is_gone_by_now_is_told(tmp_path: Path) -> None:
    outcome, _ = await carried_out(make_database(tmp_path / "sales.db", rows=20), Operation.REINDEX, objects=("gone",))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.INVALID)
    assert "gone: " in str(outcome.error)


async def test_each_check_says_how_thorough_it_was(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    for options, level in (({}, "full"), ({"verify": True}, "quick"), ({"check": CheckLevel.QUICK}, "quick")):
        outcome, _ = await carried_out(path, Operation.CHECK, **options)
        assert outcome.after is not None
        assert outcome.after["level"] == level


async def test_what_is_first_on_its_target_asks_for_no_history(tmp_path: Path) -> None:
    asked = list[str]()

    class NoHistory(Knowledge):
        async def history(self, target: str) -> TargetHistory:
            asked.append(target)
            return TargetHistory(now=0, jobs=())

    path = make_database(tmp_path / "sales.db")
    worker = DatabaseMaintenanceWorker(resolve, NoHistory())
    for is_first in (True, False):
        claim = replace(claim_of(path, Operation.ANALYZE), is_first=is_first)
        outcome = await worker.execute(claim, Reporter(claim, forget, now), asyncio.Event())
        assert outcome.status is Status.COMPLETED
        assert asked == ([] if is_first else [str(path)])
