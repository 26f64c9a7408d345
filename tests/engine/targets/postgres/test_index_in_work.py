"""An index that another session builds, rebuilds or drops is invalid for that time, and is no leftover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
import pytest

from engine import Operation, Options, Status
from engine.domain.advice import Level, TargetHistory
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import statuses, until
from tests.engine.targets.server_session import connected, plan, run
from tests.postgres_databases import Database

IS_BUILDING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND application_name = 'builder'"
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'builder'"
WAYS = {
    "a new one": ("CREATE INDEX CONCURRENTLY slow_ccnew ON public.slow (public.slow(number))", ["slow_ccnew"]),
    "a new one by a name of its own": (
        "CREATE INDEX CONCURRENTLY slow_too ON public.slow (public.slow(number))",
        ["slow_too"],
    ),
    "a rebuild": ("REINDEX INDEX CONCURRENTLY public.slow_number", ["slow_number_ccnew"]),
    "a rebuild of all of a table, whose TOAST table has one, too": (
        "REINDEX TABLE CONCURRENTLY public.slow",
        ["pg_toast_index_ccnew", "slow_number_ccnew"],
    ),
}


@pytest.fixture
def shop(database: Database) -> Database:
    database.make_slow()
    database("ALTER TABLE public.slow ADD note text")
    return database


@asynccontextmanager
async def another_does(shop: Database, command: str, until_it: str = IS_BUILDING) -> AsyncIterator[None]:
    """Another session does this meanwhile, and has come to its end afterwards."""

    def work() -> None:
        with psycopg.connect(shop.url, autocommit=True, application_name="builder") as other:
            other.execute(command)

    working = asyncio.create_task(asyncio.to_thread(work))
    try:
        await until(shop, until_it)
        yield
    finally:
        shop.let_go()
        await working


def leave_something_behind(shop: Database) -> None:
    shop("SET statement_timeout = 200")
    with pytest.raises(psycopg.errors.QueryCanceled):
        shop("REINDEX INDEX CONCURRENTLY public.slow_number")
    shop("RESET statement_timeout")
    assert shop.invalid_indexes() == ["slow_number_ccnew"]


async def scanned_share(url: str) -> Sequence[str]:
    """What is said of indexes, and what would be done to them."""
    async with connected(url) as session:
        advised, _ = await session.advise(TargetHistory(now=0), budget=None)
    said = [
        f"{advice.operation}: {advice.reason}"
        for advice in advised
        if advice.operation in {Operation.CLEAN_LEFTOVERS, Operation.REINDEX} and advice.level is not Level.NONE
    ]
    for operation in (Operation.CLEAN_LEFTOVERS, Operation.OPTIMIZE):
        said += [step.command for step in (await plan(url, operation)).steps if "INDEX" in step.command]
    return said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("role", ["postgres", "joe"])
async def test_what_somebody_builds_is_neither_reported_nor_dropped(shop: Database, way: str, role: str) -> None:
    """Also to a role to whom the server does not tell what others build."""
    shop("CREATE ROLE joe LOGIN", "ALTER SCHEMA public OWNER TO joe", "ALTER TABLE public.slow OWNER TO joe")
    command, invalid = WAYS[way]
    async with another_does(shop, command):
        assert [name.replace(str(toast_oid(shop)) + "_", "") for name in shop.invalid_indexes()] == invalid
        assert await scanned_share(shop.as_user(role)) == []
    assert shop.invalid_indexes() == []


def toast_oid(shop: Database) -> int:
    return int(shop.value("SELECT 'public.slow'::regclass::oid"))


async def test_what_somebody_drops_is_neither_reported_nor_rebuilt(shop: Database) -> None:
    with shop.session("SELECT FROM public.slow") as reading:
        async with another_does(shop, "DROP INDEX CONCURRENTLY public.slow_number", WAITS):
            assert shop.invalid_indexes() == ["slow_number"]
            assert await scanned_share(shop.url) == []
            reading.rollback()


async def test_what_is_left_over_though_others_work_on_its_table_is_told(shop: Database) -> None:
    leave_something_behind(shop)
    with shop.session("LOCK TABLE public.slow IN SHARE UPDATE EXCLUSIVE MODE"):
        assert any("slow_number_ccnew" in said for said in await scanned_share(shop.url))
    assert statuses(await run(shop.url, Operation.CLEAN_LEFTOVERS)) == {Status.COMPLETED}
    assert shop.invalid_indexes() == []


@pytest.mark.parametrize("is_through", [False, True], ids=["still rebuilding", "rebuilt"])
async def test_a_leftover_that_somebody_makes_valid_after_it_was_planned_to_drop_it_stays(
    shop: Database, is_through: bool
) -> None:
    leave_something_behind(shop)
    async with connected(shop.url) as session:
        (step,) = (await session.plan(Operation.CLEAN_LEFTOVERS, Options())).steps
        async with another_does(shop, "REINDEX INDEX CONCURRENTLY public.slow_number_ccnew"):
            result = None if is_through else await session.execute(step, StepContext())
        result = result or await session.execute(step, StepContext())
    assert result.status is Status.SKIPPED
    assert str(result.error).startswith("no longer left")
    assert shop.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.slow_number_ccnew'::regclass")
