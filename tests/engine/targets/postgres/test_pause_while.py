"""The query of --pause-while changes nothing, takes no long time, and is not run by a plan."""

from __future__ import annotations

import pytest

from engine.domain.errors import TargetError
from engine.domain.requests import Operation, Options, Request, ServerOptions
from engine.domain.statuses import Status
from engine.inspection import inspector
from engine.targets.postgres.reading import load_query
from engine.targets.postgres.running.throttling import throttled_by
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import first_step
from tests.engine.targets.server_session import connected, plan
from tests.postgres_databases import Database

FAILED = "--pause-while failed: "
NO_LOAD = ", and not true, false or a number (give one SELECT of a condition or a number)"
HINT = " (give one SELECT, with the schema before each name)"
# What each is refused for, if not by the plan then as soon as it is run.
CHANGES = {
    "DELETE FROM public.item RETURNING id": 'syntax error at or near "DELETE"',
    "INSERT INTO public.item VALUES (0) RETURNING id": 'syntax error at or near "INSERT"',
    "WITH gone AS (DELETE FROM public.item RETURNING id) SELECT * FROM gone": (
        "DECLARE CURSOR must not contain data-modifying statements in WITH"
    ),
    "SELECT 1; DROP TABLE public.item": "cannot insert multiple commands into a prepared statement",
    "SELECT 1; COMMIT; DROP TABLE public.item": "cannot insert multiple commands into a prepared statement",
    "SELECT 0; ROLLBACK; BEGIN; DELETE FROM public.item; COMMIT; SELECT 0": (
        "cannot insert multiple commands into a prepared statement"
    ),
    "COPY public.item TO PROGRAM 'true'": 'syntax error at or near "COPY"',
    "COMMIT": 'syntax error at or near "COMMIT"',
    "DO $$ BEGIN DELETE FROM public.item; END $$": 'syntax error at or near "DO"',
    "SELECT id INTO public.other FROM public.item": "SELECT ... INTO is not allowed here",
    "": "syntax error at end of input",
    "SELECT public.remove()": "cannot execute DELETE in a read-only transaction",
    "SELECT pg_catalog.nextval('public.number')": "cannot execute nextval() in a read-only transaction",
    "SELECT id FROM public.item FOR UPDATE": "cannot execute SELECT FOR UPDATE in a read-only transaction",
    "SELECT pg_catalog.set_config('transaction_read_only', 'off', true) = 'off', public.remove()": (
        "transaction read-write mode must be set before any query"
    ),
    "SELECT remove()": "function remove() does not exist",
    "SELECT 1/0": "division by zero",
}


@pytest.fixture
def shop(database: Database) -> Database:
    database(
        "CREATE TABLE public.item AS SELECT generate_series(1, 9) AS id",
        "CREATE SEQUENCE public.number",
        "CREATE FUNCTION public.remove() RETURNS int LANGUAGE sql AS 'DELETE FROM public.item RETURNING 1'",
        # What a plan would evaluate, where it planned the query.
        "CREATE FUNCTION public.pure() RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_catalog.pg_advisory_lock(7); RETURN 0; END $$",
    )
    return database


def untouched(database: Database) -> bool:
    return database("SELECT count(*), (SELECT is_called FROM public.number) FROM public.item") == [(9, False)]


@pytest.mark.parametrize(("query", "why"), CHANGES.items())
async def test_a_query_that_is_no_look_changes_nothing_and_says_what_is_wrong(
    shop: Database, query: str, why: str
) -> None:
    limits = ServerOptions(pause_while=query)
    planned = await plan(shop.url, Operation.ANALYZE, limits, objects=("item",))
    assert untouched(shop)
    said = planned.refused
    if said is None:
        async with connected(shop.url) as session:
            options = Options(objects=("item",), server=limits)
            (step,) = (await session.plan(Operation.ANALYZE, options)).steps
            result = await session.execute(step, StepContext())
            said = result.error
            assert result.status is Status.FAILED
            assert session._reader.connection.info.transaction_status == 0
    assert untouched(shop)
    assert said is not None
    assert said.startswith(FAILED + why)
    assert said.endswith(HINT)


NO_LOADS = {
    "SELECT 'abc'": "text",
    "SELECT NULL": "text",
    "SELECT": "no column",
    "SELECT pg_catalog.now(), true": "timestamp with time zone",
    "SELECT interval '1 s'": "interval",
    "SELECT ARRAY[1]": "integer[]",
    "SELECT '{}'::jsonb": "jsonb",
    "TABLE public.named": "character varying",
    "SELECT ROW(true)": "record",
}
LOADS = {
    "SELECT false": "",
    "SELECT NULL::bool": "",
    "SELECT true WHERE false": "",
    "SELECT 0": "",
    "SELECT -1": "",
    "SELECT 0.0": "",
    "SELECT '-Infinity'::float8": "",
    "VALUES (true)": "True",
    "SELECT 0.5, 'abc'": "0.5",
    "SELECT 1::int2": "1",
    "SELECT 3000000000": "3000000000",
    "SELECT 2::oid": "2",
    "SELECT 'Infinity'::float4": "inf",
    "SELECT 'Infinity'::numeric": "Infinity",
    "SELECT 7::public.domain": "7",
}


@pytest.mark.parametrize(("query", "gives"), NO_LOADS.items())
async def test_what_gives_neither_true_nor_false_nor_a_number_is_refused_by_the_plan(
    shop: Database, query: str, gives: str
) -> None:
    shop("CREATE TABLE public.named (name varchar(9))")
    planned = await plan(shop.url, Operation.ANALYZE, ServerOptions(pause_while=query))
    assert planned.refused == f"{FAILED}it gives {gives}{NO_LOAD}"


@pytest.mark.parametrize(("query", "says"), LOADS.items())
async def test_true_and_what_is_more_than_nothing_hold_steps_back(shop: Database, query: str, says: str) -> None:
    shop("CREATE DOMAIN public.domain AS int4 CHECK (value > 0)")
    server = ServerOptions(pause_while=query)
    if shop.major < 14 and "numeric" in query:
        pytest.skip("numeric has no infinity before PostgreSQL 14")
    assert (await plan(shop.url, Operation.ANALYZE, server, objects=("item",))).refused is None
    async with connected(shop.url) as session:
        held_up = await throttled_by(session._reader, server)
    assert held_up.endswith(f" {says}" if says else "")
    assert bool(held_up) is bool(says)


@pytest.mark.parametrize(
    "other", ["text LANGUAGE sql AS $$ SELECT 'abc' $$", "float8 LANGUAGE sql AS $$ SELECT float8 'NaN' $$"]
)
async def test_what_gives_something_else_later_fails_the_step(shop: Database, other: str) -> None:
    shop("CREATE FUNCTION public.load() RETURNS bool LANGUAGE sql AS 'SELECT false'")
    options = Options(objects=("item",), server=ServerOptions(pause_while="SELECT public.load()"))
    async with connected(shop.url) as session:
        (step,) = (await session.plan(Operation.ANALYZE, options)).steps
        shop("DROP FUNCTION public.load()", f"CREATE FUNCTION public.load() RETURNS {other}")
        result = await session.execute(step, StepContext())
    assert result.status is Status.FAILED
    assert result.error in {f"{FAILED}it gives {value}{NO_LOAD}" for value in ("abc", "nan")}


@pytest.mark.parametrize(
    "query", ["SELECT public.pure()", "SELECT 1 WHERE public.pure() = 0", "VALUES (public.pure())"]
)
async def test_a_plan_does_not_run_it(shop: Database, query: str) -> None:
    server = ServerOptions(pause_while=query)
    request = Request(target=shop.url, operations=(Operation.ANALYZE,), options=Options(server=server))
    with shop.session("SELECT pg_advisory_lock(7)"):  # it would wait for that
        (planned,) = (await inspector.plan(request)).operations
    assert planned.refused is None
    assert planned.steps


@pytest.mark.parametrize(
    "query", ["SELECT pg_catalog.pg_sleep(60)", "SELECT count(*) FROM pg_catalog.generate_series(1, 1e12)"]
)
async def test_it_ends_after_a_while(shop: Database, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_query, "_BEGIN", load_query._BEGIN.replace("'5s'", "'50ms'"))
    async with connected(shop.url) as session:
        reader = session._reader
        with pytest.raises(TargetError, match=r"--pause-while failed: .* 5 s \("):
            await load_query.ask(reader, query)
        assert await load_query.ask(reader, "SELECT 7;") == 7
        assert (await reader.rows("SHOW statement_timeout", row=(str,))) == [("1min",)]


async def test_no_more_than_one_row_of_it_is_read(shop: Database) -> None:
    async with connected(shop.url) as session:
        reader = session._reader
        query = (
            "WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n) SELECT n / (2 - n) FROM n"
            " -- and fails at the second row"
        )
        assert await load_query.ask(reader, query) == 1
        assert await load_query.ask(reader, "SELECT 1 WHERE false") is None


async def test_what_it_sets_is_gone_afterwards(shop: Database) -> None:
    async with connected(shop.url) as session:
        reader = session._reader
        query = "SELECT pg_catalog.set_config('search_path', 'public', false) = 'public'"
        assert await load_query.ask(reader, query) is True
        assert await reader.rows("SHOW search_path", row=(str,)) in ([('""',)], [("",)])
        step = await first_step(session, Operation.ANALYZE, "item")
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED
