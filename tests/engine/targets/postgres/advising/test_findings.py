"""Advice for tables and indexes: by numbers, and on real databases."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from engine.domain.advice import Advice, ByHand, CheckCause, Level, TargetHistory, needed
from engine.domain.requests import CheckLevel, Operation, Options, Request, ServerOptions
from engine.domain.statuses import Status
from engine.domain.thresholds import Thresholds
from engine.inspection.neighbors import neighbors_once
from engine.targets import resolve
from engine.targets.check_policy import DAY
from engine.targets.postgres.advising.collect import collect_autovacuum, collect_condition, collect_needs
from engine.targets.postgres.advising.findings import Unknown, analyze_need, needs, vacuum_need
from engine.targets.postgres.reading import xmin_horizon
from engine.targets.postgres.reading.condition import Activity
from engine.targets.postgres.session import PostgresSession
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import statuses, until
from tests.engine.targets.postgres.test_cancel import leave_something_behind
from tests.engine.targets.server_session import connected, plan, run
from tests.postgres_databases import Database

QUIET = Activity(
    oid=1, dead=0, dead_limit=1000, inserted=0, inserted_limit=1000, modified=0, modified_limit=500, xid_age=1000,
    xid_limit=200_000_000, multixact_age=0, multixact_limit=400_000_000, has_autovacuum=True, has_statistics=True,
    rows=5000, pages=50,
)  # fmt: skip


OFF = ", and autovacuum is off for it"
XIDS = "its oldest transaction ids are {} old, {} of autovacuum_freeze_max_age"
MANY_XIDS = "its oldest transaction ids are 1,100,000,000 old, 51% of all that there are"
MULTIXACTS = "its oldest multixacts are {} old, {} of autovacuum_multixact_freeze_max_age"


@pytest.mark.parametrize(
    ("change", "level", "reason"),
    [
        ({}, None, ""),
        ({"dead": 1000}, None, ""),
        ({"dead": 1001}, Level.SOON, "1,001 dead rows (threshold 1,000)"),
        ({"dead": 5001}, Level.NOW, "5,001 dead rows (threshold 1,000)"),
        ({"dead": 1001, "has_autovacuum": False}, Level.SOON, "1,001 dead rows (threshold 1,000)" + OFF),
        ({"inserted": 1001}, Level.SOON, "1,001 rows inserted since (threshold 1,000)"),
        ({"xid_age": 100_000_000}, None, ""),
        ({"xid_age": 190_000_000}, Level.SOON, XIDS.format("190,000,000", "95%")),
        ({"xid_age": 500_000_000, "dead": 9999}, Level.NOW, XIDS.format("500,000,000", "250%")),
        ({"xid_age": 1_100_000_000, "xid_limit": 1_200_000_000}, Level.NOW, MANY_XIDS),
        ({"xid_age": 1_100_000_000, "xid_limit": 2_000_000_000}, Level.NOW, MANY_XIDS),
        ({"multixact_age": 390_000_000}, Level.SOON, MULTIXACTS.format("390,000,000", "98%")),
    ],
)  # fmt: skip
def test_what_vacuum_is_needed_for(change: dict[str, Any], level: Level | None, reason: str) -> None:
    need = vacuum_need(replace(QUIET, **change))
    assert (need and need.level, need.reason if need else "") == (level, reason)


@pytest.mark.parametrize(
    ("change", "kind", "level"),
    [
        ({}, "r", None),
        ({"modified": 501}, "r", Level.SOON),
        ({"modified": 2501}, "r", Level.NOW),
        ({"has_statistics": False}, "r", Level.NOW),
        ({"has_statistics": False, "rows": 0, "pages": 1}, "r", None),
        ({"has_statistics": False, "rows": -1, "pages": 0}, "r", None),
        ({"has_statistics": False, "rows": -1, "pages": 0, "modified": 3}, "r", Level.NOW),
        ({"has_statistics": False}, "p", Level.SOON),
        ({"is_lost": True}, "r", None),
        ({"is_lost": True, "pages": 128}, "r", Level.SOON),
        ({"is_lost": True, "pages": 128, "modified": 2501}, "r", Level.NOW),
    ],
)
def test_what_analyze_is_needed_for(change: dict[str, Any], kind: str, level: Level | None) -> None:
    need = analyze_need(replace(QUIET, **change), kind)
    assert (need and need.level) == level


async def advice(
    url: str, *, thorough: bool = False, budget: float = 0.5, past: TargetHistory | None = None
) -> dict[Operation, Advice]:
    async with connected(url, writing=False) as session:
        found, _ = await session.advise(past or TargetHistory(now=0), budget=None if thorough else budget)
    return {one.operation: one for one in found}


async def test_dead_rows_are_held_against_each_tables_own_threshold(database: Database) -> None:
    for name, options in {"usual": "", "patient": "WITH (autovacuum_vacuum_scale_factor = 0.9)"}.items():
        database(
            f"CREATE TABLE {name} (id int) {options}",
            f"INSERT INTO {name} SELECT generate_series(1, 1000)",
            f"VACUUM ANALYZE {name}",
            f"DELETE FROM {name} WHERE id <= 400",
        )
    database.wait_for("SELECT sum(n_dead_tup) = 800 FROM pg_stat_user_tables")
    found = await advice(database.url)
    assert found[Operation.VACUUM].objects == ("public.usual",)
    assert found[Operation.VACUUM].reason.startswith("public.usual: 400 ")
    assert found[Operation.VACUUM].level is Level.SOON


async def test_optimize_does_exactly_what_is_needed_and_then_nothing_is(database: Database) -> None:
    database.make_slow()
    leave_something_behind(database)
    database.set_fast()
    database("SET dbtend_test.fast = on", "ANALYZE slow", "CREATE TABLE fresh AS SELECT generate_series(1, 100) AS a")
    database(
        "CREATE TABLE parts (a int) PARTITION BY RANGE (a)",
        "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE dirty AS SELECT generate_series(1, 1000) AS a",
        "VACUUM ANALYZE dirty",
        "DELETE FROM dirty WHERE a > 500",
    )
    database.wait_for("SELECT n_dead_tup = 500 FROM pg_stat_user_tables WHERE relname = 'dirty'")
    async with connected(database.url) as session:
        reader = session._reader
        found = needs(await collect_needs(reader))
        assert found == replace(needs(await collect_condition(reader)), rewrite={})
        assert found.vacuum
        assert found.analyze
        assert found.leftovers
    planned = await plan(database.url, Operation.OPTIMIZE)
    # Before 14, the server does not say of a partitioned table without rows whether it was analyzed.
    partitioned = {"public.parts": "ANALYZE"} if database.major >= 14 else {}
    assert {step.object: step.command.partition(" ")[0] for step in planned.steps} == {
        "public.slow_number_ccnew": "DROP",
        "public.dirty": "VACUUM",
        "public.fresh": "ANALYZE",
        **partitioned,
    }
    results = await run(database.url, Operation.OPTIMIZE)
    assert {result.status for result in results.values()} == {Status.COMPLETED}
    database.wait_for("SELECT n_dead_tup = 0 FROM pg_stat_user_tables WHERE relname = 'dirty'")
    assert (await plan(database.url, Operation.OPTIMIZE)).not_needed == "nothing is needed"
    levels = {operation: one.level for operation, one in (await advice(database.url)).items()}
    assert levels.pop(Operation.CHECK) is Level.UNKNOWN  # nobody has made one
    assert {*levels.values()} == {Level.NONE}


async def test_what_is_needed_of_a_request_is_optimize_alone(database: Database) -> None:
    database("CREATE TABLE fresh AS SELECT generate_series(1, 100) AS a")
    database.wait_for("SELECT n_mod_since_analyze > 0 FROM pg_stat_user_tables")
    found = tuple((await advice(database.url)).values())
    everything = Request(target=database.url, operations=tuple(one.operation for one in found))
    wanted = needed(everything, found)
    assert wanted is not None
    assert (wanted.operations, wanted.options) == ((Operation.OPTIMIZE,), Options())
    alone = needed(replace(everything, operations=(Operation.VACUUM, Operation.ANALYZE)), found)
    assert alone is not None
    assert (alone.operations, alone.options.objects) == ((Operation.ANALYZE,), ("public.fresh",))


BLOATED = (
    "CREATE EXTENSION pgstattuple",
    "CREATE ROLE joe LOGIN IN ROLE pg_stat_scan_tables",
    "CREATE ROLE joe_too LOGIN",
    "CREATE TABLE item (id int PRIMARY KEY)",
    "ALTER TABLE item OWNER TO joe",
    "INSERT INTO item SELECT generate_series(1, 1000000)",
    "DELETE FROM item WHERE id % 4 <> 0",
    "CHECKPOINT",  # else new pages may be in memory only
)


async def test_a_bloated_index_is_looked_at_by_who_may_and_else_estimated_and_measured_on_request(
    database: Database,
) -> None:
    database(*BLOATED)
    database.wait_for("SELECT n_dead_tup > 0 FROM pg_stat_user_tables")  # else it might come after the VACUUM's report
    database("VACUUM item")
    joe = database.as_user("joe")
    # Trap: without statistics nobody says that it is as small as it must be.
    assert (await advice(database.url))[Operation.REINDEX].level is Level.SOON  # its pages tell it
    assert (await advice(joe, budget=0.0))[Operation.REINDEX].level is Level.UNKNOWN
    assert (await advice(joe, budget=60.0))[Operation.REINDEX].level is Level.SOON
    assert (await advice(joe, thorough=True))[Operation.REINDEX].level is Level.SOON
    database("ANALYZE item")
    of_others = (await advice(database.as_user("joe_too")))[Operation.REINDEX]
    assert of_others.level is Level.UNKNOWN
    assert "public.item_pkey is unknown: " in of_others.reason
    looked = await advice(database.url)
    estimated, measured = await advice(joe), await advice(joe, thorough=True)
    assert estimated[Operation.REINDEX].level is Level.SOON
    assert looked[Operation.REINDEX].reason.startswith("public.item_pkey: 7")
    assert estimated[Operation.REINDEX].reason.startswith("public.item_pkey: about 7")
    assert measured[Operation.REINDEX].reason.startswith("public.item_pkey: 7")
    for url in (database.url, joe):
        assert [step.object for step in (await plan(url, Operation.OPTIMIZE)).steps] == ["public.item_pkey"]
    (worst,) = looked[Operation.REINDEX].dead_space
    assert (worst.name, worst.size) == ("public.item_pkey", database.value("SELECT pg_relation_size('item_pkey')"))
    assert looked[Operation.REINDEX].gain.endswith("MB")


async def test_what_is_needed_and_the_role_may_not_do_is_told(database: Database) -> None:
    database("CREATE ROLE joe LOGIN", *[f"CREATE TABLE {name} AS SELECT 1 AS a" for name in ("one", "two", "mine")])
    database("VACUUM", "ALTER TABLE mine OWNER TO joe", "GRANT SELECT ON one, two TO joe")
    found = await advice(database.as_user("joe"))
    assert found[Operation.ANALYZE].reason == (
        "public.mine: it has no statistics; 2 tables more; this role may not maintain public.one, public.two"
    )
    assert "may not" not in (await advice(database.url))[Operation.ANALYZE].reason


async def test_trap_nobody_expects_a_role_to_vacuum_the_catalog_that_it_may_not(database: Database) -> None:
    database("CREATE ROLE joe LOGIN", "CREATE TABLE item (a int)")
    database(
        "DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE 'ALTER TABLE item ALTER a SET STATISTICS ' || i; END LOOP; END $$"
    )
    assert (await advice(database.url))[Operation.VACUUM].objects == ("pg_catalog.pg_attribute",)
    assert (await advice(database.as_user("joe")))[Operation.VACUUM].objects == ()


async def test_duplicates_and_invalid_indexes_are_told(database: Database) -> None:
    database("CREATE TABLE item (id int)", "CREATE INDEX one ON item (id)", "CREATE INDEX two ON item (id)")
    found = await advice(database.url)
    reason = "drop the duplicates that you do not need: two duplicates one (8.19 kB)"
    assert found[Operation.CLEAN_LEFTOVERS].level is Level.NONE
    assert found[Operation.CLEAN_LEFTOVERS].by_hand == ByHand(level=Level.NONE, reason=reason)
    assert found[Operation.CLEAN_LEFTOVERS].facts["needless_indexes"] == 1
    database("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one'::regclass")
    found = await advice(database.url)
    assert found[Operation.REINDEX].objects == ("public.one",)
    assert "it is invalid" in found[Operation.REINDEX].reason


async def test_trap_an_index_that_forbids_more_is_no_duplicate(database: Database) -> None:
    database(
        "CREATE TABLE item (a int)",
        "CREATE UNIQUE INDEX one ON item (a)",
        f"CREATE UNIQUE INDEX two ON item (a) {'NULLS NOT DISTINCT' if database.major >= 15 else 'WHERE a > 0'}",
    )
    assert await duplicates(database) == []
    database("CREATE INDEX three ON item (a)")
    assert await duplicates(database) == [("three", "one")]
    database("CREATE UNIQUE INDEX four ON item (a)")
    assert await duplicates(database) == [("four", "one"), ("three", "one")]


async def test_trap_an_index_that_something_hangs_on_is_never_to_be_dropped(database: Database) -> None:
    for role, hang in {
        "identity": "ALTER TABLE identity REPLICA IDENTITY USING INDEX two",
        "referred": "CREATE TABLE refers (a int REFERENCES referred (a))",
        "constrained": "ALTER TABLE constrained ADD CONSTRAINT two UNIQUE USING INDEX two",
    }.items():
        database(f"CREATE TABLE {role} (a int NOT NULL)", f"CREATE UNIQUE INDEX two ON {role} (a)")
        database(hang, f"CREATE UNIQUE INDEX one ON {role} (a)")
        assert await duplicates(database) == [("one", "two")]
        database("ALTER INDEX one RENAME TO zero", f"ALTER TABLE {role} ADD PRIMARY KEY USING INDEX zero")
        assert await duplicates(database) == []
        database(f"DROP TABLE {role} CASCADE")


async def test_trap_an_index_of_a_partition_is_not_to_be_dropped_alone(database: Database) -> None:
    database(
        "CREATE TABLE parts (a int) PARTITION BY RANGE (a)",
        "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10)",
        "CREATE INDEX one ON part (a)",
        "CREATE INDEX ON parts (a)",
        "CREATE INDEX ON parts (a)",
        "CREATE INDEX two ON part (a)",
    )
    assert await duplicates(database) == [("two", "one")]


async def duplicates(database: Database) -> list[tuple[str, str]]:
    """Each duplicate with the index that it repeats."""
    by_hand = (await advice(database.url))[Operation.CLEAN_LEFTOVERS].by_hand
    return re.findall(r"(\S+) duplicates (\S+) \(", by_hand.reason) if by_hand else []


BY_HAND = "left by a CREATE INDEX that failed: drop it, or remove any duplicates, then REINDEX it"


def leave_invalid(database: Database, name: str = "item_a") -> None:
    """A unique index on what is there twice."""
    with pytest.raises(psycopg.errors.UniqueViolation):
        database(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON item (a)")
    assert name in database.invalid_indexes()


async def test_trap_a_unique_index_that_could_not_be_built_is_left_to_somebody_and_not_tried_each_night(
    database: Database,
) -> None:
    # Of the one table: that of all leaves dead rows in pg_statistic, which the server counts a second later.
    database("CREATE TABLE item AS SELECT 1 AS a, 'x' AS b FROM generate_series(1, 2)", "VACUUM ANALYZE item")
    leave_invalid(database)
    found = await advice(database.url)
    reindex = found[Operation.REINDEX]
    assert (reindex.level, reindex.needs_manual_fix, reindex.objects) == (Level.SOON, True, ("public.item_a",))
    assert reindex.reason == f"public.item_a: {BY_HAND}"
    assert found[Operation.OPTIMIZE].level is Level.NONE
    everything = Request(target=database.url, operations=tuple(found))
    assert needed(everything, tuple(found.values())) is None
    assert (await plan(database.url, Operation.OPTIMIZE)).not_needed == "nothing is needed"
    leave_invalid(database, "item_a_too")
    database("CREATE INDEX item_b ON item (b)")
    database("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'item_b'::regclass")
    reindex = (await advice(database.url))[Operation.REINDEX]
    assert (reindex.needs_manual_fix, reindex.objects) == (False, ("public.item_b",))
    assert reindex.reason == (
        "public.item_b: it is invalid: no query uses it, and every write updates it;"
        f" public.item_a: {BY_HAND}; 1 index more like it"
    )
    assert [step.object for step in (await plan(database.url, Operation.OPTIMIZE)).steps] == ["public.item_b"]


async def test_trap_an_invalid_index_that_no_write_maintains_costs_no_write_anything(database: Database) -> None:
    database("CREATE TABLE item AS SELECT 1 AS a", "CREATE INDEX item_a ON item (a)")
    database("UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'item_a'::regclass")
    reason = (await advice(database.url))[Operation.REINDEX].reason
    assert reason == "public.item_a: it is invalid: no query uses it, and no write updates it"


async def test_a_rebuild_of_the_whole_names_what_is_invalid_and_left_out(database: Database) -> None:
    database("CREATE TABLE item AS SELECT 1 AS a FROM generate_series(1, 2)")
    leave_invalid(database)
    left_out = (
        "left out: invalid indexes: public.item_a. Drop them, or name them: reindex --object NAME rebuilds one,"
        " a unique one only without duplicates"
    )
    public = ServerOptions(schemas=("public",))
    assert (await plan(database.url, Operation.REINDEX, public)).not_needed == left_out
    database("CREATE TABLE other (a int PRIMARY KEY)")
    assert (await plan(database.url, Operation.REINDEX, public)).warnings == (left_out,)
    named = await plan(database.url, Operation.REINDEX, objects=("item_a",))
    assert ([step.object for step in named.steps], named.warnings) == (["public.item_a"], ())


async def test_what_is_there_twice_is_told_where_a_unique_index_cannot_be_rebuilt(database: Database) -> None:
    database("CREATE TABLE item (a text)", r"INSERT INTO item SELECT E'one\ntwo\u0007' FROM generate_series(1, 2)")
    leave_invalid(database)
    result = (await run(database.url, Operation.REINDEX, objects=("item_a",)))["public.item_a"]
    assert r"Key (a)=(one\ntwo\x07) " in str(result.error)
    assert 'index "item_a' in str(result.error)
    database("TRUNCATE item", "INSERT INTO item SELECT repeat('x', 1000) FROM generate_series(1, 2)")
    result = (await run(database.url, Operation.REINDEX, objects=("item_a",)))["public.item_a"]
    assert str(result.error).endswith("xxx…")
    assert len(str(result.error)) < 300


async def test_trap_a_leftover_that_a_rewrite_has_made_valid_is_told_as_a_duplicate(database: Database) -> None:
    database.make_slow()
    leave_something_behind(database)
    database("SET dbtend_test.fast = on", "VACUUM FULL slow")
    assert database.invalid_indexes() == []
    found = await advice(database.url)
    assert "slow_number_ccnew duplicates slow_number" in str(found[Operation.CLEAN_LEFTOVERS].by_hand)


async def test_an_index_whose_collation_has_changed_is_to_be_rebuilt_now(database: Database) -> None:
    database(
        'CREATE TABLE item (name text COLLATE "POSIX")',
        "CREATE INDEX item_posix ON item (name)",
        "UPDATE pg_collation SET collversion = '1' WHERE collname = 'POSIX'",
    )
    known = database("SELECT collname FROM pg_collation WHERE collversion = pg_collation_actual_version(oid) LIMIT 1")
    if not known:
        pytest.skip("this server knows no version of any collation")
    database(
        f'CREATE COLLATION public.ours FROM pg_catalog."{known[0][0]}"',
        "CREATE INDEX item_name ON item (name COLLATE public.ours)",
        "UPDATE pg_collation SET collversion = 'old' WHERE collname = 'ours'",
    )
    found = await advice(database.url)
    assert (found[Operation.REINDEX].level, found[Operation.REINDEX].objects) == (Level.NOW, ("public.item_name",))


async def test_who_holds_the_horizon_is_told_with_the_dead_rows(database: Database) -> None:
    database("CREATE TABLE item AS SELECT generate_series(1, 1000) AS a", "ANALYZE item")
    with database.session("SELECT txid_current()", "PREPARE TRANSACTION 'forgotten'"):
        pass
    database("BEGIN", "SELECT txid_current()", "PREPARE TRANSACTION 'lost'")
    database("DELETE FROM item WHERE a > 100")
    database.wait_for("SELECT n_dead_tup = 900 FROM pg_stat_user_tables WHERE relname = 'item'")
    try:
        async with connected(database.url) as session:
            step = (await session.plan(Operation.VACUUM, Options(objects=("item",)))).steps[0]
            result = await session.execute(step, StepContext())
            (holder, *_) = (await xmin_horizon.read(session._reader)).holders
        (warning,) = result.warnings
        ends = "COMMIT PREPARED or ROLLBACK PREPARED ends it"
        assert re.search(rf"held back by prepared transaction 'forgotten' \(prepared \d+s ago: {ends}\)$", warning)
        assert replace(holder, seconds=3_600.0).text == f"prepared transaction 'forgotten' (prepared 1h ago: {ends})"
    finally:
        database("ROLLBACK PREPARED 'lost'", "ROLLBACK PREPARED 'forgotten'")


async def test_trap_a_writer_that_is_idle_in_its_transaction_holds_the_horizon_without_any_snapshot(
    database: Database,
) -> None:
    database("CREATE TABLE item AS SELECT generate_series(1, 1000) AS a", "ANALYZE item")
    with database.session("CREATE TABLE other AS SELECT 1 AS a") as writer:
        pid = writer.info.backend_pid
        held = f"FROM pg_stat_activity WHERE pid = {pid} AND backend_xid IS NOT NULL AND backend_xmin IS NULL"
        assert database.value(f"SELECT count(*) {held}") == 1
        database("DELETE FROM item WHERE a > 100")
        async with connected(database.url) as session:
            step = (await session.plan(Operation.VACUUM, Options(objects=("item",)))).steps[0]
            result = await session.execute(step, StepContext())
    (warning,) = result.warnings
    assert f"held back by pid {pid} (" in warning


async def test_trap_after_a_reset_of_its_counters_nobody_says_never_analyzed(database: Database) -> None:
    database("CREATE TABLE item AS SELECT generate_series(1, 1000) AS a", "ANALYZE item")
    database("SELECT pg_stat_reset()")
    database.wait_for("SELECT stats_reset IS NOT NULL FROM pg_stat_database WHERE datname = current_database()")
    found = await advice(database.url)
    assert found[Operation.ANALYZE].level is Level.NONE
    today = datetime.now(UTC).astimezone().year
    assert f"counted since {today}" in found[Operation.ANALYZE].reason


def lose_count(database: Database, counted: str, number: int) -> None:
    """Of a table `item`, once the server has counted so many; `counted`: a column of pg_stat_user_tables."""
    query = f"SELECT {counted} FROM pg_stat_user_tables WHERE relname = 'item'"
    database.wait_for(f"SELECT ({query}) = {number}")
    database("SELECT pg_stat_reset()")
    database.wait_for(f"SELECT ({query}) = 0")


async def test_trap_what_the_server_has_lost_count_of_is_not_said_to_need_nothing(database: Database) -> None:
    database("CREATE TABLE item AS SELECT g, repeat('x', 100) FROM generate_series(1, 20000) AS g", "VACUUM ANALYZE")
    database("DELETE FROM item WHERE g % 2 = 0")
    lose_count(database, "n_dead_tup", 10_000)
    found = await advice(database.url)
    assert (found[Operation.ANALYZE].level, found[Operation.ANALYZE].objects) == (Level.SOON, ("public.item",))
    assert found[Operation.VACUUM].level is Level.UNKNOWN
    assert "of public.item are" in found[Operation.VACUUM].reason
    async with resolve(database.url).connect(lock_timeout=1, writing=False) as session:
        assert isinstance(session, PostgresSession)
        *_, unknown = await collect_autovacuum(session._reader)
    assert unknown.startswith("dead rows of public.item are unknown")
    assert not found[Operation.VACUUM].inspection_can_tell
    assert statuses(await run(database.url, Operation.OPTIMIZE)) == {Status.COMPLETED}
    database.wait_for("SELECT n_dead_tup = 10000 FROM pg_stat_user_tables WHERE relname = 'item'")
    found = await advice(database.url)
    assert (found[Operation.ANALYZE].level, found[Operation.VACUUM].level) == (Level.NONE, Level.SOON)


async def test_trap_what_nobody_has_analyzed_before_the_counts_were_lost_is_found(database: Database) -> None:
    database("CREATE TABLE item AS SELECT g, repeat('x', 100) FROM generate_series(1, 20000) AS g")
    lose_count(database, "n_tup_ins", 20_000)
    found = await advice(database.url)
    assert (found[Operation.ANALYZE].level, found[Operation.ANALYZE].objects) == (Level.NOW, ("public.item",))
    assert found[Operation.VACUUM].level is Level.UNKNOWN


async def test_trap_what_cannot_have_statistics_does_not_need_them_for_ever(database: Database) -> None:
    database("CREATE TABLE bare ()", "INSERT INTO bare SELECT FROM generate_series(1, 1000)")
    assert (await advice(database.url))[Operation.ANALYZE].objects == ("public.bare",)
    assert statuses(await run(database.url, Operation.OPTIMIZE)) == {Status.COMPLETED}
    database.wait_for("SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'bare'")
    assert (await advice(database.url))[Operation.ANALYZE].level is Level.NONE


async def test_trap_an_index_that_is_being_built_is_no_leftover(database: Database) -> None:
    database.make_slow()

    def rebuild() -> None:
        with psycopg.connect(database.url, autocommit=True) as other:
            other.execute("REINDEX INDEX CONCURRENTLY slow_number")

    building = asyncio.create_task(asyncio.to_thread(rebuild))
    await until(database, "SELECT count(*) > 0 FROM pg_index WHERE NOT indisvalid")
    found = await advice(database.url)
    assert (found[Operation.CLEAN_LEFTOVERS].level, found[Operation.REINDEX].level) == (Level.NONE, Level.NONE)
    for operation in (Operation.CLEAN_LEFTOVERS, Operation.OPTIMIZE):
        steps = (await plan(database.url, operation)).steps
        assert not [step for step in steps if "INDEX" in step.command]
    database.let_go()
    await building
    assert database.invalid_indexes() == []


async def test_trap_where_nothing_is_counted_nobody_advises_to_count_anew(database: Database) -> None:
    database("CREATE TABLE item AS SELECT g, repeat('x', 100) FROM generate_series(1, 20000) AS g", "ANALYZE item")
    lose_count(database, "n_tup_ins", 20_000)
    database(f"ALTER DATABASE {database.name} SET track_counts = off")
    database.reconnect()
    found = await advice(database.url)
    for operation in (Operation.VACUUM, Operation.ANALYZE):
        assert found[operation].level is Level.UNKNOWN
        assert found[operation].reason == "what happens to tables is not counted: track_counts is off here"
    assert (found[Operation.OPTIMIZE].level, found[Operation.OPTIMIZE].inspection_can_tell) == (Level.UNKNOWN, False)


async def test_trap_after_a_rewrite_nobody_goes_on_with_the_dead_rows_from_before(database: Database) -> None:
    database("CREATE TABLE item AS SELECT generate_series(1, 5000) AS id")
    live, dead = (f"SELECT n_{rows}_tup FROM pg_stat_user_tables WHERE relname = 'item'" for rows in ("live", "dead"))
    database.wait_for(f"SELECT ({live}) = 5000")
    database("VACUUM ANALYZE item", "DELETE FROM item WHERE id % 2 = 0")
    database.wait_for(f"SELECT ({dead}) = 2500")
    assert (await advice(database.url))[Operation.VACUUM].objects == ("public.item",)
    assert statuses(await run(database.url, Operation.VACUUM_FULL)) == {Status.COMPLETED}
    database.wait_for(f"SELECT ({dead}) = 0")
    assert (await advice(database.url))[Operation.VACUUM].objects == ()


async def test_what_a_check_found_damaged_is_rebuilt_first(database: Database) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY)")
    past = TargetHistory(now=0, damaged_indexes=("public.item_pkey",))
    found = await advice(database.url, past=past)
    assert (found[Operation.REINDEX].level, found[Operation.REINDEX].objects) == (Level.NOW, ("public.item_pkey",))


async def test_damage_that_a_check_found_is_urgent_until_somebody_has_put_it_right(database: Database) -> None:
    check = (await advice(database.url, past=TargetHistory(now=0, damage="public.item: block 7, row 3: xmin")))[
        Operation.CHECK
    ]
    assert (check.level, check.needs_manual_fix) == (Level.NOW, True)
    assert check.reason.endswith(": public.item: block 7, row 3: xmin")


async def test_a_check_is_due_by_its_age_where_it_can_run(database: Database) -> None:
    database("CREATE ROLE joe LOGIN")
    old = TargetHistory(now=40 * DAY, checked_at={CheckLevel.FULL: 0})
    without = (await advice(database.url, past=old))[Operation.CHECK]
    assert (without.level, without.check) == (Level.UNKNOWN, None)
    assert "CREATE EXTENSION amcheck" in without.reason
    database("CREATE EXTENSION amcheck")
    check = (await advice(database.url, past=old))[Operation.CHECK]
    assert (check.level, check.check, check.cause) == (Level.SOON, CheckLevel.FULL, CheckCause.FULL_CHECK_OVERDUE)
    assert check.facts["causes"] == (CheckCause.FULL_CHECK_OVERDUE,)
    never = (await advice(database.url, past=TargetHistory(now=0)))[Operation.CHECK]
    assert (never.level, never.check, never.cause) == (Level.SOON, CheckLevel.QUICK, CheckCause.NEVER_CHECKED)
    fresh = TargetHistory(now=40 * DAY, checked_at={CheckLevel.FULL: 39 * DAY})
    assert (await advice(database.url, past=fresh))[Operation.CHECK].level is Level.NONE
    forbidden = (await advice(database.as_user("joe"), past=old))[Operation.CHECK]
    assert forbidden.level is Level.UNKNOWN
    assert "functions of amcheck" in forbidden.reason


async def test_indexes_that_begin_others_and_those_long_unused_are_named(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(
        "CREATE TABLE item (a int, b int, c int UNIQUE)",
        "INSERT INTO item SELECT g, g, g FROM generate_series(1, 80000) AS g",
        "CREATE INDEX short ON item (a)",
        "CREATE INDEX long ON item (a, b)",
        "CREATE INDEX down ON item (b DESC)",
        "CREATE INDEX other ON item (b, a)",
        "CREATE INDEX part ON item (c) WHERE a > 5",
        "CREATE INDEX wider ON item (c, a)",
        "VACUUM ANALYZE item",
        "SET enable_seqscan = off",
        "SELECT a FROM item WHERE a = 7",
        "SELECT b FROM item WHERE b = 7",
    )
    database.reconnect()
    used = "SELECT count(*) >= 2 FROM pg_stat_user_indexes WHERE idx_scan > 0"
    await until(database, used)
    advised = (await advice(database.url))[Operation.CLEAN_LEFTOVERS]
    assert (advised.level, advised.facts["prefix_indexes"]) == (Level.NONE, 1)
    assert "so perhaps needless: short of long (" in str(advised.by_hand)
    assert advised.facts["unused_indexes"] == 0  # the server has not counted for long
    monkeypatch.setattr("engine.targets.postgres.advising.advice.COUNTED_FOR", 0.0)
    advised = (await advice(database.url))[Operation.CLEAN_LEFTOVERS]
    unused = {name for name, scans in database("SELECT indexrelname, idx_scan FROM pg_stat_user_indexes") if not scans}
    assert advised.facts["unused_indexes"] == len(unused - {"item_c_key"})
    assert "no query on this server has used since 20" in str(advised.by_hand)


async def test_other_databases_of_the_server_that_are_near_the_wraparound_are_told(database: Database) -> None:
    for share, is_told in ((0.0, True), (0.75, False)):
        async with connected(database.url, writing=False) as session:
            advice, _ = await session.advise(TargetHistory(now=0), budget=1.0, limits=Thresholds(age_critical=share))
        (by_hand,) = [one.by_hand for one in advice if one.operation is Operation.VACUUM]
        if is_told:
            assert by_hand is not None
            assert (by_hand.level, by_hand.is_critical) == (Level.SOON, True)
            assert "near the wraparound" in by_hand.reason
            assert 'template0 must be allowed first. As a superuser: ALTER DATABASE "template0" ALLOW' in by_hand.reason
            assert database.name not in by_hand.reason
        else:
            assert by_hand is None


async def test_a_half_dropped_database_of_the_server_is_told_as_to_be_dropped_by_hand(database: Database) -> None:
    name = f"{database.name}_half"
    database("CREATE TABLE item (id int)", "CREATE INDEX one ON item (id)", "CREATE INDEX two ON item (id)")
    before = (await advice(database.url))[Operation.CLEAN_LEFTOVERS].by_hand
    database(f"CREATE DATABASE {name}", f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{name}'")
    try:
        found = (await advice(database.url))[Operation.CLEAN_LEFTOVERS]
        assert found.by_hand is not None
        assert (found.level, found.by_hand.level, found.by_hand.is_critical) == (Level.NONE, Level.SOON, False)
        assert f'DROP DATABASE "{name}";' in found.by_hand.reason
        assert "two duplicates one" in found.by_hand.reason
        _, second = neighbors_once([(database.url, [found]), (database.server.url("other"), [found])])
        assert second[0].by_hand == before
    finally:
        database(f"DROP DATABASE {name}")


async def test_large_indexes_of_a_table_without_statistics_are_unknown_whatever_their_kind(database: Database) -> None:
    database(
        "CREATE TABLE doc (id int PRIMARY KEY, name text, tags int[], place point) WITH (autovacuum_enabled = off)",
        "CREATE INDEX tree ON doc (name)",
        "CREATE INDEX hashed ON doc USING hash (id)",
        "CREATE INDEX tagged ON doc USING gin (tags) WITH (fastupdate = off)",
        "CREATE INDEX gist ON doc USING gist (place)",
        "CREATE INDEX quad ON doc USING spgist (place)",
        "INSERT INTO doc SELECT g, 'name ' || g, ARRAY[g, 7 * g, 11 * g], point(g, g) FROM generate_series(1, 60000) g",
    )
    limits = Thresholds(index_bloat=1_100_000)
    nothing = TargetHistory(now=0)
    async with connected(database.url, writing=False) as session:
        unknown = needs(await collect_condition(session._reader, limits), nothing, limits).unknown
        assert {index.name for index in unknown[Unknown.NOT_COUNTED]} == {
            "doc_pkey", "tree", "hashed", "tagged", "gist", "quad",
        }  # fmt: skip
        for counted in (False, True):
            if counted:
                database("ANALYZE doc", "CHECKPOINT")
            advised, _ = await session.advise(nothing, budget=0.5, limits=limits)
            (reindex,) = [one for one in advised if one.operation is Operation.REINDEX]
            assert (reindex.level is Level.UNKNOWN) is not counted
            assert ("ANALYZE counts them" in reindex.reason) is not counted
            assert counted or not reindex.inspection_can_tell
