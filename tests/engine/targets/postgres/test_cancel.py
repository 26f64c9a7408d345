"""A cancel goes to the server, its answer decides, and no invalid index or session remains."""

from __future__ import annotations

import asyncio
import re

import psycopg
import pytest

from engine.domain.humanize import NOT_BEGUN
from engine.domain.requests import Operation, Options, Request, ServerOptions, Speed
from engine.domain.statuses import Reason, Status
from engine.domain.steps import CLEANING_UP, WAITING
from engine.domain.time_limits import window
from engine.inspection import inspector
from engine.targets.plans import PlannedStep
from engine.targets.postgres.planning.operation_steps import FEW
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import first_step, statuses, step_of, until
from tests.engine.targets.server_session import Told, connected, plan, run
from tests.engine.targets.stepwise import Stepwise
from tests.postgres_databases import SLEEPS, WAITS, Database, new_database
from tests.postgres_server import PostgresServer, running_server

OFFLINE = ServerOptions(offline=True)


async def a_step(session: Stepwise, operation: Operation, *, offline: bool = False) -> PlannedStep:
    """One that goes on for ever on the table `slow`."""
    options = Options(objects=("slow",), server=OFFLINE if offline else ServerOptions())
    steps = (await session.plan(operation, options)).steps
    return next(step for step in steps if "slow" in step.object)


@pytest.mark.parametrize(
    ("operation", "offline"),
    [
        (Operation.ANALYZE, False),
        (Operation.REINDEX, False),
        (Operation.REINDEX, True),
        (Operation.VACUUM_FULL, False),
        (Operation.CLUSTER, False),
    ],
)
@pytest.mark.parametrize("by_task", [False, True])
async def test_a_running_step_is_stopped_and_leaves_nothing(
    database: Database, operation: Operation, offline: bool, by_task: bool
) -> None:
    database.make_slow()
    database("ALTER TABLE slow CLUSTER ON slow_number")
    node = database.value("SELECT relfilenode FROM pg_class WHERE relname = 'slow'")
    async with connected(database.url, 60) as session:
        step, cancel, told = await a_step(session, operation, offline=offline), asyncio.Event(), Told()
        task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=told)))
        await until(database, SLEEPS)
        if by_task:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            cancel.set()
            result = await task
            assert result.status is Status.CANCELLED
            assert result.left == {
                Operation.ANALYZE: "the old statistics stay",
                Operation.REINDEX: "nothing changed"
                if offline
                else "the old index stays; its unfinished copy was dropped",
            }.get(operation, "nothing changed")
            if operation is Operation.REINDEX and not offline:
                (warning,) = result.warnings
                assert "public.slow_number_ccnew was dropped" in warning
                assert told.phases[-1] == CLEANING_UP
        assert database.ours() == []
        assert database.invalid_indexes() == []
        assert database.value("SELECT relfilenode FROM pg_class WHERE relname = 'slow'") == node
        database.set_fast()
    async with connected(database.url) as session:  # whose sessions know of it
        assert (await session.execute(await a_step(session, operation, offline=offline), StepContext())).status is (
            Status.COMPLETED
        )


async def test_what_waits_for_its_lock_says_for_whom_and_is_stopped(database: Database) -> None:
    database("CREATE TABLE item (id int)")
    with database.session("LOCK TABLE item IN ACCESS SHARE MODE") as other:
        async with connected(database.url, 60) as session:
            told, cancel = Told(), asyncio.Event()
            step = await first_step(session, Operation.VACUUM_FULL, "item")
            task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=told)))
            await until(database, WAITS)
            await asyncio.wait_for(told.something.wait(), 30)
            whom = f"pid {other.info.backend_pid} (somebody, postgres, idle in transaction for "
            assert told.phases[-1].startswith(f"{WAITING}: {whom}")
            cancel.set()
            assert (await task).status is Status.CANCELLED


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM_FULL])
async def test_r32_what_waits_for_its_table_at_the_end_of_the_window_does_not_begin(
    database: Database, operation: Operation
) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY)")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=3600) as session:
        step = (await session.plan(operation, Options(objects=("item",), confirmed=True))).steps[0]
        with database.session("LOCK TABLE item"), window(0.5) as open_for_a_moment:
            result = await session.execute(step, StepContext(window=open_for_a_moment))
        assert (result.status, result.reason) == (Status.SKIPPED, Reason.TIME_LIMIT)
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED


async def test_trap_a_prepared_transaction_in_the_way_is_named_by_the_plan_while_it_is_waited_for_and_in_the_error(
    postgres: PostgresServer,
) -> None:
    """It is nobody's session; and after a restart of the server its locks have another virtualtransaction."""
    with running_server(postgres.binaries) as server, new_database(server) as database:
        await _a_prepared_transaction_is_named(database)


async def _a_prepared_transaction_is_named(database: Database) -> None:
    database("CREATE TABLE item (id int)", "CREATE TABLE other (id int)")
    for name, table, mode in (("harmless", "other", "ROW EXCLUSIVE"), ("it's forgotten", "item", "ROW EXCLUSIVE")):
        gid = name.replace("'", "''")
        database("BEGIN", f"LOCK TABLE {table} IN {mode} MODE", "SELECT txid_current()", f"PREPARE TRANSACTION '{gid}'")
    ends = "COMMIT PREPARED or ROLLBACK PREPARED ends it"
    whom = rf"prepared transaction 'it''s forgotten' \(prepared \d+s ago: {ends}\)"
    try:
        for _ in range(2):
            options = Options(objects=("item",), confirmed=True)
            request = Request(target=database.url, operations=(Operation.VACUUM_FULL,), options=options)
            (planned,) = (await inspector.plan(request)).operations
            assert re.search(f": {whom} .* public.item$", planned.warnings[0])
            assert planned.waits
            async with connected(database.url, 1) as session:
                told = Told()
                step = await first_step(session, Operation.VACUUM_FULL, "item")
                result = await session.execute(step, StepContext(report=told))
            assert re.fullmatch(f"{WAITING}: {whom}", told.phases[-1])
            assert told.all[-1].waits_for is None, "its result is not known yet, but it waits no more"
            assert re.search(f"its lock: {whom}$", str(result.error))
            assert result.reason is Reason.TARGET_BUSY
            await asyncio.to_thread(database.server.stop)
            database.server.start()
            database.reconnect()
    finally:
        database("ROLLBACK PREPARED 'harmless'", "ROLLBACK PREPARED 'it''s forgotten'")


async def test_trap_a_cancel_that_comes_too_late_changes_no_result(database: Database) -> None:
    database("CREATE TABLE item (id int)")
    async with connected(database.url) as session:
        step, cancel = await first_step(session, Operation.ANALYZE, "item"), asyncio.Event()
        assert (await session.execute(step, StepContext(cancel=cancel))).status is Status.COMPLETED
        cancel.set()
        result = await session.execute(step, StepContext(cancel=cancel))
        assert (result.status, result.left) == (Status.CANCELLED, NOT_BEGUN)


async def test_of_a_vacuum_that_was_cancelled_what_it_did_stays(database: Database) -> None:
    database(
        "CREATE TABLE item (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
        "INSERT INTO item SELECT g, repeat('x', 500) FROM generate_series(1, 60000) AS g",
        "ANALYZE item",
        "DELETE FROM item WHERE id % 3 = 0",
    )
    database.wait_for("SELECT n_dead_tup = 20000 FROM pg_stat_user_tables WHERE relname = 'item'")
    async with connected(database.url) as session:
        options = Options(objects=("item",), server=ServerOptions(speed=Speed.GENTLE))
        step, cancel = (await session.plan(Operation.VACUUM, options)).steps[0], asyncio.Event()
        task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
        await until(database, "SELECT count(*) > 0 FROM pg_stat_progress_vacuum WHERE heap_blks_scanned > 300")
        cancel.set()
        result = await task
    assert result.status is Status.CANCELLED
    assert "(of 20,000 dead rows)" in result.left


@pytest.mark.parametrize("tables", [1, FEW + 1])
async def test_trap_a_vacuum_that_only_waited_for_its_lock_has_changed_nothing(database: Database, tables: int) -> None:
    """Whether the server tells what it does, or, of many small tables, nobody asks it."""
    database(*[f"CREATE TABLE item{number} AS SELECT 1 AS a" for number in range(tables)], "VACUUM ANALYZE")
    with database.session("LOCK TABLE item0 IN SHARE UPDATE EXCLUSIVE MODE"):
        async with connected(database.url, 60) as session:
            planned = await session.plan(Operation.VACUUM, Options(server=ServerOptions(schemas=("public",))))
            step = step_of(planned, "public.item0")
            assert ("VERBOSE" in step.command) is (tables == 1)
            told, cancel = Told(), asyncio.Event()
            task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=told)))
            await asyncio.wait_for(told.something.wait(), 30)
            assert told.phases[-1].startswith(WAITING)
            cancel.set()
            result = await task
    assert (result.status, result.left) == (Status.CANCELLED, "nothing changed")


async def test_trap_cancelled_by_somebody_else_is_a_failure(database: Database) -> None:
    database.make_slow()
    async with connected(database.url, 60) as session:
        step = await a_step(session, Operation.VACUUM_FULL)
        task = asyncio.create_task(session.execute(step, StepContext()))
        await until(database, SLEEPS)
        database(f"SELECT pg_cancel_backend({database.ours()[0][0]})")
        result = await task
    assert result.status is Status.FAILED
    assert str(result.error).startswith("another session cancelled")


async def test_trap_a_leftover_of_somebody_else_is_not_dropped_by_our_step(database: Database) -> None:
    """Only what came with the step goes with it."""
    database.make_slow()
    leave_something_behind(database)
    async with connected(database.url, 60) as session:
        step = await a_step(session, Operation.REINDEX)
        task = asyncio.create_task(session.execute(step, StepContext()))
        await until(database, SLEEPS)
        database(f"SELECT pg_terminate_backend({database.ours()[0][0]})")
        result = await task
        assert result.status is Status.FAILED
        assert "administrator ended" in str(result.error)
        (warning,) = result.warnings
        assert "public.slow_number_ccnew1 was dropped" in warning
        assert database.invalid_indexes() == ["slow_number_ccnew"]


def leave_something_behind(database: Database) -> None:
    database("SET statement_timeout = 200")
    with pytest.raises(psycopg.errors.QueryCanceled):
        database("REINDEX INDEX CONCURRENTLY slow_number")
    database("RESET statement_timeout")
    assert database.invalid_indexes() == ["slow_number_ccnew"]


async def test_leftovers_are_left_out_of_a_rebuild_and_cleaned_on_request(database: Database) -> None:
    database.make_slow()
    leave_something_behind(database)
    planned = await plan(database.url, Operation.REINDEX, OFFLINE)
    assert [step.object for step in planned.steps] == ["public.slow_number"]
    (warning,) = planned.warnings
    assert warning.startswith("left out: ")
    assert warning.endswith(": public.slow_number_ccnew")
    assert statuses(await run(database.url, Operation.CLEAN_LEFTOVERS)) == {Status.COMPLETED}
    assert database.invalid_indexes() == []


async def test_trap_a_reader_that_stays_makes_a_concurrent_rebuild_leave_something_that_is_told_and_cleaned(
    database: Database,
) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY)", "INSERT INTO item SELECT generate_series(1, 100)")
    options = Options(objects=("item",), server=ServerOptions(snapshot_wait=1))
    with database.session("LOCK TABLE item IN ROW EXCLUSIVE MODE"):
        async with connected(database.url) as session:
            step = (await session.plan(Operation.REINDEX, options)).steps[0]
            result = await session.execute(step, StepContext())
        assert result.status is Status.FAILED
        assert result.reason is Reason.TARGET_BUSY
        assert "transaction of pid" in str(result.error)
    if result.failed_drops:
        ((name, warning),) = result.failed_drops.items()
        assert name == "public.item_pkey_ccnew"
        assert warning.endswith(': DROP INDEX CONCURRENTLY "public"."item_pkey_ccnew"')
        assert result.left.endswith(": public.item_pkey_ccnew")
        assert database.invalid_indexes()
        async with connected(database.url) as session:
            planned = await session.plan(Operation.CLEAN_LEFTOVERS, Options())
            assert [step.command for step in planned.steps] == [
                'DROP INDEX CONCURRENTLY IF EXISTS "public"."item_pkey_ccnew"'
            ]
            assert (await session.execute(planned.steps[0], StepContext())).status is Status.COMPLETED
    assert database.invalid_indexes() == []
