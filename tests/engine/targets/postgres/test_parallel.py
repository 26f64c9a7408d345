"""Several objects at once inside one operation, each with its own outcome."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from engine import Engine, JobId, OnFailure, Operation, Options, Reason, Request, ServerOptions, Status
from engine.targets.postgres.session import PostgresSession
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import connected, plan
from tests.engine.working import job_once
from tests.postgres_databases import SLEEPS, WAITS, Database

PUBLIC = ServerOptions(schemas=("public",))


async def test_many_at_once_are_all_done_and_two_indexes_of_a_table_never_deadlock(
    database: Database, tmp_path: Path
) -> None:
    for number in range(6):
        database(f"CREATE TABLE t{number} (a int PRIMARY KEY, b int, c text)")
        database(f"CREATE INDEX ON t{number} (b)", f"CREATE INDEX ON t{number} (c)")
        database(f"INSERT INTO t{number} SELECT g, g, g FROM generate_series(1, 2000) AS g")
    options = Options(jobs=4, server=PUBLIC)
    request = Request(target=database.url, operations=(Operation.VACUUM, Operation.REINDEX), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([request])
        (job,) = await engine.wait([job.id])
    assert [(child.status, child.error) for child in job.children] == [(Status.COMPLETED, None)] * 2
    assert len(job.children[1].steps) == 6 * 4
    assert database.invalid_indexes() == []


@pytest.mark.parametrize("jobs", [1, 4])
async def test_what_each_takes_before_and_after_is_told_where_many_are_measured_together(
    database: Database, tmp_path: Path, jobs: int
) -> None:
    for number in range(20):
        database(f"CREATE TABLE t{number} (a int)", f"INSERT INTO t{number} SELECT generate_series(1, 4000)")
        database(f"DELETE FROM t{number} WHERE a > 2000")
    database.wait_for("SELECT count(*) = 20 FROM pg_stat_user_tables WHERE n_dead_tup = 2000")

    def sizes() -> dict[str, int]:
        query = (
            "SELECT 'public.' || relname, pg_total_relation_size(oid)::int8 FROM pg_class WHERE relname ~ '^t[0-9]+$'"
        )
        return dict(database(query))

    before = sizes()
    request = Request(target=database.url, operations=(Operation.VACUUM,), options=Options(jobs=jobs, server=PUBLIC))
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([request])
        (job,) = await engine.wait([job.id])
    effects = {step.object: step.effect or {} for step in job.children[0].steps}
    after = sizes()
    assert len(after) == 20
    for name, size in after.items():
        effect = effects[name]
        assert (effect["size_before"], effect["size"], effect["rows_removed"]) == (before[name], size, 2000)
        assert size < before[name]


async def test_another_may_begin_before_a_step_is_measured_but_not_before_one_that_failed_is_put_in_order(
    database: Database,
) -> None:
    database("CREATE TABLE item (a int)", "INSERT INTO item VALUES (1)")
    over = asyncio.Event()
    async with connected(database.url, 0.2) as session:
        planned = await session.plan(Operation.VACUUM, Options(objects=("item",)))
        with database.session("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE"):
            result = await session.execute(planned.steps[0], StepContext(command_finished=over.set))
            assert (result.status, over.is_set()) == (Status.FAILED, False)
        ending = asyncio.create_task(session.execute(planned.steps[0], StepContext(command_finished=over.set)))
        await over.wait()
        assert not ending.done()
        assert (await ending).effect is not None


async def test_trap_a_step_that_waits_for_its_lock_is_seen_beside_one_that_goes_on(
    database: Database, tmp_path: Path
) -> None:
    database.make_slow()
    database("CREATE TABLE item (id int PRIMARY KEY)")
    request = Request(
        target=database.url, operations=(Operation.REINDEX,), options=Options(jobs=2, lock_timeout=60, server=PUBLIC)
    )
    with database.session("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE") as other:
        pid = other.info.backend_pid
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(30):
            (job,) = await engine.submit([request])
            for condition in (SLEEPS, WAITS):
                await until(database, condition)
            waiting = await job_once(engine, job.id, lambda job: job.children[0].progress.waits_for)
            told = waiting.children[0].progress
            await engine.cancel(JobId(job.id))
            (job,) = await engine.wait([job.id])
    assert [step.object for step in job.children[0].steps] == ["public.slow_number", "public.item_pkey"]
    assert told.object == "public.item_pkey"
    assert f"pid {pid} " in str(told.phase)


async def test_one_that_fails_does_not_stop_the_rest(database: Database, tmp_path: Path) -> None:
    for number in range(5):
        database(f"CREATE TABLE t{number} (a int)")
    options = Options(jobs=2, lock_timeout=0.5, confirmed=True, server=PUBLIC)
    request = Request(target=database.url, operations=(Operation.VACUUM_FULL,), options=options)
    with database.session("LOCK TABLE t2 IN ACCESS SHARE MODE"):
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
    (child,) = job.children
    assert child.status is Status.FAILED
    assert child.reason is Reason.TARGET_BUSY
    assert str(child.error).startswith("public.t2: ")
    assert str(child.error).endswith("; 1 of 5 steps failed")
    assert {step.object: step.status for step in child.steps} == {
        f"public.t{number}": Status.FAILED if number == 2 else Status.COMPLETED for number in range(5)
    }


@pytest.mark.parametrize("jobs", [1, 2])
async def test_one_that_fails_stops_what_has_not_begun_where_that_is_asked_for(
    database: Database, tmp_path: Path, jobs: int
) -> None:
    for number in range(6):
        database(f"CREATE TABLE t{number} (a int)")
    options = Options(jobs=jobs, lock_timeout=0.5, confirmed=True, server=PUBLIC, on_step_failure=OnFailure.STOP)
    request = Request(target=database.url, operations=(Operation.VACUUM_FULL, Operation.VACUUM), options=options)
    with database.session("LOCK TABLE t0 IN ACCESS SHARE MODE", "LOCK TABLE t1 IN ACCESS SHARE MODE"):
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
    full, vacuum = job.children
    steps = {step.object: (step.status, step.error) for step in full.steps}
    begun = {name: how for name, how in steps.items() if how[0] is not Status.SKIPPED}
    # What ran beside the one that failed has gone on to its own end.
    assert set(begun) == {f"public.t{number}" for number in range(jobs)}
    assert {status for status, _ in begun.values()} == {Status.FAILED}
    left_out = set(steps.values()) - set(begun.values())
    assert len(left_out) == 1
    assert re.search(rf" public\.t[0-{jobs - 1}] failed$", str(left_out.pop()[1]))
    assert (full.status, full.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert str(full.error).startswith("public.t0")
    assert f"; {jobs} of 6 steps failed" in str(full.error)
    assert f" {6 - jobs} steps of it" in str(full.error)
    assert (full.progress.steps_done, full.left) == (jobs, 6 - jobs)
    # Other operations go on, and what completes others is done where anything was.
    assert vacuum.status is Status.COMPLETED


async def test_what_completes_the_others_is_done_though_one_failed_and_the_rest_was_left_out(
    database: Database, tmp_path: Path
) -> None:
    if database.major < 16:
        pytest.skip("before PostgreSQL 16 nothing completes the others")
    for number in range(3):
        database(f"CREATE TABLE t{number} (a int)", f"INSERT INTO t{number} SELECT generate_series(1, {9 - number}000)")
    database("ANALYZE")  # the longest comes first
    options = Options(lock_timeout=0.5, on_step_failure=OnFailure.STOP)
    request = Request(target=database.url, operations=(Operation.VACUUM,), options=options)
    with database.session("LOCK TABLE t1 IN ACCESS EXCLUSIVE MODE"):
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
    steps = {step.object: step.status for step in job.children[0].steps}
    assert steps["public.t0"] is Status.COMPLETED
    assert (steps["public.t1"], steps["public.t2"], steps["database"]) == (
        *(Status.FAILED, Status.SKIPPED),
        Status.COMPLETED,
    )


async def test_there_are_never_more_at_once_than_the_server_has_connections_for(database: Database) -> None:
    for number in range(60):
        database(f"CREATE TABLE t{number} (a int)")
    planned = await plan(database.url, Operation.VACUUM, PUBLIC, jobs=60)
    assert 1 < planned.parallel < 40
    assert planned.warnings[0].startswith(f"{planned.parallel} steps ")
    assert " of 60: " in planned.warnings[0]


@pytest.mark.parametrize("jobs", [None, 1])
async def test_one_at_a_time_unless_more_are_asked_for(database: Database, jobs: int | None) -> None:
    database("CREATE TABLE a (a int)", "CREATE TABLE b (a int)")
    assert (await plan(database.url, Operation.VACUUM, PUBLIC, jobs=jobs)).parallel == 1


async def test_what_is_left_by_rebuilds_that_ran_at_once_is_dropped_by_each(database: Database) -> None:
    database.make_slow()
    database("CREATE TABLE public.slow2 (LIKE public.slow)", "SET dbtend_test.fast = on")
    database("CREATE INDEX slow2_number ON public.slow2 (public.slow(number))", "INSERT INTO slow2 TABLE slow")
    async with connected(database.url, 60) as session:
        steps = (await session.plan(Operation.REINDEX, Options(server=PUBLIC))).steps
        cancel = asyncio.Event()
        running = [
            asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
            for step in steps
            if step.object.endswith("_number")
        ]
        await until(database, SLEEPS.replace("> 0", "= 2"))
        cancel.set()
        results = await asyncio.gather(*running)
    warnings = sorted(str(result.warnings) for result in results)
    assert "public.slow2_number_ccnew was dropped" in warnings[0]
    assert "public.slow_number_ccnew was dropped" in warnings[1]
    assert [len(result.warnings) for result in results] == [1, 1]
    assert database.invalid_indexes() == []


@pytest.mark.parametrize(("tables", "jobs", "open_then"), [(2, 2, 3), (1, 2, 2), (2, 1, 2)])
async def test_the_first_steps_have_their_connections_when_they_are_planned(
    database: Database, tables: int, jobs: int, open_then: int
) -> None:
    names = [f"t{number}" for number in range(tables)]
    for name in names:
        database(f"CREATE TABLE {name} (a int)")
    ours = "FROM pg_stat_activity WHERE application_name = 'dbtend test 1/1'"
    async with connected(database.url) as session:
        await session.session.lock()
        options = Options(jobs=jobs, objects=tuple(names))
        planned = await session.session.plan(Operation.VACUUM, options)
        assert len(planned.plan.steps) == tables
        assert (await planned.facts())["tables"] == tables
        await until(database, f"SELECT count(*) = {open_then} {ours}")
        for step in planned.plan.steps:
            assert (await planned.execute(step, StepContext())).status is Status.COMPLETED
        assert database.value(f"SELECT count(*) {ours}") == open_then
    await until(database, f"SELECT count(*) = 0 {ours}")


async def test_a_connection_that_opens_just_when_its_step_is_cancelled_is_closed(database: Database) -> None:
    async with connected(database.url) as connected_one:
        session = connected_one.session
        assert isinstance(session, PostgresSession)
        opening = asyncio.create_task(session._opened())
        opening.add_done_callback(lambda _: connecting.cancel())
        session._ahead = [opening]
        connecting = asyncio.create_task(session._connect())
        with pytest.raises(asyncio.CancelledError):
            await connecting
        connection, _ = opening.result()
        assert connection.closed
