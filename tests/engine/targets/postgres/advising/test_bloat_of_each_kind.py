"""Advice on each kind of index against the effect of a rewrite: `benchmarks.postgres_bloat`, briefly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from benchmarks.postgres_bloat import LONG, PLAIN, RICH, Content, cases
from engine.domain.advice import Advice, CompletedStep, TargetHistory
from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.domain.thresholds import Thresholds
from engine.targets.postgres.advising import collect, sampling
from engine.targets.postgres.advising.collect import collect_condition
from tests.engine.targets.server_session import connected, plan, run
from tests.postgres_databases import Database, as_admin

TREES = Content(PLAIN, 190_000, {
    "B-tree": ("(s)",),
    "B-tree, partial": ("(s) WHERE state = 'open'",),
    "B-tree, correlated": ("(a, b)",),
    "B-tree, expression": ("(upper(s))",),
})  # fmt: skip
OTHERS = Content(RICH, 40_000, {
    "GIN": ("USING gin (words)", "USING gin (list)"), "GiST": ("USING gist (place)",), "hash": ("USING hash (n)",),
    "SP-GiST": ("USING spgist (place)", "USING spgist (s)"),
})  # fmt: skip
POINTS = 0.08
LIMITS = Thresholds(index_bloat=100_000)


@pytest.mark.parametrize(
    ("content", "unseen_by_owner"),
    [(TREES, set()), (OTHERS, {"GIN", "GiST", "SP-GiST"}), (Content(LONG, 700, {}), set())],
    ids=["trees", "others", "toast"],
)
def test_dead_space_of_no_kind_is_overlooked(database: Database, content: Content, unseen_by_owner: set[str]) -> None:
    database("CREATE EXTENSION pgstattuple", "CREATE ROLE joe LOGIN", "GRANT CREATE ON SCHEMA public TO joe")
    found = list(cases(database, content, "60% deleted"))
    assert {case.kind for case in found} - {"table"} == set(content.indexes or ("TOAST",))
    for case in found:
        assert case.said["superuser"] == pytest.approx(case.real, abs=POINTS), case
    assert {case.kind for case in found if case.said["owner"] is None} == unseen_by_owner


async def advice_on_reindex(url: str, *, thorough: bool = False, past: TargetHistory | None = None) -> Advice:
    async with connected(url, writing=False) as session:
        budget = None if thorough else 1
        found, _ = await session.session.advise(past or TargetHistory(now=0), budget=budget, limits=LIMITS)
    return next(one for one in found if one.operation is Operation.REINDEX)


async def reason_of_reindex(url: str) -> str:
    return (await advice_on_reindex(url)).reason


async def test_a_large_index_of_a_toast_table_is_seen_once(database: Database) -> None:
    columns = [f"c{number}" for number in range(14)]
    database(
        f"CREATE TABLE page (id int, {', '.join(f'{one} text' for one in columns)})",
        *(f"ALTER TABLE page ALTER {one} SET STORAGE EXTERNAL" for one in columns),
        "ALTER TABLE page SET (toast_tuple_target = 128)",
        f"INSERT INTO page SELECT g{', repeat(md5(g::text), 5)' * len(columns)} FROM generate_series(1, 5400) AS g",
        "DELETE FROM page WHERE id % 10 > 0",
        "VACUUM ANALYZE page",
        "CHECKPOINT",
    )
    index = database.value(
        "SELECT x.indexrelid::regclass::text FROM pg_class AS c JOIN pg_index AS x ON x.indrelid = c.reltoastrelid"
        " WHERE c.relname = 'page'"
    )
    assert (await advice_on_reindex(database.url)).objects == (index,)


async def test_an_index_that_was_rebuilt_is_advised_again_once_rows_were_deleted(database: Database) -> None:
    database(
        "CREATE TABLE item AS SELECT g AS id, md5(g::text) AS s FROM generate_series(1, 60000) AS g",
        "CREATE INDEX item_s ON item (s)",
        "VACUUM ANALYZE item",
    )
    done = (await run(database.url, Operation.REINDEX))["public.item_s"]
    past = TargetHistory(now=0, rebuilt={"public.item_s": CompletedStep(0, done.effect or {})})
    assert (await advice_on_reindex(database.url, past=past)).objects == ()
    database("DELETE FROM item WHERE id % 4 > 0", "VACUUM ANALYZE item")
    assert (await advice_on_reindex(database.url, past=past)).objects == ("public.item_s",)


async def test_what_is_unknown_is_told_with_the_reason(database: Database) -> None:
    database(
        "CREATE TABLE item AS SELECT g AS id, g / 20 AS a, g / 20 * 7 % 1000 AS b,"
        " point(random() * 1000, random() * 1000) AS place, ARRAY[g, g + 1] AS list"
        " FROM generate_series(1, 200000) AS g",
        "CREATE EXTENSION pgstattuple",
        "CREATE INDEX correlated ON item (a, b)",
        "CREATE INDEX corners ON item USING gist (place)",
        "CREATE INDEX lists ON item USING gin (list)",
        "CREATE INDEX places ON item USING spgist (place)",
        "CREATE EXTENSION bloom",
        "CREATE INDEX flowers ON item USING bloom (id, a, b)",
        "DELETE FROM item WHERE id % 5 > 1",
        "VACUUM ANALYZE item",
        "CHECKPOINT",
        "CREATE ROLE joe LOGIN",
        "ALTER TABLE item OWNER TO joe",
    )
    by_owner = await reason_of_reindex(database.as_user("joe"))
    assert "the bloat of public.correlated is unknown: columns may depend on each other" in by_owner
    assert (
        "the bloat of public.corners, public.lists, public.places is unknown: this role may not look at its pages"
        in by_owner
    )
    for told in (by_owner, await reason_of_reindex(database.url)):
        assert "the bloat of public.flowers is unknown: there is no estimate for its kind" in told
    known = {}
    database("GRANT pg_stat_scan_tables TO joe")
    known["measured in time"] = await advice_on_reindex(database.as_user("joe"))
    known["measured"] = await advice_on_reindex(database.as_user("joe"), thorough=True)
    database("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO joe")
    known["read"] = await advice_on_reindex(database.as_user("joe"))
    names = ["public.corners", "public.correlated", "public.lists", "public.places"]
    before = {name: database.value(f"SELECT pg_relation_size('{name}')") for name in names}
    database("REINDEX TABLE item")
    for how, found in known.items():
        space = {one.name: one.wasted / one.size for one in found.dead_space}
        assert sorted(space) == [
            name for name in names if how == "read" or name not in {"public.lists", "public.places"}
        ]
        for name, share in space.items():
            after = database.value(f"SELECT pg_relation_size('{name}')")
            assert share == pytest.approx(1 - after / before[name], abs=POINTS), (how, name)


async def test_of_an_unlogged_index_whose_pages_no_checkpoint_writes_that_is_told(database: Database) -> None:
    database(
        "CREATE UNLOGGED TABLE item AS SELECT g AS id, point(random() * 1000, random() * 1000) AS place,"
        " ARRAY[g, g + 1] AS list FROM generate_series(1, 50000) AS g",
        "CREATE INDEX corners ON item USING gist (place)",
        "CREATE INDEX lists ON item USING gin (list)",
        "CREATE INDEX places ON item USING spgist (place)",
        "VACUUM ANALYZE item",
        "CHECKPOINT",
    )
    told = await reason_of_reindex(database.url)
    unknown = "public.lists, public.places"
    if database.major < 14:  # GiST does not sort what it builds, so that only the pages tell
        unknown = f"public.corners, {unknown}"
    assert f"the bloat of {unknown} is unknown: it is unlogged" in told


async def test_optimize_measures_what_statistics_do_not_tell(database: Database) -> None:
    database(
        "CREATE TABLE item AS SELECT g / 20 AS a, g / 20 * 7 % 1000 AS b FROM generate_series(1, 200000) AS g",
        "CREATE EXTENSION pgstattuple",
        "CREATE INDEX correlated ON item (a, b)",
        "DELETE FROM item WHERE a % 5 > 1",
        "VACUUM ANALYZE item",
        "CREATE ROLE joe LOGIN IN ROLE pg_stat_scan_tables",
        "ALTER TABLE item OWNER TO joe",
    )
    results = await run(database.as_user("joe"), Operation.OPTIMIZE, limits=LIMITS)
    assert results["public.correlated"].status is Status.COMPLETED


async def test_a_superuser_is_not_said_to_lack_a_right(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database(
        "CREATE TABLE item AS SELECT g AS id, ARRAY[g, g + 1] AS list FROM generate_series(1, 100000) AS g",
        "CREATE INDEX lists ON item USING gin (list)",
        "CREATE INDEX ids ON item (id)",
        "DELETE FROM item WHERE id % 5 > 0",
        "VACUUM ANALYZE item",
    )

    async def not_written(*_: object) -> list[object]:
        return []

    monkeypatch.setattr(sampling, "sampled_pages", not_written)
    async with connected(database.url, writing=False) as session:
        advice, _ = await session.session.advise(TargetHistory(now=0), budget=1, limits=LIMITS)
    (reindex,) = [one for one in advice if one.operation is Operation.REINDEX]
    assert "the bloat of public.lists is unknown: its pages cannot be read yet. A checkpoint" in reindex.reason
    assert reindex.gain.endswith("not counting the unknown")


@pytest.mark.parametrize("keys", ["md5(g::text)", "g::text, (g + 1)::text"])
async def test_a_gin_index_is_rebuilt_after_the_vacuum_that_empties_it(database: Database, keys: str) -> None:
    """Its file shows that only at the next checkpoint."""
    database(
        f"CREATE TABLE item AS SELECT g AS id, ARRAY[{keys}] AS list FROM generate_series(1, 60000) AS g",
        "ALTER TABLE item SET (autovacuum_enabled = off)",
        "CREATE INDEX lists ON item USING gin (list)",
        "VACUUM ANALYZE item",
        "CHECKPOINT",
        "DELETE FROM item WHERE id::int8 * 7919 % 10007 > 2000",
    )
    before = database.value("SELECT pg_relation_size('lists')")
    async with connected(database.url, writing=False) as session:
        advice, _ = await session.session.advise(TargetHistory(now=0), budget=1, limits=LIMITS)
    (reindex,) = [one for one in advice if one.operation is Operation.REINDEX]
    assert "will be dead space after VACUUM" in reindex.reason
    results = await run(database.url, Operation.OPTIMIZE, limits=LIMITS)
    assert results["public.lists"].status is Status.COMPLETED
    after = database.value("SELECT pg_relation_size('lists')")
    (dead,) = reindex.dead_space
    assert dead.wasted == pytest.approx(before - after, abs=0.05 * before)


def delete_and_vacuum(database: Database) -> psycopg.Connection[Any]:
    """A table, and the session that is to report deletes whose rows VACUUM has removed: it does so when it ends."""
    database(
        "DROP TABLE IF EXISTS item",
        "CREATE TABLE item AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 60000) AS g",
        "ALTER TABLE item SET (autovacuum_enabled = off)",
        "VACUUM ANALYZE item",
        "CREATE INDEX notes ON item (note)",
    )
    database("BEGIN", "DELETE FROM item WHERE id % 5 < 2", "PREPARE TRANSACTION 'deletes'")
    session = as_admin(database.url)
    session.execute("SELECT 1")
    session.execute("COMMIT PREPARED 'deletes'")  # who commits it counts its deletes
    database("VACUUM item", "REINDEX INDEX notes")
    return session


def end(session: psycopg.Connection[Any], database: Database) -> bool:
    """Whether it has now reported deletes: not where a second went by before its commit, which it reported at once."""
    pid = session.info.backend_pid
    session.close()
    database.wait_for(f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})")
    return bool(database.value("SELECT pg_stat_get_dead_tuples('item'::regclass) > 0"))


async def test_deletes_that_the_server_counts_twice_make_no_rebuild(database: Database) -> None:
    """Those of a session that vacuums before it has reported them, as it does once a second."""
    for _ in range(4):
        if end(delete_and_vacuum(database), database):
            break
    else:
        pytest.skip("the session has reported its deletes at once, again and again")
    results = await run(database.url, Operation.OPTIMIZE, limits=LIMITS)
    assert [
        name for name, result in results.items() if name == "public.notes" and result.status is Status.COMPLETED
    ] == []


@pytest.mark.parametrize("budget", [None, 1.0])
async def test_measuring_leaves_the_time_limit_of_queries_as_it_was(database: Database, budget: float | None) -> None:
    database(
        "CREATE EXTENSION pgstattuple",
        "CREATE TABLE item AS SELECT g AS id, point(g, g) AS place FROM generate_series(1, 20000) AS g",
        "CREATE INDEX corners ON item USING gist (place)",
    )
    async with connected(database.url, writing=False) as session:
        reader = session._reader
        before = await reader.row("SHOW statement_timeout", row=(str,))
        await collect_condition(reader, LIMITS, budget=budget)
        assert await reader.row("SHOW statement_timeout", row=(str,)) == before


@pytest.mark.parametrize("budget", [None, 1.0])
async def test_a_connection_that_ends_while_an_index_is_measured_ends_nothing_else(
    database: Database, budget: float | None
) -> None:
    database(
        "CREATE EXTENSION pgstattuple",
        "CREATE TABLE item AS SELECT point(g, g) AS place FROM generate_series(1, 100000) AS g",
        "CREATE INDEX corners ON item USING gist (place)",
        "CREATE INDEX others ON item USING gist (place)",
        "VACUUM ANALYZE item",
        "CREATE ROLE joe LOGIN IN ROLE pg_monitor",
        "CREATE OR REPLACE FUNCTION pgstattuple(reloid regclass, OUT table_len int8, OUT tuple_count int8,"
        " OUT tuple_len int8, OUT tuple_percent float8, OUT dead_tuple_count int8, OUT dead_tuple_len int8,"
        " OUT dead_tuple_percent float8, OUT free_space int8, OUT free_percent float8) LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$",
    )
    async with connected(database.as_user("joe"), writing=False) as session:
        condition = await collect_condition(session._reader, LIMITS, budget=budget)
    assert sorted(index.name for index in condition.indexes) == ["corners", "others"]


async def test_deletes_that_are_reported_while_a_plan_is_made_ask_for_no_rebuild_without_vacuum(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = delete_and_vacuum(database)

    def reporting_after(read: Callable[..., Any]) -> Callable[..., Any]:
        async def first(*given: Any) -> Any:
            found = await read(*given)
            if not session.closed:
                end(session, database)
            return found

        return first

    for name in ("_activity", "_index_shapes"):
        monkeypatch.setattr(collect, name, reporting_after(getattr(collect, name)))
    planned = await plan(database.url, Operation.OPTIMIZE, limits=LIMITS)
    assert [step.object for step in planned.steps] in ([], ["public.item"], ["public.item", "public.notes"])
