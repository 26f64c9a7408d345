"""The effect of each operation on a real database, and its report."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from engine import Engine, LockImpact
from engine.domain.errors import UsageError
from engine.domain.option_specs import BY_NAME
from engine.domain.requests import CheckLevel, IndexCleanup, Operation, Options, Request, ServerOptions, Speed
from engine.domain.statuses import Reason, Status
from engine.inspection import inspector
from engine.targets import resolve
from engine.targets.postgres.planning.operation_steps import FEW
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import first_step, statuses, step_of, until
from tests.engine.targets.server_session import connected, plan, run
from tests.postgres_databases import SLEEPS, Database

NASTY = (
    "order",
    'a"b',
    "a b",
    "per%cent %s",
    "línea",
    "snow☃",
    "x" * 63,
    "new\nline",
    "semi;--",
    "'quoted'",
    "a.b",
    "{}",
)
ITEMS = (
    "CREATE TABLE item (id int PRIMARY KEY, name text, note text)",
    "INSERT INTO item SELECT g, 'name ' || g, repeat('x', 50) FROM generate_series(1, 20000) AS g",
    "CREATE INDEX item_name ON item (name)",
    "ANALYZE item",
)


TOAST_INDEX = """
SELECT i.relname::text FROM pg_class AS i JOIN pg_index AS x ON x.indexrelid = i.oid
WHERE x.indrelid = (SELECT reltoastrelid FROM pg_class WHERE relname = 'item')
"""


async def test_vacuum_tells_what_it_removed_and_what_the_table_takes(database: Database) -> None:
    database(*ITEMS, "DELETE FROM item WHERE id > 10000")
    result = (await run(database.url, Operation.VACUUM, objects=("item",)))["public.item"]
    assert result.status is Status.COMPLETED
    assert result.effect is not None
    assert result.effect["rows_removed"] == 10_000
    assert result.effect["rows_kept"] == 0
    assert result.effect["pages_removed"] == pytest.approx(123, abs=30)
    assert int(str(result.effect["size"])) < int(str(result.effect["size_before"]))


async def test_trap_dead_rows_that_somebody_may_still_see_are_a_warning_with_who_it_is(database: Database) -> None:
    database(*ITEMS)
    look = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM item")
    with database.session(*look) as other:
        database("DELETE FROM item WHERE id <= 5000")
        result = (await run(database.url, Operation.VACUUM, objects=("item",)))["public.item"]
        assert result.status is Status.COMPLETED
        assert result.effect is not None
        assert result.effect["rows_kept"] == 5_000
        (warning,) = result.warnings
        assert warning.startswith("public.item: 5,000 ")
        assert f"pid {other.info.backend_pid} (" in warning


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.ANALYZE])
async def test_trap_what_the_server_only_warns_of_is_skipped_and_no_success(
    database: Database, operation: Operation
) -> None:
    database(*ITEMS, "CREATE ROLE joe LOGIN")
    async with connected(database.url) as session:
        step = await first_step(session, operation, "item")
    async with connected(database.as_user("joe")) as session:
        result = await session.execute(step, StepContext())
    assert result.status is Status.SKIPPED
    assert result.error is not None
    assert "item" in result.error
    assert result.warnings == (f"public.item: {result.error}",)


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.ANALYZE])
async def test_trap_so_it_is_where_of_many_small_tables_none_is_asked_what_was_done_to_it(
    database: Database, operation: Operation
) -> None:
    tables = [f"CREATE TABLE item{number} AS SELECT 1 AS a" for number in range(FEW + 1)]
    database(*tables, "VACUUM ANALYZE", "CREATE ROLE joe LOGIN")
    async with connected(database.url) as session:
        step = step_of(
            await session.plan(operation, Options(server=ServerOptions(schemas=("public",)))), "public.item7"
        )
        assert "VERBOSE" not in step.command
        done = await session.execute(step, StepContext())
    assert (done.status, done.effect, done.warnings) == (Status.COMPLETED, None, ())
    async with connected(database.as_user("joe")) as session:
        left_out = await session.execute(step, StepContext())
    assert left_out.status is Status.SKIPPED
    assert left_out.warnings == (f"public.item7: {left_out.error}",)


@pytest.mark.parametrize("before", ["VACUUM ANALYZE", "SELECT 1"], ids=["vacuumed", "never vacuumed"])
async def test_trap_of_small_tables_that_a_server_has_forgotten_to_count_each_is_asked_what_was_done_to_it(
    database: Database, before: str
) -> None:
    """As after a crash: otherwise rows would be removed, and others kept, of which nobody tells."""
    tables = [f"CREATE TABLE item{number} AS SELECT 1 AS a" for number in range(FEW + 1)]
    database(*tables, before, "DELETE FROM item7")
    database("SELECT pg_stat_reset()")
    async with connected(database.url) as session:
        planned = await session.plan(Operation.VACUUM, Options(server=ServerOptions(schemas=("public",))))
        step = step_of(planned, "public.item7")
        done = await session.execute(step, StepContext())
    assert (done.effect or {}).get("rows_removed") == 1


async def test_what_other_tables_take_is_not_told_as_what_all_take(database: Database) -> None:
    """A first VACUUM gives each table a map of what is free in it, and tables that were clean are not measured."""
    tables = [f"CREATE TABLE item{number} AS SELECT 1 AS a" for number in range(FEW + 1)]
    database(*tables, "ANALYZE")
    database("INSERT INTO item7 SELECT generate_series(1, 1000)", "DELETE FROM item7 WHERE a % 2 = 0")
    async with connected(database.url) as session:
        for step in (await session.plan(Operation.VACUUM, Options(server=ServerOptions(schemas=("public",))))).steps:
            await session.execute(step, StepContext())
        facts = await session.facts(Operation.VACUUM)
    assert facts["rows_removed"] == 500
    assert not facts.get("back_bytes")  # on 19 the map is there before


async def test_trap_what_is_locked_and_left_out_is_skipped(database: Database) -> None:
    database(*ITEMS)
    with database.session("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE"):
        wanted = ServerOptions(skip_locked=True)
        assert statuses(await run(database.url, Operation.VACUUM, wanted, objects=("item",))) == {Status.SKIPPED}


async def test_trap_a_lock_that_is_not_had_in_time_names_who_has_it(database: Database) -> None:
    database(*ITEMS)
    with database.session("LOCK TABLE item IN ACCESS SHARE MODE") as other:
        pid = other.info.backend_pid
        result = (await run(database.url, Operation.VACUUM_FULL, objects=("item",)))["public.item"]
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert result.error is not None
    assert f"for its lock: pid {pid} (" in result.error


async def test_r9_a_table_that_fails_does_not_stop_the_others(database: Database, tmp_path: Path) -> None:
    database(*ITEMS, "CREATE TABLE other (id int)")
    options = Options(lock_timeout=0.1, jobs=1, server=ServerOptions(schemas=("public",)))
    request = Request(target=database.url, operations=(Operation.VACUUM,), options=options)
    with database.session("LOCK TABLE item IN ACCESS EXCLUSIVE MODE"):
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(30):
            (submitted,) = await engine.submit([request])
            (parent,) = await engine.wait([submitted.id])
    (child,) = parent.children
    assert (child.status, child.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert [(step.object, step.status) for step in child.steps][:2] == [
        ("public.item", Status.FAILED),
        ("public.other", Status.COMPLETED),
    ]


async def test_what_is_gone_is_skipped(database: Database) -> None:
    database(*ITEMS)
    async with connected(database.url) as session:
        for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX):
            database("DROP TABLE IF EXISTS item", *ITEMS)
            step = await first_step(session, operation, "item")
            database("DROP TABLE item")
            assert (await session.execute(step, StepContext())).status is Status.SKIPPED


async def test_without_the_right_it_is_refused_with_what_to_grant(database: Database) -> None:
    database(*ITEMS, "CREATE ROLE joe LOGIN")
    planned = await plan(database.as_user("joe"), Operation.VACUUM, objects=("item",))
    assert planned.refused is not None
    if database.major < 17:
        assert "as the owner" in planned.refused
        return
    _, _, command = planned.refused.partition("As the owner: ")
    assert command == 'GRANT MAINTAIN ON TABLE public.item TO "joe"'
    database(command)
    for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM_FULL):
        assert statuses(await run(database.as_user("joe"), operation, objects=("item",))) == {Status.COMPLETED}


TOAST_LEFT_OUT = (
    "left out: the TOAST index of public.item: joe may not rebuild it alone."
    " As a role that may maintain the table: REINDEX TABLE CONCURRENTLY public.item"
)


async def test_trap_an_owner_cannot_rebuild_a_toast_index_by_itself_and_is_told_what_can(database: Database) -> None:
    # Whatever is counted of its rows by then, it needs nothing else.
    quiet = "autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 1000000"
    database(*ITEMS, f"ALTER TABLE item SET ({quiet})", "CREATE ROLE joe LOGIN", "ALTER TABLE item OWNER TO joe")
    joe, toast = database.as_user("joe"), "pg_toast." + database.value(TOAST_INDEX)
    planned = await plan(joe, Operation.REINDEX, objects=("item",))
    assert {step.object for step in planned.steps} == {"public.item_pkey", "public.item_name"}
    assert (planned.warnings, planned.left_out) == ((TOAST_LEFT_OUT,), 1)
    assert statuses(await run(joe, Operation.REINDEX)) == {Status.COMPLETED}
    named = await plan(joe, Operation.REINDEX, objects=(toast,))
    assert named.refused == TOAST_LEFT_OUT.removeprefix("left out: ")
    database(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{toast}'::regclass")
    needed = await plan(joe, Operation.OPTIMIZE, objects=("item",))
    assert needed.refused == TOAST_LEFT_OUT.removeprefix("left out: ")
    with psycopg.connect(joe, autocommit=True) as owner:
        owner.execute(TOAST_LEFT_OUT.rpartition(": ")[2])
    database(f"UPDATE pg_index SET indisvalid = true WHERE indexrelid = '{toast}'::regclass")
    database("GRANT USAGE ON SCHEMA pg_toast TO joe")
    try:
        assert toast in await run(joe, Operation.REINDEX)
    finally:
        database("REVOKE USAGE ON SCHEMA pg_toast FROM joe")


async def test_of_a_whole_database_what_the_role_may_not_do_is_left_out_and_told(database: Database) -> None:
    database(*ITEMS, "CREATE ROLE joe LOGIN", "CREATE TABLE mine (a int PRIMARY KEY)", "ALTER TABLE mine OWNER TO joe")
    planned = await plan(database.as_user("joe"), Operation.ANALYZE)
    assert [step.object for step in planned.steps] == ["public.mine"]
    assert planned.warnings[0].startswith("left out: ")
    assert "public.item" in planned.warnings[0]
    assert (planned.left_out, planned.forbidden) == (1, ("public.item",))
    async with connected(database.as_user("joe")) as session:
        await session.plan(Operation.VACUUM, Options())
        assert "left_out" not in await session.facts()
        for operation, left_out in ((Operation.VACUUM, 1), (Operation.REINDEX, 3), (Operation.VACUUM, 1)):
            step = (await session.plan(operation, Options())).steps[0]
            await session.execute(step, StepContext())
            assert (await session.facts(operation))["left_out"] == left_out


async def test_reindex_goes_index_by_index_with_toast_and_never_two_of_a_table_at_once(database: Database) -> None:
    database(*ITEMS)
    planned = await plan(database.url, Operation.REINDEX, jobs=4)
    toast = database.value("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'item'")
    assert {step.object for step in planned.steps} == {"public.item_pkey", "public.item_name", f"{toast}_index"}
    assert {step.conflict for step in planned.steps} == {"public.item"}
    assert all(step.command.startswith("REINDEX INDEX CONCURRENTLY ") for step in planned.steps)
    files = "SELECT sum(relfilenode::int8) FROM pg_class WHERE relkind = 'i' AND relname ~ '^item'"
    before = database.value(files)
    assert statuses(await run(database.url, Operation.REINDEX)) == {Status.COMPLETED}
    assert (
        database.value("SELECT sum(relfilenode::int8) FROM pg_class WHERE relkind = 'i' AND relname ~ '^item'")
        != before
    )
    assert database.invalid_indexes() == []


async def test_reindex_offline_is_plain(database: Database) -> None:
    database(*ITEMS)
    planned = await plan(database.url, Operation.REINDEX, ServerOptions(offline=True), objects=("item_name",))
    assert [step.command for step in planned.steps] == ['REINDEX INDEX "public"."item_name"']
    assert planned.steps[0].lock.impact is LockImpact.MOST_READERS
    assert statuses(await run(database.url, Operation.REINDEX, ServerOptions(offline=True))) == {Status.COMPLETED}


EXCLUSIVE = (
    "left out: exclusion constraints cannot be rebuilt concurrently: public.booked_room_excl."
    " reindex --offline --object NAME can do it, and blocks writers"
)


async def test_an_exclusion_constraint_cannot_be_rebuilt_concurrently_and_is_told(database: Database) -> None:
    database("CREATE TABLE booked (room int4range, EXCLUDE USING gist (room WITH &&))")
    planned = await plan(database.url, Operation.REINDEX)
    assert planned.warnings == (EXCLUSIVE,)
    assert "public.booked_room_excl" in await run(database.url, Operation.REINDEX, ServerOptions(offline=True))
    named = await plan(database.url, Operation.REINDEX, objects=("booked_room_excl",))
    assert (named.steps, named.refused) == ((), EXCLUSIVE.removeprefix("left out: "))
    of_a_table = await plan(database.url, Operation.REINDEX, objects=("booked",))
    assert (of_a_table.refused, of_a_table.warnings) == (None, (EXCLUSIVE,))
    database("CREATE TABLE plain (area box, EXCLUDE USING gist (area WITH &&))")  # which has no TOAST table
    of_a_table = await plan(database.url, Operation.REINDEX, objects=("plain",))
    assert of_a_table.not_needed == EXCLUSIVE.replace("booked_room", "plain_area")


async def test_optimize_tells_of_an_exclusion_constraint_that_it_leaves_out(database: Database) -> None:
    database("CREATE TABLE booked (room int4range, EXCLUDE USING gist (room WITH &&))")
    database("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'booked_room_excl'::regclass")
    public = ("public",)
    planned = await plan(database.url, Operation.OPTIMIZE, ServerOptions(schemas=public))
    assert (planned.steps, planned.not_needed) == ((), EXCLUSIVE)
    database("CREATE TABLE item (id int)", "INSERT INTO item VALUES (1)")
    database.wait_for("SELECT count(*) = 1 FROM pg_stat_user_tables WHERE relname = 'item' AND n_live_tup = 1")
    planned = await plan(database.url, Operation.OPTIMIZE, ServerOptions(schemas=public))
    assert [step.object for step in planned.steps] == ["public.item"]
    assert planned.warnings == (EXCLUSIVE,)
    offline = ServerOptions(schemas=public, offline=True)
    planned = await plan(database.url, Operation.OPTIMIZE, offline)
    assert 'REINDEX INDEX "public"."booked_room_excl"' in [step.command for step in planned.steps]
    needs_confirmation = resolve(database.url).needs_confirmation
    assert needs_confirmation(Operation.OPTIMIZE, Options(server=offline)).startswith("with --offline ")
    assert needs_confirmation(Operation.OPTIMIZE, Options()) == ""


async def test_trap_what_a_leftover_took_is_told_of_its_removal_and_not_of_the_vacuum_after_it(
    database: Database,
) -> None:
    database(*ITEMS)
    with database.session("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM item"):
        database("SET lock_timeout = 100")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            database("REINDEX INDEX CONCURRENTLY item_name")
    database("DELETE FROM item WHERE id <= 5000")
    taken = database.value("SELECT pg_total_relation_size('item_name_ccnew')")
    assert taken > 100_000
    results = await run(database.url, Operation.OPTIMIZE, objects=("item", "item_name_ccnew"))
    assert results["public.item_name_ccnew"].effect == {"size_before": taken, "size": 0}
    vacuumed = results["public.item"].effect or {}
    assert vacuumed["rows_removed"] == 5_000
    assert abs(int(str(vacuumed["size_before"])) - int(str(vacuumed["size"]))) < taken / 2


async def test_vacuum_full_and_cluster_rewrite(database: Database) -> None:
    database(*ITEMS, "DELETE FROM item WHERE id % 2 = 0", "CLUSTER item USING item_name")
    database("DELETE FROM item WHERE id % 4 = 1")
    for operation in (Operation.CLUSTER, Operation.VACUUM_FULL):
        node = database.value("SELECT relfilenode FROM pg_class WHERE relname = 'item'")
        results = await run(database.url, operation)
        assert statuses(results) == {Status.COMPLETED}
        assert list(results) == ["public.item"]
        assert database.value("SELECT relfilenode FROM pg_class WHERE relname = 'item'") != node
    effect = results["public.item"].effect
    assert effect is not None
    assert effect["size"]


async def test_trap_what_inherits_is_rewritten_once(database: Database) -> None:
    database("CREATE TABLE item AS SELECT generate_series(1, 10) AS id", "CREATE TABLE child () INHERITS (item)")
    assert [step.object for step in (await plan(database.url, Operation.VACUUM_FULL, objects=("item",))).steps] == [
        "public.item"
    ]
    node = "SELECT relfilenode FROM pg_class WHERE relname = 'child'"
    async with connected(database.url) as session:
        planned = await session.plan(Operation.VACUUM_FULL, Options(server=ServerOptions(schemas=("public",))))
        object_operations = {step.object: step for step in planned.steps}
        before = database.value(node)
        await session.execute(object_operations["public.item"], StepContext())
        assert database.value(node) == before
        await session.execute(object_operations["public.child"], StepContext())
        assert database.value(node) != before


async def test_a_right_that_is_lost_after_the_plan_is_no_rewrite(database: Database) -> None:
    database("CREATE ROLE ann LOGIN", *ITEMS, "ALTER TABLE item OWNER TO ann")
    async with connected(database.as_user("ann")) as session:
        step = await first_step(session, Operation.VACUUM_FULL, "item")
        database("ALTER TABLE item OWNER TO postgres")
        result = await session.execute(step, StepContext())
    assert result.status is Status.SKIPPED
    assert not any("was rewritten" in warning for warning in result.warnings)


async def test_a_rewrite_stays_one_though_what_follows_it_is_stopped(database: Database) -> None:
    if database.major < 14:
        pytest.skip("before PostgreSQL 14 there are no statistics on expressions")
    database.make_slow()
    database("DROP INDEX slow_number", "CREATE STATISTICS slow_statistics ON (public.slow(number)) FROM slow")
    node = "SELECT relfilenode FROM pg_class WHERE relname = 'slow'"
    before = database.value(node)
    async with connected(database.url) as session:
        step, cancel = await first_step(session, Operation.VACUUM_FULL, "slow"), asyncio.Event()
        assert step.command == 'VACUUM (FULL, VERBOSE) "public"."slow"; ANALYZE (VERBOSE) "public"."slow"'
        task = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
        await until(database, SLEEPS)
        cancel.set()
        result = await task
    assert database.value(node) != before
    assert result.status is Status.COMPLETED
    (warning,) = result.warnings
    assert ' run: ANALYZE (VERBOSE) "public"."slow"' in warning


async def test_a_table_without_an_index_to_go_by_is_not_clustered(database: Database) -> None:
    database("CREATE TABLE item (id int)")
    assert (await plan(database.url, Operation.CLUSTER)).not_needed
    assert "CLUSTER ON" in str((await plan(database.url, Operation.CLUSTER, objects=("item",))).refused)


async def test_a_partitioned_table_is_vacuumed_by_its_partitions_and_analyzed_itself(database: Database) -> None:
    database(
        "CREATE TABLE sale (day int, amount int) PARTITION BY RANGE (day)",
        "CREATE TABLE sale_1 PARTITION OF sale FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (amount)",
        "CREATE TABLE sale_1a PARTITION OF sale_1 FOR VALUES FROM (0) TO (1000)",
        "CREATE TABLE sale_2 PARTITION OF sale FOR VALUES FROM (10) TO (20)",
        "INSERT INTO sale SELECT g % 20, g FROM generate_series(1, 900) AS g",
    )
    assert set(await run(database.url, Operation.VACUUM, objects=("sale",))) == {"public.sale_1a", "public.sale_2"}
    results = await run(database.url, Operation.ANALYZE, ServerOptions(schemas=("public",)))
    assert statuses(results) == {Status.COMPLETED}
    if database.major < 18:
        assert list(results) == ["public.sale"]
    analyzed = database(
        "SELECT DISTINCT relname::text FROM pg_statistic JOIN pg_class ON oid = starelid"
        " WHERE relname ~ '^sale' ORDER BY 1"
    )
    assert [name for (name,) in analyzed] == ["sale", "sale_1", "sale_1a", "sale_2"]


SALES = (
    "CREATE SCHEMA old",
    "CREATE TABLE sale (day int, amount int) PARTITION BY RANGE (day)",
    "CREATE TABLE sale_1 PARTITION OF sale FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE old.sale_2 PARTITION OF sale FOR VALUES FROM (10) TO (20)",
    "INSERT INTO sale SELECT g % 20, g FROM generate_series(1, 9000) AS g",
)


@pytest.mark.parametrize(
    ("operation", "asked", "objects"),
    [
        (Operation.ANALYZE, ServerOptions(), ()),
        (Operation.ANALYZE, ServerOptions(missing_only=True, schemas=("public", "old")), ()),
        (Operation.ANALYZE, ServerOptions(), ("sale", "sale_1", "old.sale_2")),
        (Operation.OPTIMIZE, ServerOptions(schemas=("public", "old")), ()),
        (Operation.VACUUM, ServerOptions(analyze=True), ("sale",)),
    ],
)
async def test_each_partition_is_analyzed_once(
    database: Database, operation: Operation, asked: ServerOptions, objects: tuple[str, ...]
) -> None:
    database(*SALES)
    database.wait_for("SELECT count(*) = 2 FROM pg_stat_user_tables WHERE n_live_tup = 4500")
    results = await run(database.url, operation, asked, objects=objects)
    assert Status.COMPLETED in statuses(results)
    counted = "SELECT count(*) = 2 FROM pg_stat_user_tables WHERE analyze_count = 1 AND relname ~ '^sale_'"
    database.wait_for(counted)
    assert database.value("SELECT count(*) FROM pg_statistic WHERE starelid = 'sale'::regclass") == 2


async def test_a_partition_whose_parent_is_not_meant_is_analyzed(database: Database) -> None:
    database(*SALES)
    results = await run(database.url, Operation.ANALYZE, ServerOptions(schemas=("old",)))
    assert list(results) == ["old.sale_2"]


async def test_a_partition_is_not_vacuumed_while_the_table_that_takes_it_along_is_analyzed(database: Database) -> None:
    database(*SALES, "DELETE FROM sale WHERE amount > 2000")
    database.wait_for("SELECT count(*) = 2 FROM pg_stat_user_tables WHERE n_dead_tup = 3500")
    planned = await plan(database.url, Operation.OPTIMIZE, ServerOptions(schemas=("public", "old")))
    conflicts = {step.command: step.conflict for step in planned.steps}
    vacuums = [command for command in conflicts if command.startswith("VACUUM") and "sale" in command]
    assert len(vacuums) == 2
    if database.major < 18:
        assert {conflicts[command] for command in vacuums} == {"public.sale"}
        assert not any("ANALYZE" in command for command in vacuums)
    else:
        assert {conflicts[command] for command in vacuums} == {"public.sale_1", "old.sale_2"}


async def test_analyze_only_what_has_no_statistics_and_in_stages(database: Database) -> None:
    database(*ITEMS, "CREATE TABLE fresh AS SELECT generate_series(1, 100) AS a")
    missing = ServerOptions(missing_only=True, schemas=("public",))
    assert list(await run(database.url, Operation.ANALYZE, missing)) == ["public.fresh"]
    assert (await plan(database.url, Operation.ANALYZE, missing)).not_needed is not None
    staged = await plan(database.url, Operation.ANALYZE, ServerOptions(in_stages=True), objects=("item",))
    targets = ("target 1", "target 10", "the usual target")
    assert [step.reason for step in staged.steps] == [f"statistics with {target}" for target in targets]
    async with connected(database.url) as session:
        for step, buckets in zip(staged.steps, (2, 11, 101), strict=True):
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
            query = "SELECT array_length(histogram_bounds, 1) FROM pg_stats WHERE tablename = 'item' AND attname = 'id'"
            assert database.value(query) == buckets


async def test_options_of_vacuum_are_as_the_server_has_them(database: Database) -> None:
    database(*ITEMS)
    asked = ServerOptions(
        analyze=True,
        freeze=True,
        index_cleanup=IndexCleanup.OFF,
        truncate=False,
        parallel_workers=0,
        speed=Speed.GENTLE,
    )
    planned = await plan(database.url, Operation.VACUUM, asked, objects=("item",))
    command = planned.steps[0].command
    for word in ("VERBOSE", "FREEZE", "ANALYZE", "INDEX_CLEANUP OFF", "TRUNCATE OFF", "PARALLEL 0"):
        assert word in command
    assert ("SKIP_DATABASE_STATS" in command) == (database.major >= 16)
    assert statuses(await run(database.url, Operation.VACUUM, asked, objects=("item",))) == {Status.COMPLETED}
    for limit, sent in (("1MB", "1024 kB"), ("0", "0 kB")):
        limited = ServerOptions(buffer_usage_limit=BY_NAME["buffer_usage_limit"].type.parse(limit))
        planned = await plan(database.url, Operation.VACUUM, limited, objects=("item",))
        if database.major < 16:
            assert str(planned.refused).startswith("--buffer-usage-limit needs PostgreSQL")
        else:
            assert f"BUFFER_USAGE_LIMIT '{sent}'" in planned.steps[0].command
            assert statuses(await run(database.url, Operation.VACUUM, limited, objects=("item",))) == {Status.COMPLETED}


async def test_a_vacuum_of_everything_renews_the_age_of_the_database_once(database: Database) -> None:
    database(*ITEMS)
    results = await run(database.url, Operation.VACUUM)
    assert statuses(results) == {Status.COMPLETED}
    assert "pg_catalog.pg_class" in results
    assert ("database" in results) == (database.major >= 16)


async def test_temporary_tables_of_others_are_left_alone(database: Database) -> None:
    database("CREATE TEMPORARY TABLE scratch (a int PRIMARY KEY)")
    for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX):
        assert not [step for step in (await plan(database.url, operation)).steps if "scratch" in step.object]


async def test_any_name_is_maintained(database: Database) -> None:
    for name in NASTY:
        quoted = '"' + name.replace('"', '""') + '"'
        database(f"CREATE SCHEMA {quoted}", f"CREATE TABLE {quoted}.{quoted} (a int PRIMARY KEY)")
    for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM_FULL):
        results = await run(database.url, operation, ServerOptions(schemas=NASTY))
        assert len(results) >= len(NASTY)
        assert statuses(results) == {Status.COMPLETED}


async def test_objects_are_named_as_people_name_them(database: Database) -> None:
    database(
        "CREATE SCHEMA a", "CREATE TABLE a.item (id int)", "CREATE TABLE item (id int)", 'CREATE TABLE "My" (id int)'
    )
    for name in ("a.item", "public.item", '"public"."item"', "My", 'public."My"'):
        assert len((await plan(database.url, Operation.VACUUM, objects=(name,))).steps) == 1
    for name, why in {"item": "may mean", "nothing": "is no table or index", "my": "is no table"}.items():
        with pytest.raises(UsageError, match=why):
            await plan(database.url, Operation.VACUUM, objects=(name,))
    with pytest.raises(UsageError, match="is not in"):
        await plan(database.url, Operation.VACUUM, ServerOptions(schemas=("nowhere",)))


async def test_names_for_a_name_that_may_mean_several_each_mean_one(database: Database) -> None:
    database("CREATE SCHEMA a", "CREATE TABLE a.b (id int)", 'CREATE TABLE "a.b" (id int)')
    with pytest.raises(UsageError) as caught:
        await plan(database.url, Operation.VACUUM, objects=("a.b",))
    names = caught.value.why.removeprefix("may mean ").split(", ")
    found = [(await plan(database.url, Operation.VACUUM, objects=(name,))).steps[0].object for name in names]
    assert sorted(found) == ["a.b", 'public."a.b"']


async def test_an_index_is_no_table_to_vacuum(database: Database) -> None:
    database(*ITEMS)
    with pytest.raises(UsageError, match="name its table"):
        await plan(database.url, Operation.VACUUM, objects=("item_name",))


async def test_a_check_needs_amcheck_and_finds_damage(database: Database) -> None:
    database(*ITEMS)
    assert "CREATE EXTENSION amcheck" in str((await plan(database.url, Operation.CHECK)).refused)
    database("CREATE EXTENSION amcheck", "CREATE EXTENSION pageinspect")
    for level in CheckLevel:
        assert statuses(await run(database.url, Operation.CHECK, check=level)) == {Status.COMPLETED}
    # The order of the index is no longer that of its column.
    database(
        "CREATE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
        "CREATE INDEX item_upside ON item (public.upside(id))",
        "CREATE OR REPLACE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'",
    )
    async with connected(database.url) as session:
        results = {}
        for planned_step in (await session.plan(Operation.CHECK, Options(objects=("item",)))).steps:
            results[planned_step.object] = await session.execute(planned_step, StepContext())
        facts = await session.facts(Operation.CHECK)
    assert (facts["findings"], facts["level"], facts["damaged_indexes"]) == (1, "full", ("public.item_upside",))
    assert str(facts["remedy"]).startswith("Run reindex")
    failed = {name: result for name, result in results.items() if result.status is Status.FAILED}
    assert list(failed) == ["public.item_upside"]
    assert failed["public.item_upside"].findings


async def test_a_check_by_a_role_that_may_not_run_amcheck_is_refused_with_what_to_grant(database: Database) -> None:
    database(*ITEMS, "CREATE EXTENSION amcheck", "CREATE ROLE joe LOGIN")
    refused = str((await plan(database.as_user("joe"), Operation.CHECK)).refused)
    why, _, command = refused.partition(" As a superuser: ")
    assert why.endswith(" amcheck.")
    assert command.startswith("GRANT EXECUTE ON ")
    assert "public.bt_index_check(regclass,boolean)" in command
    assert (", public.verify_heapam(" in command) is (database.major >= 14)
    database(command)
    results = await run(database.as_user("joe"), Operation.CHECK, objects=("item",))
    assert statuses(results) == {Status.COMPLETED}


async def test_facts_tell_what_was_done(database: Database) -> None:
    database(*ITEMS, "DELETE FROM item WHERE id > 10000")
    async with connected(database.url) as session:
        before = await session.facts(Operation.VACUUM)
        assert before.keys() == {"size", "tables", "dead_rows", "xid_age"}
        assert before["tables"] == 1
        step = await first_step(session, Operation.VACUUM, "item")
        await session.execute(step, StepContext())
        after = await session.facts(Operation.VACUUM)
    assert after["rows_removed"] == 10_000
    assert int(str(after["back_bytes"])) > 100_000


@pytest.mark.parametrize(
    ("mode", "in_the_way_of"),
    [
        ("ACCESS SHARE", {Operation.VACUUM_FULL}),
        ("ROW EXCLUSIVE", {Operation.VACUUM_FULL}),
        ("SHARE UPDATE EXCLUSIVE", {Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM_FULL}),
    ],
)
async def test_a_plan_says_who_would_be_waited_for(
    database: Database, mode: str, in_the_way_of: set[Operation]
) -> None:
    database(*ITEMS, "CREATE TABLE other (id int)")
    with database.session(f"LOCK TABLE item IN {mode} MODE", "LOCK TABLE other IN ACCESS SHARE MODE") as session:
        whom = f"pid {session.info.backend_pid} (somebody, postgres, idle in transaction)"
        expected = f"it would have to wait: {whom} holds a lock"
        for operation in (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.VACUUM_FULL):
            options = Options(objects=("item",), confirmed=True, lock_timeout=0)
            request = Request(target=database.url, operations=(operation,), options=options)
            (planned,) = (await inspector.plan(request)).operations
            assert [warning for warning in planned.warnings if warning.startswith("it would")] == (
                [f"{expected} on public.item"] if operation in in_the_way_of else []
            )


OLD_SNAPSHOT = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND state = 'idle in transaction'"
    " AND datname = current_database() AND xact_start < clock_timestamp() - '0.1s'::interval"
)


async def test_a_plan_to_rebuild_concurrently_says_whose_snapshot_would_be_waited_for(database: Database) -> None:
    database(*ITEMS)
    snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    with database.session(snapshot, "SELECT 1") as session, database.session("SELECT 1"):
        await until(database, OLD_SNAPSHOT)
        warnings = {}
        for offline in (False, True):
            options = Options(lock_timeout=0.1, jobs=1, server=ServerOptions(offline=offline), confirmed=True)
            request = Request(target=database.url, operations=(Operation.REINDEX, Operation.VACUUM), options=options)
            reindex, vacuum = (await inspector.plan(request)).operations
            warnings[offline] = reindex.warnings
            assert not vacuum.waits
        pid = session.info.backend_pid
    (warning,) = warnings[False]
    assert f": pid {pid} (" in warning
    assert "(--snapshot-wait)" in warning
    assert warnings[True] == ()


async def test_who_may_not_see_other_sessions_is_told_their_numbers_all_the_same(database: Database) -> None:
    database("CREATE ROLE joe LOGIN", "CREATE TABLE item (id int)", "ALTER TABLE item OWNER TO joe")
    with database.session("LOCK TABLE item IN ACCESS SHARE MODE") as session:
        pid = session.info.backend_pid
        options = Options(objects=("item",), confirmed=True, lock_timeout=0)
        request = Request(target=database.as_user("joe"), operations=(Operation.VACUUM_FULL,), options=options)
        (planned,) = (await inspector.plan(request)).operations
        assert planned.waits
        assert f": pid {pid} (" in planned.warnings[0]
        result = (await run(database.as_user("joe"), Operation.VACUUM_FULL, objects=("item",)))["public.item"]
    assert result.reason is Reason.TARGET_BUSY
    assert f"for its lock: pid {pid} (" in str(result.error)
    assert "()" not in f"{result.error} {planned.warnings}"


async def test_how_long_a_vacuum_took_at_full_speed_tells_nothing_of_a_gentle_one(
    database: Database, tmp_path: Path
) -> None:
    database(*ITEMS)

    def request(speed: Speed) -> Request:
        server = ServerOptions(schemas=("public",), speed=speed)
        return Request(target=database.url, operations=(Operation.VACUUM,), options=Options(server=server))

    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (planned,) = (await engine.plan(request(Speed.FULL))).operations
        assert all(step.estimate for step in planned.steps)  # by sizes, before the first run
        assert planned.estimated_from == "a first guess: by size alone"
        assert planned.size_estimate is not None
        assert planned.estimate == pytest.approx(3 * planned.size_estimate)  # not all of it may be in memory
        (job,) = await engine.submit([request(Speed.FULL)])
        await engine.wait([job.id])
        for speed in Speed:
            (planned,) = (await engine.plan(request(speed))).operations
            assert {step.estimate is not None for step in planned.steps} == {speed is Speed.FULL}
