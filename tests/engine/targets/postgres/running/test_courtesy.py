"""Steps that wait while others need the server, and that give way."""

from __future__ import annotations

import asyncio

from engine.jobs import PAUSED, Operation, Options, ServerOptions, Status
from engine.targets.base import StepContext
from engine.targets.postgres.running.courtesy import held_up_by
from tests.engine.targets.postgres.a_session import Told, connected, plan, until
from tests.engine.targets.postgres.test_cancel import OFFLINE
from tests.postgres_databases import SLEEPS, Database

LOAD = ServerOptions(pause_while="SELECT active FROM public.load")


async def test_no_step_begins_while_the_load_is_too_high(database: Database) -> None:
    database("CREATE TABLE item (id int)", "CREATE TABLE load AS SELECT 7 AS active")
    async with connected(database.url) as session:
        step = (await session.plan(Operation.ANALYZE, Options(objects=("item",), server=LOAD))).steps[0]
        told = Told()
        task = asyncio.create_task(session.execute(step, StepContext(report=told)))
        await asyncio.wait_for(told.something.wait(), 30)
        assert told.phases[0] == f"{PAUSED}: the load query says 7"
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
    assert refused.startswith('the load query, or that of the lag, fails: relation "public.load" does not exist')
    assert (await plan(database.url, Operation.ANALYZE, ServerOptions(max_lag=0))).steps


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
    assert (result.status, result.error) == (Status.SKIPPED, "others waited behind it, so it gave way")
    assert result.warnings == ("public.slow_number: others waited behind it, so it gave way",)


async def test_what_a_load_query_says_is_harmless_to_a_terminal(database: Database) -> None:
    query = "SELECT E'\\x1b[31mred\\n' || repeat('x', 99)"
    async with connected(database.url) as session:
        said = await held_up_by(session._reader, ServerOptions(pause_while=query))  # type: ignore[attr-defined]
    assert said == "the load query says [31mred" + "x" * 33
