"""Steps that wait while others need the server, and steps that yield."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine import Engine
from engine.domain.errors import TargetError
from engine.domain.requests import Operation, Options, Request, ServerOptions
from engine.domain.statuses import Status
from engine.domain.steps import GAVE_WAY, PAUSED
from engine.targets.command_monitor import MOST_ATTEMPTS
from engine.targets.postgres.running.throttling import throttled_by
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.postgres.test_cancel import OFFLINE
from tests.engine.targets.server_session import Told, connected, plan
from tests.postgres_databases import SLEEPS, Database

LOAD = ServerOptions(pause_while="SELECT active FROM public.load")


async def test_no_step_begins_while_the_load_is_too_high(database: Database) -> None:
    database("CREATE TABLE item (id int)", "CREATE TABLE load AS SELECT 7 AS active")
    async with connected(database.url) as session:
        step = (await session.plan(Operation.ANALYZE, Options(objects=("item",), server=LOAD))).steps[0]
        told = Told()
        task = asyncio.create_task(session.execute(step, StepContext(report=told)))
        await asyncio.wait_for(told.something.wait(), 30)
        assert told.phases[0].startswith(f"{PAUSED}: ")
        assert told.phases[0].endswith(" 7")
        assert database.ours() == []
        database("UPDATE load SET active = 0")
        assert (await task).status is Status.COMPLETED


async def test_a_pause_ends_with_a_cancel(database: Database) -> None:
    database("CREATE TABLE item (id int)", "CREATE TABLE load AS SELECT true AS active")
    async with connected(database.url) as session:
        step = (await session.plan(Operation.ANALYZE, Options(objects=("item",), server=LOAD))).steps[0]
        told, cancel = Told(), asyncio.Event()
        task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=told)))
        await asyncio.wait_for(told.something.wait(), 30)
        cancel.set()
        assert (await task).status is Status.CANCELLED


async def test_a_load_query_that_fails_is_refused_before_anything_runs(database: Database) -> None:
    database("CREATE TABLE item (id int)")
    refused = (await plan(database.url, Operation.ANALYZE, LOAD)).refused
    assert refused is not None
    assert refused.startswith("--pause-while failed: ")
    assert '"public.load"' in refused
    assert (await plan(database.url, Operation.ANALYZE, ServerOptions(max_lag=0))).steps


async def test_a_lag_that_cannot_be_read_is_refused_before_anything_runs(database: Database) -> None:
    database(
        "CREATE TABLE item (id int)",
        "CREATE ROLE joe LOGIN",
        "ALTER TABLE item OWNER TO joe",
        "REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM PUBLIC",
    )
    refused = (await plan(database.as_user("joe"), Operation.ANALYZE, ServerOptions(max_lag=0))).refused
    assert str(refused).startswith("--max-lag failed: ")
    assert "pg_current_wal_lsn" in str(refused)


async def test_a_step_gives_way_to_those_who_wait_behind_it(database: Database) -> None:
    database.make_slow()
    async with connected(database.url, 60) as session:
        server = ServerOptions(yield_after=0.1, offline=OFFLINE.offline)
        steps = (await session.plan(Operation.REINDEX, Options(objects=("slow_number",), server=server))).steps
        task = asyncio.create_task(session.execute(steps[0], StepContext()))
        await until(database, SLEEPS)
        with database.session() as other:
            waiting = asyncio.create_task(asyncio.to_thread(other.execute, "INSERT INTO public.slow VALUES (1)"))
            result = await asyncio.wait_for(task, 30)
            await waiting
    assert (result.status, result.requeue, result.warnings) == (Status.SKIPPED, True, ())
    assert "gave way" in str(result.error)


@pytest.mark.parametrize("turns", [2, MOST_ATTEMPTS], ids=["done in the end", "left out in the end"])
async def test_what_gave_way_comes_again_after_the_others_but_not_for_ever(
    database: Database, tmp_path: Path, turns: int
) -> None:
    database.make_slow()
    database("CREATE TABLE public.other (id int PRIMARY KEY)")
    server = ServerOptions(yield_after=0.05, offline=True, schemas=("public",))
    options = Options(lock_timeout=60, server=server, confirmed=True)
    request = Request(target=database.url, operations=(Operation.REINDEX,), options=options)
    is_done = turns < MOST_ATTEMPTS
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([request])
        for _ in range(turns - is_done):
            await until(database, SLEEPS)
            with database.session() as other:
                # It waits until the rebuild has given way.
                await asyncio.to_thread(other.execute, "INSERT INTO public.slow VALUES (1)")
                if is_done:
                    database.let_go()
                    other.commit()
        (job,) = await engine.wait([job.id])
    (child,) = job.children
    steps = {step.object: step for step in child.steps}
    slow, other_key = steps["public.slow_number"], steps["public.other_pkey"]
    assert other_key.status is Status.COMPLETED
    assert slow.started_at > other_key.started_at
    sentences = [line.message for line in child.log if "public.slow_number" in line.message]
    comes_again = "public.slow_number: sessions waited behind it, so it gave way; it runs again after the other steps"
    assert child.status is Status.COMPLETED
    assert (child.after or {})[GAVE_WAY] == turns - is_done
    if is_done:
        assert (slow.status, slow.error, child.warnings) == (Status.COMPLETED, None, ())
        assert sentences == [comes_again]
    else:
        why = "sessions waited behind it each time, so it gave way 3 times"
        assert (slow.status, slow.error, child.warnings) == (Status.SKIPPED, why, (f"public.slow_number: {why}",))
        assert sentences == [comes_again, comes_again, f"public.slow_number: {why}"]
    assert child.progress.steps_done == child.progress.steps_total == 2


async def test_what_a_load_query_says_is_harmless_to_a_terminal(database: Database) -> None:
    query = "SELECT E'\\x1b[31mred\\n' || repeat('x', 99)"
    async with connected(database.url) as session:
        with pytest.raises(TargetError) as problem:
            await throttled_by(session._reader, ServerOptions(pause_while=query))
    assert problem.value.why.startswith("--pause-while failed: it gives [31mred" + "x" * 33 + ", and not true")
