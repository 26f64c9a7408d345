"""The engine end to end, on real SQLite files."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import Change, Engine, JobId, OnDuplicate, OnFailure, Operation, Options, Reason, Request, Status
from engine.domain.errors import (
    DuplicateRequestError,
    JobNotFoundError,
    TargetDamagedError,
    TargetError,
    TargetRefusedError,
    UsageError,
)
from tests.building import ALL_FOUR, SQLITE_OPERATIONS
from tests.engine.working import job_once
from tests.sqlite_files import (
    AUTOMATIC_INDEX,
    HOSTILE_INDEX_NAMES,
    add_index_that_cannot_be_rebuilt,
    content,
    files_beside,
    integrity,
    make_database,
    remove_index_entries,
    set_schema_sql,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine.open(tmp_path / "state" / "jobs.db", workers=2) as opened:
        yield opened


def request(path: Path, *operations: Operation, **options: object) -> Request:
    return Request(target=str(path), operations=operations or ALL_FOUR, options=Options(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_all_four_operations_complete_and_keep_every_row(
    engine: Engine, tmp_path: Path, journal_mode: str
) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode=journal_mode)
    before, size = content(path), path.stat().st_size
    (submitted,) = await engine.submit([request(path)])
    (parent,) = await engine.wait([submitted.id])
    assert [(c.operation, c.status, c.error) for c in parent.children] == [
        (operation, Status.COMPLETED, None) for operation in ALL_FOUR
    ]
    assert parent.status is Status.COMPLETED
    assert all(
        child.steps and all(step.status is Status.COMPLETED for step in child.steps) for child in parent.children
    )
    assert parent.children[0].steps[0].command == "VACUUM"
    assert content(path) == before
    assert integrity(path) == []
    vacuum = parent.children[0]
    assert vacuum.before is not None
    assert vacuum.after is not None
    assert vacuum.before["size"] == size
    assert int(str(vacuum.after["size"])) < size
    assert vacuum.after["free_pages"] == 0
    assert parent.children[-1].after is not None
    assert parent.children[-1].after["size"] == path.stat().st_size
    assert files_beside(path) == {"sales.db", "state"}


async def test_what_runs_is_what_the_plan_shows(engine: Engine, sales: Path) -> None:
    plan = await engine.plan(request(sales))
    (submitted,) = await engine.submit([request(sales)])
    (parent,) = await engine.wait([submitted.id])
    planned = [[step.command for step in operation.steps] for operation in plan.operations]
    assert [[step.command for step in child.steps] for child in parent.children] == planned


async def test_r10_indexes_of_any_name_are_really_rebuilt(engine: Engine, sales: Path) -> None:
    for name in (*HOSTILE_INDEX_NAMES, AUTOMATIC_INDEX):
        remove_index_entries(sales, name)
    assert integrity(sales) != []
    (submitted,) = await engine.submit([request(sales, Operation.REINDEX)])
    (parent,) = await engine.wait([submitted.id])
    assert parent.status is Status.COMPLETED
    assert {step.object for step in parent.children[0].steps} >= {*HOSTILE_INDEX_NAMES, AUTOMATIC_INDEX}
    assert integrity(sales) == []


async def test_r9_one_index_that_fails_is_told_and_does_not_stop_the_others(engine: Engine, sales: Path) -> None:
    remove_index_entries(sales, "order")
    add_index_that_cannot_be_rebuilt(sales, "broken unique")
    (submitted,) = await engine.submit([request(sales, Operation.REINDEX, Operation.ANALYZE)])
    (parent,) = await engine.wait([submitted.id])
    reindex, analyze = parent.children
    assert (reindex.status, reindex.reason, analyze.status) == (
        Status.FAILED,
        Reason.OPERATION_ERROR,
        Status.COMPLETED,
    )
    assert str(reindex.error).startswith("broken unique:")
    assert str(reindex.error).endswith("; 1 of 7 steps failed")
    outcomes = {step.object: step.status for step in reindex.steps}
    assert outcomes.pop("broken unique") is Status.FAILED
    assert set(outcomes.values()) == {Status.COMPLETED}
    assert parent.status is Status.FAILED


async def test_r9_what_comes_after_an_index_that_fails_is_rebuilt(engine: Engine, sales: Path) -> None:
    with closing(sqlite3.connect(sales, isolation_level=None)) as db:
        db.execute("INSERT INTO item VALUES ('one', -1, ''), ('two', -1, '')")
        set_schema_sql(db, "order", 'CREATE UNIQUE INDEX "order" ON item(price)')
    remove_index_entries(sales, "sqliteX_idx")
    (submitted,) = await engine.submit([request(sales, Operation.REINDEX)])
    (parent,) = await engine.wait([submitted.id])
    steps = {step.object: step for step in parent.children[0].steps}
    assert steps["order"].number < steps["sqliteX_idx"].number
    assert {name for name, step in steps.items() if step.status is not Status.COMPLETED} == {"order"}
    assert not any("missing from index sqliteX_idx" in line for line in integrity(sales))


async def test_r1_every_operation_completes_on_an_empty_database(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    (submitted,) = await engine.submit([request(path, *SQLITE_OPERATIONS)])
    (parent,) = await engine.wait([submitted.id])
    assert parent.status is Status.COMPLETED
    assert {child.operation: child.reason for child in parent.children if child.status is not Status.COMPLETED} == {
        Operation.CHECKPOINT: Reason.NOT_NEEDED,
        Operation.INCREMENTAL_VACUUM: Reason.NOT_NEEDED,
        Operation.FTS_OPTIMIZE: Reason.NOT_NEEDED,
    }


@pytest.mark.parametrize(
    ("operations", "complaint"),
    [
        ((), "no operation was chosen"),
        ((Operation.VACUUM, Operation.VACUUM), "is named twice"),
        (("drop everything",), "is unknown"),
    ],
)
async def test_r11_a_request_is_validated_whole_before_anything_is_stored(
    engine: Engine, sales: Path, operations: tuple[Operation, ...], complaint: str
) -> None:
    wrong = Request(target=str(sales), operations=operations)
    other = make_database(sales.with_name("other.db"))
    with pytest.raises(UsageError, match=complaint):
        await engine.submit([request(other), wrong])
    assert await engine.history() == []


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), float("inf"), 1e9])
async def test_r11_an_impossible_option_is_refused(engine: Engine, sales: Path, timeout: float) -> None:
    with pytest.raises(UsageError, match="is not possible"):
        await engine.submit([request(sales, lock_timeout=timeout)])
    assert await engine.history() == []


async def test_no_request_at_all_is_refused(engine: Engine) -> None:
    with pytest.raises(UsageError, match="names no database"):
        await engine.submit([])


async def test_a_missing_database_is_refused_and_never_created(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        await engine.submit([request(tmp_path / "nothing.db")])
    assert await engine.history() == []
    assert not (tmp_path / "nothing.db").exists()


async def test_a_read_only_database_is_refused(engine: Engine, sales: Path) -> None:
    sales.chmod(0o444)
    with pytest.raises(TargetRefusedError):
        await engine.submit([request(sales)])
    assert await engine.history() == []


async def test_r20_a_second_identical_request_is_refused_or_merged(engine: Engine, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE"):
        (first,) = await engine.submit([request(sales, lock_timeout=60.0)])
        with pytest.raises(DuplicateRequestError):
            await engine.submit([request(sales, lock_timeout=60.0)])
        (merged,) = await engine.submit([request(sales, lock_timeout=60.0)], on_duplicate=OnDuplicate.MERGE)
        assert merged.id == first.id
    (parent,) = await engine.wait([first.id])
    assert parent.status is Status.COMPLETED


async def test_a_locked_database_fails_as_busy(engine: Engine, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE"):
        (submitted,) = await engine.submit([request(sales, Operation.VACUUM, lock_timeout=0.05)])
        (parent,) = await engine.wait([submitted.id])
    assert (parent.status, parent.children[0].reason) == (Status.FAILED, Reason.TARGET_BUSY)


async def test_a_database_that_vanishes_fails_its_children_in_words(engine: Engine, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE"):
        (submitted,) = await engine.submit([request(sales, lock_timeout=60.0, on_failure=OnFailure.STOP)])
        sales.rename(sales.with_name("moved.db"))
    (parent,) = await engine.wait([submitted.id])
    assert parent.status is Status.FAILED
    assert parent.children[0].error is not None
    assert "Traceback" not in parent.children[0].error
    assert not sales.exists()


async def test_cancel_ends_a_waiting_job_as_cancelled(engine: Engine, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE"):
        (submitted,) = await engine.submit([request(sales, lock_timeout=60.0)])
        await engine.cancel(JobId(submitted.id))
        (parent,) = await engine.wait([submitted.id])
    assert parent.status is Status.CANCELLED


async def test_r25_retry_submits_the_same_request_as_a_new_parent(engine: Engine, sales: Path) -> None:
    wanted = request(sales, Operation.REINDEX, Operation.ANALYZE, lock_timeout=7.5)
    (submitted,) = await engine.submit([wanted])
    with pytest.raises(UsageError, match="is still"):
        await engine.retry(submitted.id)
    (first,) = await engine.wait([submitted.id])
    again = await engine.retry(first.id)
    (second,) = await engine.wait([again.id])
    assert (second.request, second.retry_of, second.status) == (first.request, first.id, Status.COMPLETED)
    with pytest.raises(UsageError, match="every operation completed"):
        await engine.retry(second.id, only_incomplete=True)


async def test_a_retry_changes_only_the_options_that_are_given(engine: Engine, sales: Path) -> None:
    (submitted,) = await engine.submit([request(sales, Operation.CHECK, lock_timeout=7.5)])
    await engine.wait([submitted.id])
    with pytest.raises(UsageError, match="server-wait"):
        await engine.retry(submitted.id, changes={"server_wait": 60.0})
    again = await engine.retry(submitted.id, changes={"until": "06:00", "jobs": 2})
    options = submitted.request.options
    assert again.request.options == replace(options, until="06:00", jobs=2)
    assert again.deadline_at is not None
    await engine.wait([again.id])


async def test_retry_of_what_failed_repeats_only_that(engine: Engine, sales: Path) -> None:
    add_index_that_cannot_be_rebuilt(sales)
    (submitted,) = await engine.submit([request(sales)])
    (first,) = await engine.wait([submitted.id])
    again = await engine.retry(first.id, only_incomplete=True)
    assert again.request.operations == (Operation.REINDEX,)
    await engine.wait([again.id])


async def test_an_unknown_job_says_so(engine: Engine) -> None:
    with pytest.raises(JobNotFoundError):
        await engine.job(7)


async def test_r19_as_many_databases_at_once_as_workers_and_jobs_are_read_meanwhile(
    engine: Engine, tmp_path: Path
) -> None:
    """Real operations, each kept waiting by a lock on its database: two run, the third has no worker yet."""
    paths = [make_database(tmp_path / f"{n}.db", rows=50, journal_mode="wal") for n in range(3)]
    changes = engine.changes()
    async with asyncio.timeout(60), AsyncExitStack() as locks:
        for path in paths:
            locks.enter_context(transaction(path, "IMMEDIATE"))
        parents = await engine.submit([request(path, Operation.VACUUM, lock_timeout=600) for path in paths])
        started: list[JobId] = []
        while len(started) < 2:
            change = await anext(changes)
            if isinstance(change, Change) and change.job and change.job.ordinal and change.new is Status.RUNNING:
                started.append(change.job)
        assert started == [JobId(1, 1), JobId(2, 1)]
        for job in started:
            await job_once(engine, job.parent, lambda parent: parent.children[0].steps)
        statuses = [job.children[0].status for job in await engine.jobs([1, 2, 3])]
        assert statuses == [Status.RUNNING, Status.RUNNING, Status.PENDING]
        assert [job.id for job in await engine.history()] == [3, 2, 1]
        assert len((await engine.plan(request(paths[0]))).operations) == 4
    done = await engine.wait([parent.id for parent in parents])
    assert [parent.status for parent in done] == [Status.COMPLETED] * 3


async def test_two_engines_share_one_store(tmp_path: Path, sales: Path) -> None:
    store = tmp_path / "jobs.db"
    async with Engine.open(store) as console, Engine.open(store, workers=1):
        (submitted,) = await console.submit([request(sales)])
        (parent,) = await console.wait([submitted.id])
        assert [worker.alive for worker in await console.workers()] == [True]
    assert parent.status is Status.COMPLETED


async def test_an_engine_without_workers_executes_nothing(tmp_path: Path, sales: Path) -> None:
    async with Engine.open(tmp_path / "jobs.db") as console:
        (submitted,) = await console.submit([request(sales)])
        assert submitted.status is Status.PENDING
        assert await console.workers() == []
    async with Engine.open(tmp_path / "jobs.db") as console:
        assert [job.status for job in await console.open_jobs()] == [Status.PENDING]


async def test_a_plan_tells_which_operation_would_be_refused_as_the_run_does(engine: Engine, sales: Path) -> None:
    with sqlite3.connect(sales) as db:
        set_schema_sql(db, "group", 'create TABLE "group"(id INTEGER PRIMARY KEY, name TEXT)')
    db.close()
    plan = await engine.plan(request(sales, Operation.VACUUM, Operation.ANALYZE))
    vacuum, analyze = plan.operations
    assert (vacuum.steps, analyze.refused) == ((), None)
    (submitted,) = await engine.submit([request(sales, Operation.VACUUM, Operation.ANALYZE)])
    (parent,) = await engine.wait([submitted.id])
    assert [child.status for child in parent.children] == [Status.FAILED, Status.COMPLETED]
    assert (parent.children[0].reason, parent.children[0].error) == (Reason.REFUSED, vacuum.refused)
    assert "silently drop" in str(vacuum.refused)


async def test_a_locked_database_whose_name_is_no_utf8_fails_in_words(engine: Engine, tmp_path: Path) -> None:
    path = make_database(tmp_path / b"b\xff.db".decode(errors="surrogateescape"))
    with transaction(path, "EXCLUSIVE"):
        (submitted,) = await engine.submit([request(path, Operation.VACUUM, lock_timeout=0.05)])
        (parent,) = await engine.wait([submitted.id])
    assert (parent.status, parent.children[0].reason) == (Status.FAILED, Reason.TARGET_BUSY)


async def test_a_check_of_what_cannot_even_be_looked_at_has_found_that(engine: Engine, sales: Path) -> None:
    with sales.open("r+b") as file:
        file.truncate(sales.stat().st_size // 2)
    (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.CHECK,))])
    (done,) = await engine.wait([job.id])
    (child,) = done.children
    assert (child.status, child.reason) == (Status.FAILED, Reason.OPERATION_ERROR)
    assert child.after is not None
    assert (child.after["findings"], child.after["complete"]) == (1, False)
    assert str(child.after["damage"]).startswith("too damaged")
    assert str(child.after["remedy"]).startswith("Restore a backup, ")
    assert [line.message for line in child.log] == [child.after["damage"]]
    with pytest.raises(TargetDamagedError):
        await engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
