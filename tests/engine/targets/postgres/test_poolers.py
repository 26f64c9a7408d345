"""Through PgBouncer: a pool that shares server connections among clients is refused; others work."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine import Engine, Options, ServerOptions
from engine.domain.advice import TargetHistory
from engine.domain.errors import TargetUnavailableError
from engine.domain.requests import Operation, Request
from engine.domain.statuses import Status
from engine.inspection import inspector
from engine.targets import resolve
from engine.targets.postgres.connection import connecting
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import first_step, statuses, until
from tests.engine.targets.postgres.test_cancel import a_step
from tests.engine.targets.server_session import Told, connected, run
from tests.pgbouncer import PORT, PgBouncer, pgbouncer
from tests.postgres_databases import SLEEPS, Database

SHARING = ("transaction", "statement")
REFUSED = "its pooler hands a connection to the server on to others"
SET_BY_SOMEBODY = (
    "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> 'application_name' ORDER BY 1"
)


@pytest.fixture
def shop(database: Database) -> Database:
    """An application finds its tables by its search_path, and its statements end after a minute."""
    database(
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.item AS SELECT generate_series(1, 1000) AS id",
        f"ALTER DATABASE {database.name} SET search_path = shop",
        f"ALTER DATABASE {database.name} SET statement_timeout = '60s'",
    )
    return database


def seen_by_an_application(pool: PgBouncer) -> tuple[Any, ...]:
    """What it gets of a server's connection that others had before."""
    with pool.application() as application:
        query = "SELECT current_setting('search_path'), current_setting('statement_timeout'), count(*) FROM item"
        row = application.execute(query).fetchone()
        assert row is not None
        prepared = application.execute("SELECT count(*) FROM pg_prepared_statements").fetchall()
        return (*row, application.execute(SET_BY_SOMEBODY).fetchall(), prepared)


UNTOUCHED: tuple[Any, ...] = ("shop", "1min", 1000, [], [(0,)])


async def refusals(url: str) -> set[str]:
    """What each way of looking at it says."""
    target = resolve(url)
    request = Request(target=url, operations=(Operation.VACUUM,))
    said = set()
    for asked in (
        target.identify(),
        target.preflight(lock_timeout=1),
        inspector.inspect(url),
        inspector.advise(url, TargetHistory(now=0), budget=1),
        inspector.advise(url, TargetHistory(now=0), budget=1, read_only=True),
        inspector.plan(request),
        run(url, Operation.VACUUM),
    ):
        with pytest.raises(TargetUnavailableError) as caught:
            await asked
        said.add(caught.value.why)
        assert caught.value.hint.endswith("session mode")
    return said


@pytest.mark.parametrize("pool_size", [1, 5])
@pytest.mark.parametrize("reset", ["DISCARD ALL", ""], ids=["reset", "no reset"])
@pytest.mark.parametrize("mode", SHARING)
async def test_a_pool_that_shares_connections_is_refused_and_nothing_is_set_for_others(
    shop: Database, mode: str, reset: str, pool_size: int
) -> None:
    with pgbouncer(shop, mode, pool_size=pool_size, server_reset_query=reset) as pool:
        assert seen_by_an_application(pool) == UNTOUCHED
        (said,) = await refusals(pool.url)
        assert said.startswith(REFUSED)
        assert seen_by_an_application(pool) == UNTOUCHED


@pytest.mark.parametrize("settings", [{"server_reset_query_always": 1}, {"server_round_robin": 1}], ids=str)
async def test_a_pool_that_shares_connections_in_another_order_is_refused(
    shop: Database, settings: dict[str, int]
) -> None:
    with pgbouncer(shop, "transaction", pool_size=5, **settings) as pool:
        with several_in_transactions(pool, 3):
            pass
        (said,) = await refusals(pool.url)
        assert said.startswith(REFUSED)
        with several_in_transactions(pool, 5) as all_there_are:
            assert [one.execute(SET_BY_SOMEBODY).fetchall() for one in all_there_are] == [[]] * 5


@contextmanager
def several_in_transactions(pool: PgBouncer, number: int) -> Iterator[list[psycopg.Connection[Any]]]:
    """Others each of whom has a connection of the server."""
    others = [pool.application() for _ in range(number)]
    try:
        for other in others:
            other.execute("BEGIN")
        yield others
    finally:
        for other in others:
            other.close()


@pytest.mark.parametrize("pool_size", [1, 2, 5])
async def test_a_busy_pool_that_shares_connections_is_refused_and_nobody_notices(
    shop: Database, pool_size: int
) -> None:
    wrong: list[object] = []
    over = threading.Event()

    def work(pool: PgBouncer) -> None:
        with pool.application() as application:
            while not over.is_set():
                row = application.execute("SELECT current_setting('search_path'), count(*) FROM item").fetchone()
                if row != ("shop", 1000):
                    wrong.append(row)

    with pgbouncer(shop, "transaction", pool_size=pool_size) as pool:
        at_work = [threading.Thread(target=work, args=(pool,)) for _ in range(4)]
        for one in at_work:
            one.start()
        try:
            (said,) = await refusals(pool.url)
        finally:
            over.set()
            for one in at_work:
                one.join()
        assert said.startswith(REFUSED)
        assert wrong == []
        assert seen_by_an_application(pool) == UNTOUCHED


async def test_a_pool_whose_other_connections_are_in_transactions_is_refused(shop: Database) -> None:
    with pgbouncer(shop, "transaction", pool_size=3) as pool, several_in_transactions(pool, 2):
        (said,) = await refusals(pool.url)
        assert said.startswith(REFUSED)
        assert seen_by_an_application(pool) == UNTOUCHED


@asynccontextmanager
async def behind_one_address(pools: Sequence[PgBouncer], address: PgBouncer) -> AsyncIterator[None]:
    """Each connection goes to the next of these poolers."""
    following, open_ones = itertools.cycle(pools), set[asyncio.StreamWriter]()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(next(following).base / f".s.PGSQL.{PORT}")
        open_ones.update((writer, back))
        await asyncio.gather(copy(reader, back), copy(there, writer))

    async with await asyncio.start_unix_server(pass_on, address.base / f".s.PGSQL.{PORT}"):
        yield
        for one in open_ones:
            one.close()


async def test_poolers_behind_one_address_that_share_connections_are_refused(shop: Database) -> None:
    with pgbouncer(shop, "transaction") as one, pgbouncer(shop, "transaction") as two, short_path() as base:
        address = PgBouncer(base, shop)
        async with behind_one_address([one, two], address):
            (said,) = await refusals(address.url)
        assert said.startswith(REFUSED)
        assert seen_by_an_application(one) == seen_by_an_application(two) == UNTOUCHED


@contextmanager
def short_path() -> Iterator[Path]:
    """A directory for a socket."""
    with tempfile.TemporaryDirectory(prefix="dbtend-") as base:
        yield Path(base)


@pytest.mark.parametrize("reset", ["DISCARD ALL", ""], ids=["reset", "no reset"])
async def test_a_pool_in_session_mode_works_and_finds_its_connections_as_they_were(shop: Database, reset: str) -> None:
    with pgbouncer(shop, "session", pool_size=5, server_reset_query=reset) as pool:
        assert seen_by_an_application(pool) == UNTOUCHED
        assert (await inspector.inspect(pool.url)).facts["size"]
        assert await inspector.advise(pool.url, TargetHistory(now=0), budget=1) is not None
        assert await resolve(pool.url).identify() == await resolve(shop.url).identify()
        results = await run(pool.url, Operation.VACUUM, objects=("shop.item",))
        assert statuses(results) == {Status.COMPLETED}
        with several_in_transactions(pool, 5) as all_there_are:
            assert [one.execute(SET_BY_SOMEBODY).fetchall() for one in all_there_are] == [[]] * 5
            prepared = "SELECT count(*) FROM pg_prepared_statements"
            assert [one.execute(prepared).fetchall() for one in all_there_are] == [[(0,)]] * 5
        assert seen_by_an_application(pool) == UNTOUCHED


async def test_what_was_set_before_is_set_again_afterwards(shop: Database) -> None:
    found = [("search_path", "pg_catalog, shop"), ("work_mem", "5120")]
    with pgbouncer(shop, "session", pool_size=3, server_reset_query="") as pool:
        with several_in_transactions(pool, 3) as all_there_are:
            for one in all_there_are:
                for command in ("SET search_path = pg_catalog, shop", "SET work_mem = '5MB'", "COMMIT"):
                    one.execute(command.encode())
        assert (await inspector.inspect(pool.url)).facts["size"]
        assert statuses(await run(pool.url, Operation.VACUUM, objects=("shop.item",))) == {Status.COMPLETED}
        with several_in_transactions(pool, 3) as all_there_are:
            assert [one.execute(SET_BY_SOMEBODY).fetchall() for one in all_there_are] == [found] * 3


async def test_a_pool_in_session_mode_with_a_single_connection_can_be_looked_at(shop: Database) -> None:
    with pgbouncer(shop, "session", pool_size=1) as pool:
        assert (await inspector.inspect(pool.url)).facts["size"]
        assert seen_by_an_application(pool) == UNTOUCHED


async def test_progress_and_cancel_work_through_a_pool_in_session_mode(shop: Database) -> None:
    shop.make_slow()
    with pgbouncer(shop, "session", pool_size=5) as pool:
        async with connected(pool.url, 60) as session:
            step, told, cancel = await a_step(session, Operation.VACUUM_FULL), Told(), asyncio.Event()
            running = asyncio.create_task(session.execute(step, StepContext(report=told, cancel=cancel)))
            await until(shop, SLEEPS)
            await asyncio.wait_for(told.something.wait(), 30)
            cancel.set()
            result = await asyncio.wait_for(running, 30)
            assert result.status is Status.CANCELLED
            step = await first_step(session, Operation.ANALYZE, "shop.item")
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        assert seen_by_an_application(pool) == UNTOUCHED


@pytest.mark.parametrize(
    ("jobs", "settings"),
    [
        pytest.param(4, {}, id="4-lets wait"),
        pytest.param(4, {"query_wait_timeout": 2}, id="4-ends the wait", marks=pytest.mark.long),
        pytest.param(2, {}, id="2-lets wait", marks=pytest.mark.long),
        pytest.param(2, {"query_wait_timeout": 2}, id="2-ends the wait"),
    ],
)
async def test_a_full_pool_in_session_mode_makes_fewer_run_at_once_and_fails_none(
    shop: Database, tmp_path: Path, jobs: int, settings: dict[str, int]
) -> None:
    for number in range(12):
        shop(f"CREATE TABLE shop.t{number} (a int PRIMARY KEY)")
    options = Options(jobs=jobs, server=ServerOptions(schemas=("shop",)))
    with pgbouncer(shop, "session", pool_size=2, **settings) as pool:
        request = Request(target=pool.url, operations=(Operation.REINDEX,), options=options)
        async with asyncio.timeout(50), Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
        (child,) = job.children
        assert (child.status, child.error, len(child.steps)) == (Status.COMPLETED, None, 12)
        assert {step.status for step in child.steps} == {Status.COMPLETED}
        (warning,) = child.warnings
        assert "--jobs allows: its pooler" in warning
        assert seen_by_an_application(pool) == UNTOUCHED


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 4])
async def test_a_pool_in_session_mode_with_a_single_connection_is_told_to_be_too_small(
    shop: Database, tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "POOL_GIVES_WITHIN", 0.5)
    options = Options(jobs=jobs, server=ServerOptions(schemas=("shop",), server_wait=1))
    with pgbouncer(shop, "session", pool_size=1) as pool:
        request = Request(target=pool.url, operations=(Operation.ANALYZE,), options=options)
        async with asyncio.timeout(50), Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
        (child,) = job.children
        assert child.status is Status.FAILED
        assert "server has no connection left, for 1s" in (child.error or "")
        assert seen_by_an_application(pool) == UNTOUCHED
