"""Tiny tables share a command, and each has its own outcome."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from engine import ChildJob, Engine, JobId, Operation, Options, Reason, Request, ServerOptions, Status
from engine.domain.claims import Claim
from engine.domain.errors import OwnershipLostError
from engine.domain.steps import WAITING
from engine.domain.time_limits import window
from engine.execution.knowledge import Knowledge
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.system.clock import now
from engine.targets import resolve
from engine.targets.postgres.planning.grouping import MOST
from engine.targets.postgres.planning.operation_steps import FEW
from engine.targets.step_execution import StepContext
from tests.engine.execution.test_worker import claim_of, forget
from tests.engine.processes import python
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import connected, plan
from tests.postgres_databases import SLEEPS, SLOW, WAITS, Database
from tests.waiting import eventually

ANALYZED = ServerOptions(analyze=True, schemas=("public",))
TABLES = {f"public.item{number:03}" for number in range(FEW + 1)}
# Its index refuses to be analyzed, but by the test itself.
FAILS = """
CREATE FUNCTION public.fails(number int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    IF coalesce(current_setting('dbtend_test.fast', true), '') = '' THEN RAISE EXCEPTION 'no such luck'; END IF;
    RETURN number;
END $$
"""
WARNS = """
CREATE OR REPLACE FUNCTION public.fails(number int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    RAISE WARNING 'take care';
    RETURN number;
END $$
"""


@pytest.fixture
def many(database: Database) -> Database:
    """So many that the small ones share commands; `slow` and `broken` are in the last of these."""
    database(
        SLOW,
        FAILS,
        "SET dbtend_test.fast = on",
        "DO $$ BEGIN FOR n IN 0.." + str(FEW) + " LOOP EXECUTE format("
        "'CREATE TABLE item%1$s (a) AS SELECT generate_series(1, 40); CREATE INDEX ON item%1$s (a)',"
        " lpad(n::text, 3, '0')); END LOOP; END $$",
        "CREATE TABLE slow (a) AS SELECT generate_series(1, 20)",
        "CREATE INDEX ON slow (public.slow(a))",
        "CREATE TABLE broken (a) AS SELECT generate_series(1, 10)",
        "CREATE INDEX ON broken (public.fails(a))",
        "VACUUM ANALYZE",
    )
    return database


async def vacuumed(database: Database, store: Path, lock_timeout: float = 0.2) -> ChildJob:
    options = Options(lock_timeout=lock_timeout, server=ANALYZED)
    async with Engine.open(store / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        request = Request(target=database.url, operations=(Operation.VACUUM,), options=options)
        (job,) = await engine.submit([request])
        (job,) = await engine.wait([job.id])
    return job.children[0]


def outcomes(child: ChildJob) -> dict[str, Status]:
    """Of each table, wherever it was done; each once."""
    done = [name for step in child.steps for name in step.done if step.object != "database"]
    assert len(done) == len(set(done))
    others = {step.object: step.status for step in child.steps if not step.done}
    return dict.fromkeys(done, Status.COMPLETED) | others


def since(database: Database, moment: object) -> set[str]:
    """The tables that were analyzed since then."""
    database.wait_for_counters()
    query = f"SELECT 'public.' || relname FROM pg_stat_user_tables WHERE last_analyze > '{moment}'"
    return {name for (name,) in database(query)}


async def test_each_is_done_and_listed_and_the_plan_shows_how(many: Database, tmp_path: Path) -> None:
    many.set_fast()
    planned = await plan(many.url, Operation.VACUUM, ANALYZED)
    groups = [step for step in planned.steps if step.objects]
    assert {name for step in groups for name in step.objects} == {*TABLES, "public.slow", "public.broken"}
    assert max(len(step.objects) for step in groups) == MOST
    assert len(groups) == -(-(len(TABLES) + 2) // MOST)
    assert all(re.match(r'VACUUM \(SKIP_LOCKED, ANALYZE.*\) "public"\."item', step.command) for step in groups)
    began = many.value("SELECT clock_timestamp()")
    child = await vacuumed(many, tmp_path)
    assert (child.status, child.error, child.warnings) == (Status.COMPLETED, None, ())
    assert [step.command for step in child.steps] == [step.command for step in planned.steps]
    assert outcomes(child).items() >= dict.fromkeys([*TABLES, "public.slow", "public.broken"], Status.COMPLETED).items()
    assert since(many, began) == {*TABLES, "public.slow", "public.broken"}
    assert (child.after or {})["steps_completed"] == len(TABLES) + 2


async def test_one_that_is_locked_waits_alone(many: Database, tmp_path: Path) -> None:
    many.set_fast()
    with many.session("LOCK TABLE item007 IN SHARE UPDATE EXCLUSIVE MODE"):
        child = await vacuumed(many, tmp_path)
    assert (child.status, child.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    found = outcomes(child)
    assert {name for name, status in found.items() if status is not Status.COMPLETED} - {"database"} == {
        "public.item007"
    }
    assert str(child.error).startswith("public.item007: ")
    assert str(child.error).count("item007") == 1
    assert child.warnings == ()
    follow_up = [step.started_at for step in child.steps if step.object == "database"]
    assert all(began >= step.started_at for began in follow_up for step in child.steps)


async def test_what_failed_is_repeated_alone(many: Database, tmp_path: Path) -> None:
    many.set_fast()
    with many.session("LOCK TABLE item007 IN SHARE UPDATE EXCLUSIVE MODE"):
        await vacuumed(many, tmp_path)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        job = await engine.retry(1, only_incomplete=True)
        (job,) = await engine.wait([job.id])
    (child,) = job.children
    assert child.status is Status.COMPLETED
    assert {step.object for step in child.steps} - {"database"} == {"public.item007"}


async def test_one_that_is_free_in_time_is_done(many: Database, tmp_path: Path) -> None:
    many.set_fast()
    with many.session("LOCK TABLE item007 IN SHARE UPDATE EXCLUSIVE MODE"):
        ends = asyncio.create_task(vacuumed(many, tmp_path, lock_timeout=60))
        await until(many, WAITS)
        assert [query for *_, query in many.ours()] == [
            many.value("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        ]
    child = await ends
    assert (child.status, child.warnings) == (Status.COMPLETED, ())
    assert outcomes(child)["public.item007"] is Status.COMPLETED


async def test_one_that_was_dropped_or_fails_leaves_the_others_done(many: Database) -> None:
    many("SELECT pg_advisory_lock(13)")
    began = many.value("SELECT clock_timestamp()")
    async with connected(many.url) as session:
        planned = await session.plan(Operation.VACUUM, Options(server=ANALYZED))
        many("DROP TABLE item007")
        results = {}
        for step in planned.steps:
            results[step.object, step.objects] = result = await session.execute(step, StepContext())
            for one in result.instead:
                results[one.object, ()] = await session.execute(one, StepContext())
        facts = await session.facts(Operation.VACUUM)
    gone, broken = results["public.item007", ()], results["public.broken", ()]
    assert (gone.status, broken.status) == (Status.SKIPPED, Status.FAILED)
    assert "no longer exists" in str(gone.error)
    assert "no such luck" in str(broken.error)
    assert since(many, began) == {*TABLES, "public.slow"} - {"public.item007"}
    assert facts["steps_completed"] == len(since(many, began))
    assert (facts["steps_failed"], facts["steps_skipped"]) == (1, 1)


async def test_a_warning_about_no_table_is_kept(many: Database, tmp_path: Path) -> None:
    many.set_fast()
    many(WARNS)
    child = await vacuumed(many, tmp_path)
    assert (child.status, child.error) == (Status.COMPLETED, None)
    assert {warning.removeprefix("public.broken: ") for warning in child.warnings} == {"take care"}
    assert outcomes(child)["public.broken"] is Status.COMPLETED


async def test_cancelled_the_history_says_which_are_done(many: Database, tmp_path: Path) -> None:
    many("ALTER TABLE broken RENAME TO z", "DROP TABLE z")
    began = many.value("SELECT clock_timestamp()")
    options = Options(server=ANALYZED)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        request = Request(target=many.url, operations=(Operation.VACUUM,), options=options)
        (job,) = await engine.submit([request])
        await until(many, SLEEPS)
        ((*_, query),) = many.ours()
        await engine.cancel(JobId(job.id))
        (job,) = await engine.wait([job.id])
    (child,) = job.children
    assert child.status is Status.CANCELLED
    (cut,) = [step for step in child.steps if step.status is Status.CANCELLED]
    assert cut.command.partition(" --")[0] in query
    assert "public.slow" not in cut.done
    assert {name for name in outcomes(child) if name in TABLES} == since(many, began)
    assert many.ours() == []


async def test_nothing_begins_after_the_limit(many: Database) -> None:
    async with connected(many.url) as session:
        planned = await session.plan(Operation.VACUUM, Options(server=ANALYZED))
        with window(0) as closed:
            result = await session.execute(planned.steps[0], StepContext(window=closed))
    assert (result.status, result.reason, result.instead) == (Status.SKIPPED, Reason.TIME_LIMIT, ())


async def test_one_that_is_waited_for_is_seen(many: Database) -> None:
    """By its own step, with who is in the way."""
    many.set_fast()
    async with connected(many.url, 60) as session:
        planned = await session.plan(Operation.VACUUM, Options(server=ANALYZED))
        with many.session("LOCK TABLE item007 IN SHARE UPDATE EXCLUSIVE MODE"):
            await eventually(lambda: session.find_blockers(has_window=False))  # it counts once it lasts
            group = next(step for step in planned.steps if "public.item007" in step.objects)
            (alone,) = (await session.execute(group, StepContext())).instead
            phases: list[str] = []
            seen = asyncio.Event()

            def report(progress: object) -> None:
                phases.append(str(getattr(progress, "phase", None)))
                if phases[-1].startswith(WAITING):
                    seen.set()

            running = asyncio.create_task(session.execute(alone, StepContext(report=report)))
            await asyncio.wait_for(seen.wait(), 30)
        assert (await running).status is Status.COMPLETED


async def test_one_that_is_in_the_way_of_others_stops_and_is_done_alone(many: Database) -> None:
    many("DROP TABLE broken")
    server = ServerOptions(analyze=True, schemas=("public",), yield_after=0.05)

    def lock() -> None:
        with many.session("LOCK TABLE slow IN ACCESS EXCLUSIVE MODE"):
            pass

    async with connected(many.url, 60) as session:
        planned = await session.plan(Operation.VACUUM, Options(server=server))
        group = next(step for step in planned.steps if "public.slow" in step.objects)
        running = asyncio.create_task(session.execute(group, StepContext()))
        await until(many, SLEEPS)
        locking = asyncio.create_task(asyncio.to_thread(lock))
        result = await running
        await locking
    assert "public.slow" in {step.object for step in result.instead}
    assert result.stop_reason == ""
    done = (result.effect or {}).get("objects")
    assert isinstance(done, tuple)
    assert {*done, *(step.object for step in result.instead)} == set(group.objects)


async def test_ended_by_an_administrator_each_is_done_alone(many: Database, tmp_path: Path) -> None:
    many("DROP TABLE broken")
    began = many.value("SELECT clock_timestamp()")
    ends = asyncio.create_task(vacuumed(many, tmp_path))
    await until(many, SLEEPS)
    ((pid, *_),) = many.ours()
    many(f"SELECT pg_terminate_backend({pid})")
    many.let_go()
    child = await ends
    assert (child.status, child.error) == (Status.COMPLETED, None)
    assert since(many, began) == {*TABLES, "public.slow"}
    assert {name for name in outcomes(child) if name in TABLES} == TABLES


async def test_lost_to_another_process_nothing_more_begins(many: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    many.set_fast()
    monkeypatch.setattr("engine.execution.attempt.ASK_AGAIN_AFTER", 0)
    began = many.value("SELECT clock_timestamp()")
    asked = 0

    class LosesIt(Knowledge):
        async def require_owned(self, claim: Claim) -> None:
            nonlocal asked
            asked += 1
            if asked == 3:  # before the session's first look, the first group, the second
                raise OwnershipLostError

    claim = claim_of(many.url, options=Options(server=ANALYZED))
    worker = DatabaseMaintenanceWorker(resolve, LosesIt())
    with pytest.raises(OwnershipLostError):
        await worker.execute(claim, Reporter(claim, forget, now), asyncio.Event())
    assert len(since(many, began)) == MOST


KILLED = """
    from engine import Engine, Operation, Options, Request, ServerOptions

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            options = Options(server=ServerOptions(analyze=True, schemas=("public",)))
            (job,) = await engine.submit(
                [Request(target=sys.argv[2], operations=(Operation.VACUUM,), options=options)])
            print(job.id, flush=True)
            await engine.wait([job.id])

    asyncio.run(main())
"""


async def test_killed_the_history_is_true_and_the_next_attempt_does_it(many: Database, tmp_path: Path) -> None:
    many("DROP TABLE broken")
    store = tmp_path / "jobs.db"
    with python(KILLED, store, many.url) as process:
        number = int(await process.says())
        await until(many, SLEEPS)
        process.kill()
    many.set_fast()
    many.let_go()
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
        (job,) = await engine.wait([number])
    (child,) = job.children
    assert (child.status, child.attempt) == (Status.COMPLETED, 2)
    first = [step for step in child.steps if step.attempt == 1]
    assert "public.slow" not in {name for step in first for name in step.done}
    again = {name for step in child.steps if step.attempt == 2 for name in step.done}
    assert again >= {*TABLES, "public.slow"}
