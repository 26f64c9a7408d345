"""REINDEX CONCURRENTLY waits for transactions that may still see the old index, and blocks no reads or writes."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, Reason, Request, ServerOptions, Status
from engine.domain.steps import WAITED_FOR, WaitsFor
from engine.domain.time_limits import Window
from engine.targets.postgres.running.operation import PostgresOperation
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import Told, connected
from tests.engine.targets.stepwise import Stepwise
from tests.engine.working import job_once
from tests.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from engine.targets.plans import PlannedStep
    from tests.postgres_databases import Database

PUBLIC = ServerOptions(schemas=("public",))
REPEATABLE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
BEHIND_TRANSACTIONS = """
SELECT count(*) > 0 FROM pg_stat_activity
WHERE wait_event IN ('virtualxid', 'transactionid') AND application_name ~ '^dbtend'
"""


@pytest.fixture
def shop(database: Database) -> Database:
    database("CREATE TABLE item (id int, name text)", "INSERT INTO item SELECT g, g FROM generate_series(1, 500) AS g")
    database("CREATE INDEX item_name ON item (name)", "CREATE TABLE other (a int)")
    return database


async def rebuild_of(session: Stepwise, snapshot_wait: float | None = None) -> PlannedStep:
    server = ServerOptions(schemas=("public",), snapshot_wait=snapshot_wait)
    options = Options(objects=("item_name",), server=server)
    return (await session.plan(Operation.REINDEX, options)).steps[0]


async def reported(told: Told, waits_for: WaitsFor) -> str:
    """The phase of the first report of such a wait."""
    of_this = await eventually(lambda: [progress for progress in told.all if progress.waits_for is waits_for])
    return of_this[0].phase or ""


def is_rebuilt(database: Database, before: int) -> bool:
    return bool(database.value("SELECT 'item_name'::regclass::oid::int8") != before)


@pytest.fixture
def before(shop: Database) -> int:
    return int(shop.value("SELECT 'item_name'::regclass::oid::int8"))


async def test_a_snapshot_on_another_table_is_waited_for_beyond_the_lock_timeout(shop: Database, before: int) -> None:
    told = Told()
    async with connected(shop.url, lock_timeout=0.3) as session:
        step = await rebuild_of(session)
        with shop.session(REPEATABLE, "/* app */ SELECT * FROM other") as other:
            pid = other.info.backend_pid
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            phase = await reported(told, WaitsFor.TRANSACTIONS)
            await eventually(
                lambda: re.search(r" for [2-9]s ", (told.phases or [""])[-1])
            )  # far beyond its lock timeout
            assert not running.done()
            shop("INSERT INTO item VALUES (0, 'x')", "SELECT * FROM item WHERE name = 'x'")
            other.rollback()
            result = await running
    assert (result.status, result.error) == (Status.COMPLETED, None)
    assert re.search(rf" pid {pid}, .* for \d+s \(somebody, postgres\)$", phase)
    assert is_rebuilt(shop, before)
    assert shop.invalid_indexes() == []


async def test_a_command_that_runs_is_told_by_its_first_word(shop: Database) -> None:
    told = Told()
    async with connected(shop.url, lock_timeout=0.3) as session:
        step = await rebuild_of(session)
        with shop.session(REPEATABLE) as other:
            pid = other.info.backend_pid
            sleeping = asyncio.create_task(asyncio.to_thread(asleep, other))
            await until(shop, f"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {pid}")
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            phase = await reported(told, WaitsFor.TRANSACTIONS)
            shop(f"SELECT pg_cancel_backend({pid})")
            await sleeping
            other.rollback()
            assert (await running).status is Status.COMPLETED
    assert re.match(rf".* pid {pid}, SELECT ", phase)


def asleep(other: object) -> None:
    with suppress(Exception):
        other.execute("-- a comment\n /* and ** another */ (select pg_sleep(100))")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("statements", "of"),
    [
        ((REPEATABLE, "SELECT * FROM other"), "snapshot"),
        (("UPDATE item SET id = id WHERE id = 1",), "transaction"),
    ],
)
async def test_after_the_snapshot_wait_it_gives_up_and_leaves_nothing(
    shop: Database, before: int, statements: tuple[str, ...], of: str
) -> None:
    async with connected(shop.url, lock_timeout=60) as session:
        step = await rebuild_of(session, snapshot_wait=0.5)
        with shop.session(*statements) as other:
            pid = other.info.backend_pid
            result = await session.execute(step, StepContext())
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert f" transaction of pid {pid}, " in str(result.error)
    assert str(result.error).endswith(" --snapshot-wait")
    assert (result.effect or {})[WAITED_FOR] == WaitsFor.TRANSACTIONS
    assert not is_rebuilt(shop, before)
    assert str(result.left).startswith("the old index")


async def test_the_lock_timeout_holds_for_the_lock_that_others_queue_for(shop: Database, before: int) -> None:
    told = Told()
    async with connected(shop.url, lock_timeout=0.5) as session:
        step = await rebuild_of(session, snapshot_wait=3600)
        with shop.session("LOCK TABLE item IN ACCESS EXCLUSIVE MODE") as other:
            pid = other.info.backend_pid
            result = await session.execute(step, StepContext(report=told))
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    who = f"pid {pid} (somebody, postgres, idle in transaction for "
    assert f"its lock: {who}" in str(result.error)
    assert {progress.waits_for for progress in told.all if progress.waits_for} == {WaitsFor.LOCK}
    assert not is_rebuilt(shop, before)
    assert shop.invalid_indexes() == []


@pytest.mark.parametrize("snapshot_wait", [None, 3600])
async def test_r32_the_wait_ends_with_the_time_limit_but_not_before_the_lock_timeout(
    shop: Database, snapshot_wait: float | None
) -> None:
    """What began just before the limit still gets as long as for any lock."""
    async with asyncio.timeout(60), connected(shop.url, lock_timeout=1) as session:
        step = await rebuild_of(session, snapshot_wait)
        with shop.session(REPEATABLE, "SELECT * FROM other"):
            result = await session.execute(step, StepContext(window=Window(closes_at=time.monotonic())))
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert " transaction of pid " in str(result.error)
    assert str(result.error).endswith(" time limit")
    assert shop.invalid_indexes() == []


async def test_a_cancel_ends_the_wait_at_once_and_nothing_invalid_stays(shop: Database, before: int) -> None:
    told, cancel = Told(), asyncio.Event()
    async with connected(shop.url, lock_timeout=60) as session:
        step = await rebuild_of(session)
        with shop.session(REPEATABLE, "SELECT * FROM other"):
            running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=told)))
            await reported(told, WaitsFor.TRANSACTIONS)
            cancel.set()
            result = await asyncio.wait_for(running, 20)
    assert result.status is Status.CANCELLED
    assert shop.invalid_indexes() == []
    assert not is_rebuilt(shop, before)


@pytest.mark.parametrize("how", ["cancelled", "limit"])
async def test_where_only_the_old_index_could_not_be_dropped_the_rebuild_has_worked(
    shop: Database, before: int, how: str
) -> None:
    cancel = asyncio.Event()
    async with connected(shop.url, lock_timeout=0.5) as session:
        step = await rebuild_of(session, snapshot_wait=0.5 if how == "limit" else None)
        with shop.session("SELECT count(*) FROM item"):
            running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
            if how == "cancelled":
                await until(shop, BEHIND_TRANSACTIONS)
                cancel.set()
            result = await asyncio.wait_for(running, 30)
            assert await session.retry_cleanup(cancel) == []
    assert (result.status, result.error, result.left) == (Status.COMPLETED, None, "")
    assert list(result.failed_drops) == ["public.item_name_ccold"]
    (warning,) = result.failed_drops.values()
    assert "public.item_name_ccold, was not" in warning
    assert is_rebuilt(shop, before)
    assert shop.invalid_indexes() == ["item_name_ccold"]


async def test_where_no_connection_is_free_to_drop_the_old_index_the_rebuild_has_worked(
    shop: Database, before: int
) -> None:
    shop("CREATE ROLE joe LOGIN", "ALTER SCHEMA public OWNER TO joe", "ALTER TABLE item OWNER TO joe")
    cancel = asyncio.Event()
    async with connected(shop.as_user("joe"), lock_timeout=0.5) as session, asyncio.timeout(60):
        step = await rebuild_of(session, snapshot_wait=0.5)
        planned = session.planned
        assert isinstance(planned, PostgresOperation)
        shop("ALTER ROLE joe CONNECTION LIMIT 2")
        is_over = asyncio.Event()

        async def use_the_connection() -> None:
            async with planned._pool.connection(StepContext()):
                await is_over.wait()

        told = Told()
        with shop.session("SELECT count(*) FROM item"):
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            await reported(told, WaitsFor.TRANSACTIONS)
            other = asyncio.create_task(use_the_connection())
            result = await running
        is_over.set()
        await other
        assert (result.status, result.error) == (Status.COMPLETED, None)
        (warning,) = result.failed_drops.values()
        assert "no connection could" in warning
        assert await session.retry_cleanup(cancel) == ["public.item_name_ccold"]
    assert is_rebuilt(shop, before)
    assert shop.invalid_indexes() == []


async def test_the_old_index_is_dropped_at_the_end_of_the_operation(shop: Database, tmp_path: Path) -> None:
    server = ServerOptions(schemas=("public",), snapshot_wait=0.5)
    options = Options(lock_timeout=60, objects=("item_name",), server=server)
    request = Request(target=shop.url, operations=(Operation.REINDEX,), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        with shop.session("SELECT count(*) FROM item"):
            (job,) = await engine.submit([request])
            await job_once(
                engine,
                job.id,
                lambda job: any(
                    step.object == "public.item_name" and step.status is Status.COMPLETED
                    for step in job.children[0].steps
                ),
            )
        (job,) = await engine.wait([job.id])
    (child,) = job.children
    assert (child.status, child.warnings, child.error) == (Status.COMPLETED, (), None)
    assert any("public.item_name_ccold was left" in line.message for line in child.log)
    assert shop.invalid_indexes() == []


async def test_the_job_has_completed_with_a_warning_and_a_retry_has_nothing_to_rebuild(
    shop: Database, before: int, tmp_path: Path
) -> None:
    server = ServerOptions(schemas=("public",), snapshot_wait=0.3)
    options = Options(lock_timeout=0.3, objects=("item_name",), server=server)
    request = Request(target=shop.url, operations=(Operation.REINDEX,), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        with shop.session("SELECT count(*) FROM item"):
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
        (child,) = job.children
        assert (child.status, child.reason, len(child.warnings)) == (Status.COMPLETED, None, 1)
        assert "public.item_name_ccold, was not" in child.warnings[0]
        assert child.is_complete
        clean = Request(target=shop.url, operations=(Operation.CLEAN_LEFTOVERS,), options=Options(server=PUBLIC))
        (job,) = await engine.submit([clean])
        (job,) = await engine.wait([job.id])
    assert job.status is Status.COMPLETED
    assert shop.invalid_indexes() == []
    assert is_rebuilt(shop, before)


async def test_a_plan_tells_of_an_old_snapshot_and_for_how_long_it_is_waited_for(shop: Database) -> None:
    async with connected(shop.url, lock_timeout=0) as session:
        with shop.session(REPEATABLE, "SELECT * FROM other") as other:
            pid = other.info.backend_pid
            await session.plan(Operation.REINDEX, Options(objects=("item_name",)))
            said = await session.find_blockers(has_window=False)
            in_window = await session.find_blockers(has_window=True)
    assert f": pid {pid} (" in said
    assert " 1h (--snapshot-wait)" in said
    assert "until the time limit" in in_window


async def test_a_plan_in_a_window_of_a_schedule_waits_for_an_old_snapshot_until_the_window_closes(
    shop: Database, tmp_path: Path
) -> None:
    options = Options(objects=("item_name",), lock_timeout=0)
    request = Request(target=shop.url, operations=(Operation.REINDEX,), options=options)
    async with Engine.open(tmp_path / "jobs.db") as engine:
        with shop.session(REPEATABLE, "SELECT * FROM other"):
            (alone,) = (await engine.plan(request)).operations
            (in_window,) = (await engine.plan(request, closes_at=2**52)).operations
    assert any("(--snapshot-wait)" in warning for warning in alone.warnings)
    assert any("until the time limit" in warning for warning in in_window.warnings)
    assert not any("(--snapshot-wait)" in warning for warning in in_window.warnings)
