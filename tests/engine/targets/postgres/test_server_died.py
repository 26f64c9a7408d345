"""A server that goes down under a step: it is told, the step is not begun again, and the others go on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, Operation, Options, ParentJob, Request, ServerOptions, Status
from engine.config.model import TargetEntry
from engine.domain.advice import CRITICAL
from engine.domain.damage import DamageSource
from engine.domain.requests import CheckLevel, Speed
from engine.domain.statuses import Reason
from engine.domain.surveys import FleetLevel
from engine.targets.postgres.reading.reader import Reader
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.schedules.suspect_tables import two_nights
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import connected
from tests.postgres_damage import do_damage, in_page, posting_list_outside_its_page
from tests.postgres_databases import SLEEPS, WAITS, Database, new_database
from tests.postgres_server import PostgresServer
from tui.presentation.exit_codes import OK, SKIPPED, exit_code

ZEROS = in_page(21, 3650, bytes(300))
TEXT = "the server died while checking public.item_name: read its error log"


@pytest.fixture(scope="module")
def own(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Without checksums of pages, which would tell of the damage before it does harm."""
    server = PostgresServer(postgres.binaries, checksums=False)
    try:
        server.start()
        yield server
    finally:
        server.discard()


@pytest.fixture
def shop(own: PostgresServer) -> Iterator[Database]:
    """With an index whose check ends the server."""
    with new_database(own) as database:
        database("CREATE EXTENSION amcheck")
        for name in ("item", "other"):
            database(f"CREATE TABLE {name} AS SELECT g AS id, 'name ' || g AS name FROM generate_series(1, 20000) AS g")
            database(f"CREATE INDEX {name}_name ON {name} (name)")
        do_damage(database, {"'item_name'::regclass": ZEROS})
        yield database
        database.reconnect()


async def run(engine: Engine, database: Database, *operations: Operation, options: Options | None = None) -> ParentJob:
    options = options or Options(server=ServerOptions(schemas=("public",)))
    (job,) = await engine.submit([Request(target=database.url, operations=operations, options=options)])
    async with asyncio.timeout(60):
        (job,) = await engine.wait([job.id])
    return job


async def test_a_damaged_index_that_ends_the_server_is_named_and_checked_once_and_all_others_are_checked(
    shop: Database, tmp_path: Path
) -> None:
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        job = await run(engine, shop, Operation.CHECK)
    (check,) = job.children
    steps = {step.object: step for step in check.steps}
    died = steps.pop("public.item_name")
    assert (died.status, died.reason, died.error) == (Status.FAILED, Reason.SERVER_DIED, TEXT)
    assert (check.status, check.reason) == (Status.FAILED, Reason.SERVER_DIED)
    assert "public.other_name" in steps
    assert {step.status for step in steps.values()} == {Status.COMPLETED}
    assert len(check.attempts) == 1


async def test_a_table_under_which_the_server_went_down_is_left_out_until_a_person_names_it(
    shop: Database, tmp_path: Path
) -> None:
    named = Options(objects=("item",))
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        first = await run(engine, shop, Operation.CHECK, options=named)
        assert first.children[0].reason is Reason.SERVER_DIED
        (check,) = (await ended(engine, await engine.retry(first.id))).children
        assert (check.reason, check.steps) == (Reason.DAMAGED, ())

        (check,) = (await run(engine, shop, Operation.CHECK)).children
        objects = {step.object for step in check.steps}
        assert check.status is Status.COMPLETED
        assert {"public.other", "public.other_name"} <= objects
        assert not objects & {"public.item", "public.item_name", "TOAST of public.item"}
        (advice,) = [one for one in await engine.advise(shop.url) if one.operation is Operation.CHECK]
        assert TEXT in advice.reason
        assert [(one.object, one.source) for one in await engine.known_damage(shop.url)] == [
            ("public.item", DamageSource.SERVER_LOST)
        ]

        shop.reconnect()
        shop("DROP INDEX item_name", "CREATE INDEX item_name ON item (name)")
        (check,) = (await run(engine, shop, Operation.CHECK, options=named)).children
        assert check.status is Status.COMPLETED
        assert not await engine.known_damage(shop.url)


async def test_r31_a_check_that_leaves_out_a_suspect_table_by_any_url_is_no_check_of_the_database(
    shop: Database, tmp_path: Path
) -> None:
    shop("CREATE ROLE ann SUPERUSER LOGIN", "CHECKPOINT")  # a crash may lose it
    by_another = shop.as_user("ann")
    full = Options(check=CheckLevel.FULL, server=ServerOptions(schemas=("public",)))
    whole = Options(check=CheckLevel.FULL)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        first = await run(engine, shop, Operation.CHECK, options=full)
        assert first.children[0].reason is Reason.SERVER_DIED
        shop.reconnect()
        for url in (by_another, shop.url):
            (job,) = await engine.submit([Request(target=url, operations=(Operation.CHECK,), options=whole)])
            job = await ended(engine, job)
            (check,) = job.children
            assert check.status is Status.COMPLETED
            assert (check.after or {})["suspected_tables"] == ["public.item"]
            assert exit_code([job]) == SKIPPED
            (warning,) = [one for one in check.warnings if "is left out" in one]
            assert warning.startswith("public.item is left out, as the server went down")
            (survey,) = [one.survey async for one in engine.survey([TargetEntry(name="s", url=url)], refresh=True)]
            assert (survey.level, survey.checked_at) == (FleetLevel.CRITICAL, None)
            (advice,) = [one for one in await engine.advise(url) if one.operation is Operation.CHECK]
            assert advice.needs_manual_fix  # a check of the others is not due again

        shop("DROP INDEX item_name", "CREATE INDEX item_name ON item (name)")
        named = Options(check=CheckLevel.FULL, objects=("item",))
        assert (await run(engine, shop, Operation.CHECK, options=named)).children[0].status is Status.COMPLETED
        (job,) = await engine.submit([Request(target=shop.url, operations=(Operation.CHECK,), options=whole)])
        assert exit_code([await ended(engine, job)]) == OK
        (survey,) = [one.survey async for one in engine.survey([TargetEntry(name="s", url=shop.url)], refresh=True)]
        assert survey.checked_at is not None


async def test_the_second_night_of_a_schedule_leaves_the_suspect_table_out_and_its_target_is_critical(
    shop: Database, tmp_path: Path
) -> None:
    first, second = await two_nights(tmp_path, shop.url, '["check"]', 'schemas = ["public"]')
    assert first is not None
    assert second is not None
    assert first.reason is Reason.SERVER_DIED
    objects = {step.object for step in second.steps}
    assert "public.other" in objects
    assert not objects & {"public.item", "public.item_name"}
    assert {step.status for step in second.steps} == {Status.COMPLETED}


async def test_a_schedule_of_what_is_needed_checks_the_other_tables_in_the_second_night(
    shop: Database, tmp_path: Path
) -> None:
    first, second = await two_nights(tmp_path, shop.url, '"needed"', 'schemas = ["public"]')
    assert first is not None
    assert second is not None
    assert first.reason is Reason.SERVER_DIED
    objects = {step.object for step in second.steps}
    assert "public.other" in objects
    assert not objects & {"public.item", "public.item_name"}
    assert {step.status for step in second.steps} == {Status.COMPLETED}


async def test_a_suspect_index_of_the_catalog_is_named_and_critical_and_left_out(
    own: PostgresServer, tmp_path: Path
) -> None:
    with new_database(own) as database:
        database("CREATE EXTENSION amcheck", "CREATE TABLE item (id int PRIMARY KEY)")
        do_damage(database, {"'pg_description_o_c_o_index'::regclass": posting_list_outside_its_page})
        first, second = await two_nights(tmp_path, database.url, '"needed"')
        assert first is not None
        assert second is not None
        name, table = "pg_catalog.pg_description_o_c_o_index", "pg_catalog.pg_description"
        assert [(s.object, s.reason) for s in first.steps if s.status is Status.FAILED] == [(name, Reason.SERVER_DIED)]
        objects = {step.object for step in second.steps}
        assert {"public.item", "pg_catalog.pg_class"} <= objects
        assert not objects & {name, table, f"TOAST of {table}"}
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            (known,) = await engine.known_damage(database.url)
            assert (known.object, known.source) == (table, DamageSource.SERVER_LOST)
            (advice,) = [one for one in await engine.advise(database.url) if one.operation is Operation.CHECK]
            assert advice.urgency == CRITICAL
            assert f"the server died while checking {name}" in advice.reason
            database.reconnect()
            database(f"REINDEX INDEX {name}")
            (check,) = (await run(engine, database, Operation.CHECK, options=Options(objects=(table,)))).children
            assert check.status is Status.COMPLETED
            assert not await engine.known_damage(database.url)


async def ended(engine: Engine, job: ParentJob) -> ParentJob:
    async with asyncio.timeout(60):
        (job,) = await engine.wait([job.id])
    return job


@pytest.mark.parametrize("operation", [Operation.REINDEX, Operation.VACUUM_FULL], ids=str)
async def test_a_process_of_the_server_that_crashes_under_any_step_is_told(
    own: PostgresServer, operation: Operation
) -> None:
    with new_database(own) as database:
        database.make_slow()
        database("CHECKPOINT")
        result = await killed_in(database, operation)
        database.reconnect()
    assert (result.status, result.reason) == (Status.FAILED, Reason.SERVER_DIED)


@pytest.mark.parametrize("role", ["postgres", "ann"])
async def test_a_crash_is_known_by_the_recovery_where_no_session_heard_of_it(
    own: PostgresServer, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose reader connects in just that moment."""
    monkeypatch.setattr(Reader, "_note_crash", lambda *_: None)
    with new_database(own) as database:
        database.make_slow()
        database(
            "DROP ROLE IF EXISTS ann",
            "CREATE ROLE ann LOGIN",
            "ALTER TABLE public.slow OWNER TO ann",
            "CHECKPOINT",
        )
        result = await killed_in(database, Operation.VACUUM_FULL, database.as_user(role))
        database.reconnect()
        database("DROP OWNED BY ann", "DROP ROLE ann")
    assert (result.status, result.reason) == (Status.FAILED, Reason.SERVER_DIED)


async def test_a_crash_of_another_session_is_not_blamed_on_what_is_checked(own: PostgresServer) -> None:
    """Such as one that the kernel ends because memory is short, or one that finds the disk of the log full."""
    with new_database(own) as database:
        database("CREATE EXTENSION amcheck")
        database.make_slow()
        database("CHECKPOINT")
        async with asyncio.timeout(60), connected(database.url, 60) as session:
            planned = (await session.plan(Operation.CHECK, Options(objects=("slow",)))).steps
            step = next(one for one in planned if one.object == "public.slow_number")
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, SLEEPS)
            other = database.value("SELECT pg_backend_pid()")
            database.set_fast()
            database("CHECKPOINT")  # a crash may lose it
            os.kill(other, signal.SIGKILL)
            result = await running
        database.reconnect()
    assert (result.status, result.reason) == (Status.COMPLETED, None)
    assert result.warnings == ("public.slow_number: begun twice, because the server went away",)


async def test_a_crash_of_another_session_is_not_blamed_on_a_vacuum_without_helpers(own: PostgresServer) -> None:
    with new_database(own) as database:
        database("CREATE TABLE item AS SELECT 1 AS id", "CHECKPOINT")
        async with asyncio.timeout(60), connected(database.url, 60) as session:
            (step,) = (await session.plan(Operation.VACUUM, Options(objects=("item",)))).steps
            with database.session("LOCK TABLE item IN ACCESS EXCLUSIVE MODE") as other:
                running = asyncio.create_task(session.execute(step, StepContext()))
                await until(database, WAITS)
                os.kill(other.info.backend_pid, signal.SIGKILL)
                result = await running
                other.close()
        database.reconnect()
    assert (result.status, result.reason) == (Status.COMPLETED, None)


async def test_a_crash_of_a_process_that_helps_a_vacuum_counts_as_its_own(own: PostgresServer) -> None:
    helps = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker'"
    with new_database(own) as database:
        database(
            f"ALTER DATABASE {database.name} SET min_parallel_index_scan_size = 0",
            "CREATE TABLE item WITH (autovacuum_enabled = off) AS SELECT g, g AS h FROM generate_series(1, 300000) g",
            "CREATE INDEX ON item (g)",
            "CREATE INDEX ON item (h)",
            "DELETE FROM item WHERE g % 3 = 0",
            "CHECKPOINT",
        )
        server = ServerOptions(parallel_workers=2, speed=Speed.GENTLE)
        async with asyncio.timeout(60), connected(database.url, 60) as session:
            planned = await session.plan(Operation.VACUUM, Options(objects=("item",), server=server))
            running = asyncio.create_task(session.execute(planned.steps[0], StepContext()))
            await until(database, f"SELECT EXISTS ({helps})")
            os.kill(database.value(helps), signal.SIGKILL)
            result = await running
        database.reconnect()
    assert (result.status, result.reason) == (Status.FAILED, Reason.SERVER_DIED)


async def killed_in(database: Database, operation: Operation, url: str | None = None) -> StepResult:
    async with asyncio.timeout(60), connected(url or database.url, 60) as session:
        options = Options(objects=("slow",), server=ServerOptions(offline=operation is Operation.REINDEX))
        step = (await session.plan(operation, options)).steps[0]
        running = asyncio.create_task(session.execute(step, StepContext()))
        await until(database, SLEEPS)
        os.kill(database.ours()[0][0], signal.SIGSEGV)
        return await running
