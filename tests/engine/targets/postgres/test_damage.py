"""Findings of a check in damaged tables and indexes, and the operations that follow."""

from __future__ import annotations

import gc
import signal
import struct
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine
from engine.domain import damage as known
from engine.domain.advice import TargetHistory, needed
from engine.domain.errors import TargetDamagedError
from engine.domain.requests import CheckLevel, Operation, Options, Request
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts
from engine.history.target_history import with_damage
from engine.inspection import inspector
from engine.targets.postgres.connection.names import qualified
from engine.targets.step_execution import StepContext, StepResult
from tests import postgres_damage as harm
from tests.engine.targets.server_session import connected
from tests.postgres_damage import Damage, do_damage, make_table
from tests.postgres_databases import Database, new_database
from tests.postgres_server import PostgresServer, every_server, running_server

XID = struct.pack("<I", 3_000_000_000)
TABLES: dict[str, Damage] = {
    "junk": harm.in_page(3, 4000),
    "xmin": harm.row_header(2, 5, 0, XID, clear=0x0300),
    "xmax": harm.row_header(2, 6, 4, XID, clear=0x0C00),
    "infomask": harm.row_header(2, 6, 20, b"\xff\xff"),
    "pointer": harm.line_pointer(2, 4),
    "header": harm.in_page(2, 10, b"\xff" * 8),
    "gone": harm.remove,
}
INDEXES: dict[str, Damage] = {
    "meta": harm.in_page(0, 24, b"\x13" * 40),
    "root": harm.in_page(3, 24),
    "leaf": harm.in_page(1, 5000),
    "special": harm.in_page(1, harm.PAGE - 16, b"\x13" * 16),
    "zero": harm.in_page(1, 0, bytes(harm.PAGE)),
    "short": harm.cut_off(5),
    "absent": harm.remove,
}


@pytest.fixture(scope="module")
def unprotected(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server of the same version that does not know of a page what it was."""
    with running_server(postgres.binaries, checksums=False) as server:
        yield server


@pytest.fixture
def damaged(unprotected: PostgresServer) -> Iterator[Database]:
    """A database without any damage yet, in which amcheck is installed."""
    with new_database(unprotected) as database:
        database("CREATE EXTENSION amcheck")
        yield database


async def check(
    database: Database, level: CheckLevel = CheckLevel.FULL, *objects: str
) -> tuple[dict[str, StepResult], Facts]:
    async with connected(database.url) as session:
        planned = await session.plan(Operation.CHECK, Options(check=level, objects=objects))
        results = {step.object: await session.execute(step, StepContext()) for step in planned.steps}
        return results, await session.facts(Operation.CHECK)


def skip_unless_tables_are_checked(database: Database) -> None:
    if database.major < 14:
        pytest.skip("before PostgreSQL 14 amcheck checks no tables, and damage that no index leads to is not seen")


@pytest.mark.parametrize("damage", TABLES)
async def test_what_is_damaged_in_a_table_is_a_finding_that_names_it(damaged: Database, damage: str) -> None:
    if damage == "infomask":
        skip_unless_tables_are_checked(damaged)
    make_table(damaged, "item")
    do_damage(damaged, {"'item'": TABLES[damage]})
    results, facts = await check(damaged, CheckLevel.FULL, "item")
    assert facts["damaged_tables"] == ("public.item",)
    assert (facts["damaged_indexes"], facts["complete"]) == ((), True)
    assert str(facts["damage"]).startswith("public.item: ")
    assert all(result.findings for result in results.values() if result.status is Status.FAILED)
    assert "pg_surgery" in str(facts["remedy"])


@pytest.mark.parametrize("damage", INDEXES)
async def test_what_is_damaged_in_an_index_is_a_finding_that_names_it(damaged: Database, damage: str) -> None:
    make_table(damaged, "item")
    do_damage(damaged, {"'item_pkey'": INDEXES[damage]})
    for level in CheckLevel:
        results, facts = await check(damaged, level, "item")
        assert (facts["damaged_tables"], facts["damaged_indexes"]) == ((), ("public.item_pkey",))
        (finding,) = results["public.item_pkey"].findings
        assert finding.startswith("public.item_pkey: ")
        assert str(facts["remedy"]).startswith("Run reindex")


async def test_a_library_that_is_not_installed_is_no_damage(damaged: Database) -> None:
    make_table(damaged, "item")
    damaged("UPDATE pg_proc SET probin = '$libdir/gone' WHERE probin = '$libdir/amcheck'")
    results, facts = await check(damaged, CheckLevel.FULL, "item")
    assert {result.status for result in results.values()} == {Status.FAILED}
    assert not any(result.findings for result in results.values())
    assert (facts["damaged_tables"], facts["damaged_indexes"], facts["complete"]) == ((), (), False)
    assert all("could not access" in str(result.error) for result in results.values())


async def test_a_table_that_has_lost_its_end_is_told(damaged: Database) -> None:
    skip_unless_tables_are_checked(damaged)
    for name in ("item", "long", "well"):
        make_table(damaged, name)
    do_damage(damaged, {"'item'": harm.cut_off(5), harm.TOAST.replace("{0}", "long"): harm.cut_off(3)})
    results, facts = await check(damaged, CheckLevel.QUICK)
    told = [*results["public.item"].findings, *results["public.item"].warnings]
    assert " 5 pages, " in told[0]
    told = [*results["public.long"].findings, *results["public.long"].warnings]
    assert " 3 pages, " in told[0]
    assert facts["damaged_tables"] == ("public.item", "public.long")
    assert not results["public.well"].warnings
    assert not results["pg_catalog.pg_class"].warnings


async def test_a_count_of_pages_that_a_dump_brought_along_is_no_damage(damaged: Database) -> None:
    if damaged.major < 18:
        pytest.skip("PostgreSQL 18 is the first to import statistics")
    damaged("CREATE TABLE item (a int)", "INSERT INTO item SELECT generate_series(1, 1000)")
    brought = "'schemaname', 'public', 'relname', 'item', 'relpages', 5000::int, 'reltuples', 90000::real"
    damaged(f"SELECT pg_restore_relation_stats({brought})")
    async with connected(damaged.url) as session:
        assert not await session.seen_damage()
    results, facts = await check(damaged, CheckLevel.QUICK, "item")
    assert facts["damaged_tables"] == ()
    assert "5,000 when they were last counted" in results["public.item"].warnings[0]
    damaged("ANALYZE item")
    do_damage(damaged, {"'item'": harm.cut_off(2)})
    async with connected(damaged.url) as session:
        assert [one.object for one in await session.seen_damage()] == ["public.item"]


@pytest.mark.parametrize("major", sorted(every_server()))
async def test_r31_after_a_crash_a_short_file_is_damage_and_a_count_that_a_dump_brought_along_is_none(
    major: int,
) -> None:
    with running_server(every_server()[major], checksums=False) as server, new_database(server) as database:
        for name in ("item", "bloated"):
            make_table(database, name)
        database("DELETE FROM bloated WHERE id % 3 > 0", "VACUUM ANALYZE bloated")
        if major >= 18:
            dump = [str(server.binaries / "pg_dump"), "--statistics", database.url]
            text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
            with new_database(server) as copy:
                psql = [str(server.binaries / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", copy.url]
                subprocess.run(psql, input=text, capture_output=True, text=True, check=True)
                assert copy.value("SELECT relpages > pg_relation_size(oid) / 8192 FROM pg_class"
                                  " WHERE relname = 'bloated'")  # fmt: skip
                async with connected(copy.url) as session:
                    assert not await session.seen_damage()
        crash(database)
        async with connected(database.url) as session:
            assert not await session.seen_damage()
        do_damage(database, {"'item'": harm.cut_off(5)})
        crash(database)
        async with connected(database.url) as session:
            (lost,) = await session.seen_damage()
        assert (lost.object, lost.is_loss) == ("public.item", True)
        assert ("or a restored dump" in lost.text) is (major >= 18)


async def test_what_is_refused_as_it_is_damaged_leaves_no_connection(damaged: Database, store_path: Path) -> None:
    make_table(damaged, "item")
    damaged("VACUUM ANALYZE item")
    do_damage(damaged, {"'item'": harm.cut_off(5)})
    with warnings.catch_warnings(record=True, action="always", category=ResourceWarning) as left:
        async with Engine.open(store_path, workers=1) as engine:
            options = Options(objects=("item",), jobs=2)
            (job,) = await engine.submit([Request(target=damaged.url, operations=(Operation.VACUUM,), options=options)])
            ((vacuum,),) = [one.children for one in await engine.wait([job.id])]
            assert vacuum.reason is Reason.DAMAGED
        gc.collect()
    assert not left


async def test_r31_what_was_never_checked_is_checked_before_it_is_written_to(
    database: Database, store_path: Path
) -> None:
    make_table(database, "item")
    database("CREATE EXTENSION amcheck", "VACUUM ANALYZE item", "DELETE FROM item WHERE id % 2 = 0")
    usual = Request(target=database.url, operations=(Operation.OPTIMIZE, Operation.CHECK))
    async with Engine.open(store_path, workers=1) as engine:
        request = needed(usual, await engine.advise(database.url))
        assert request is not None
        assert request.operations == (Operation.CHECK, Operation.OPTIMIZE)
        assert not (await engine.plan(request)).is_unchecked


def crash(database: Database) -> None:
    """Which resets the statistics of the server."""
    database("CHECKPOINT")
    database.server.stop(signal.SIGQUIT)
    database.server.start()
    database.reconnect()


async def test_a_check_looks_also_at_what_other_operations_leave_out(damaged: Database) -> None:
    for name in ("item", "well"):
        make_table(damaged, name)
    do_damage(damaged, {"'item'": TABLES["junk"]})
    options = Options(leave_out=("public.item",))
    async with connected(damaged.url) as session:
        analyzed = await session.plan(Operation.ANALYZE, options)
        checked = await session.plan(Operation.CHECK, Options())
        for step in checked.steps:
            await session.execute(step, StepContext())
        facts = await session.facts(Operation.CHECK)
    tables = {"public.item", "public.well"} if damaged.major >= 14 else set()
    assert {"public.item_pkey", "public.well_pkey", *tables} <= {step.object for step in checked.steps}
    asked = await inspector.plan(Request(target=damaged.url, operations=(Operation.CHECK,), options=options))
    assert [step.object for step in asked.operations[0].steps] == [step.object for step in checked.steps]
    assert {step.object for step in analyzed.steps} & {"public.item", "public.well"} == {"public.well"}
    assert (facts["damaged_tables"], facts["complete"]) == (("public.item",), True)


async def test_an_index_that_lacks_rows_is_damaged_and_not_its_table(damaged: Database) -> None:
    make_table(damaged, "item")
    damaged(
        "CREATE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
        "CREATE INDEX item_upside ON item (public.upside(id))",
        "CREATE OR REPLACE FUNCTION public.upside(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'",
    )
    _, facts = await check(damaged)
    assert (facts["damaged_tables"], facts["damaged_indexes"]) == ((), ("public.item_upside",))


async def test_damage_in_toast_is_of_its_table_and_in_an_index_of_toast_of_that(damaged: Database) -> None:
    skip_unless_tables_are_checked(damaged)
    for name in ("heap", "lost", "tree"):
        make_table(damaged, name)
    toast_index = damaged.value("SELECT " + harm.TOAST_INDEX.replace("{0}", "tree") + "::text")
    do_damage(
        damaged,
        {
            harm.TOAST.replace("{0}", "heap"): harm.in_page(1, 10, b"\xff" * 8),
            harm.TOAST.replace("{0}", "lost"): harm.in_page(2, 0, bytes(harm.PAGE)),
            harm.TOAST_INDEX.replace("{0}", "tree"): harm.in_page(1, 16),
        },
    )
    results, facts = await check(damaged)
    assert (facts["damaged_tables"], facts["damaged_indexes"]) == (("public.heap", "public.lost"), (toast_index,))
    assert str(facts["damage"]).startswith("TOAST of public.heap: ")
    assert results["public.lost"].findings[0].startswith("public.lost: block ")
    assert results["public.tree"].status is Status.COMPLETED
    (warning,) = results["public.tree"].warnings
    assert warning.startswith("public.tree was not")


async def test_a_page_whose_checksum_is_wrong_is_a_finding(postgres: PostgresServer) -> None:
    server = PostgresServer(postgres.binaries, checksums=True)
    try:
        server.start()
        with new_database(server) as database:
            database("CREATE EXTENSION amcheck")
            make_table(database, "item")
            make_table(database, "other")
            do_damage(database, {"'item'": harm.in_page(3, 4000), "'other_pkey'": harm.in_page(1, 5000)})
            _, facts = await check(database)
            assert (facts["damaged_tables"], facts["damaged_indexes"]) == (("public.item",), ("public.other_pkey",))
    finally:
        server.discard()


@pytest.mark.parametrize("older", [False, True], ids=["as it comes", "of an older server"])
async def test_that_tables_are_not_checked_is_told_with_what_to_do(database: Database, *, older: bool) -> None:
    make_table(database, "item")
    database("CREATE EXTENSION amcheck" + " VERSION '1.2'" * older)
    async with connected(database.url) as session:
        checked = await session.plan(Operation.CHECK, Options(objects=("item",)))
        of_index = await session.plan(Operation.CHECK, Options(objects=("item_pkey",)))
        results = [await session.execute(step, StepContext()) for step in checked.steps]
    assert {result.status for result in results} == {Status.COMPLETED}
    told = ""
    if database.major < 14:
        told = "only B-trees are checked, not tables: that needs PostgreSQL 14 or newer"
    elif older:
        told = (
            "only B-trees are checked, not tables: the amcheck of this database is that of an older server."
            " As a superuser: ALTER EXTENSION amcheck UPDATE;"
        )
    assert checked.warnings == ((told,) if told else ())
    assert ("public.item" in {step.object for step in checked.steps}) is not bool(told)
    assert of_index.warnings == ()


async def test_what_is_no_damage_is_no_finding(damaged: Database) -> None:
    make_table(damaged, "item")
    make_table(damaged, "other")
    async with connected(damaged.url, lock_timeout=0.2) as session:
        planned = await session.plan(Operation.CHECK, Options(objects=("item", "other")))
        damaged("DROP TABLE other")
        with damaged.session("LOCK TABLE item IN ACCESS EXCLUSIVE MODE"):
            results = {step.object: await session.execute(step, StepContext()) for step in planned.steps}
        facts = await session.facts(Operation.CHECK)
    assert {result.findings for result in results.values()} == {()}
    for of_table in ("", "_pkey") if damaged.major >= 14 else ("_pkey",):
        assert results[f"public.item{of_table}"].reason is Reason.TARGET_BUSY
        assert results[f"public.other{of_table}"].status is Status.SKIPPED
    assert (facts["findings"], facts["complete"]) == (0, False)


async def test_a_damaged_catalog_is_told_as_damage_by_every_look(damaged: Database) -> None:
    make_table(damaged, "item")
    async with connected(damaged.url) as session:
        await session.plan(Operation.CHECK, Options())
    do_damage(damaged, {"'pg_catalog.pg_extension'": harm.in_page(0, 10, b"\xff" * 8)})
    async with connected(damaged.url) as session:
        with pytest.raises(TargetDamagedError, match="catalog"):
            await session.plan(Operation.CHECK, Options())


async def test_names_that_are_hard_to_quote_are_checked(damaged: Database) -> None:
    for name in ("a b", "it's", "back\\slash", 'quo"te', "Snow☃"):
        damaged(
            "CREATE TABLE {} (id int PRIMARY KEY, long text)".format(qualified("public", name)),
            "INSERT INTO {} VALUES (1, repeat('x', 100000))".format(qualified("public", name)),
        )
    for off in ("on", "off") if damaged.major < 19 else ("on",):  # 19 has no others
        damaged(f"ALTER DATABASE {damaged.name} SET standard_conforming_strings = {off}")
        results, facts = await check(damaged)
        assert {result.status for result in results.values()} == {Status.COMPLETED}
        assert facts["complete"] is True


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.REINDEX, Operation.OPTIMIZE])
async def test_only_damage_of_the_tables_of_a_request_is_told(database: Database, operation: Operation) -> None:
    for name in ("bad", "well"):
        database(f"CREATE TABLE {name} (id int PRIMARY KEY)", f"INSERT INTO {name} SELECT generate_series(1, 1000)")
    kind, source = known.DamagedKind.TABLE, known.DamageSource.CHECK
    damage = known.Damage(object="public.bad", kind=kind, source=source, found_at=0, text="its pages are torn")
    past = with_damage(TargetHistory(now=0), [damage])
    for objects, is_told in ((("well",), False), (("well", "bad"), True), ((), True)):
        options = Options(objects=objects)
        plan = await inspector.plan(Request(target=database.url, operations=(operation,), options=options), past)
        (planned,) = plan.operations
        warnings = [*plan.warnings, *planned.warnings]
        assert any("public.bad" in text for text in warnings) == is_told, objects
        assert not any(step.object == "public.bad" for step in planned.steps)


async def checked(engine: Engine, database: Database, *objects: str) -> dict[str, str]:
    """What is known to be damaged after a quick check: the kind of each object."""
    options = Options(check=CheckLevel.QUICK, objects=objects)
    (job,) = await engine.submit([Request(target=database.url, operations=(Operation.CHECK,), options=options)])
    await engine.wait([job.id])
    return {one.object: one.kind.value for one in await engine.known_damage(database.url)}


async def test_r31_a_check_that_did_not_read_a_damaged_table_does_not_end_its_damage(
    damaged: Database, store_path: Path
) -> None:
    skip_unless_tables_are_checked(damaged)
    for name in ("item", "bare"):
        make_table(damaged, name)
        do_damage(damaged, {f"'{name}'": TABLES["header"]})
    damaged("ALTER TABLE bare DROP CONSTRAINT bare_pkey")
    async with Engine.open(store_path, workers=1) as engine:
        both = {"public.item": "table", "public.bare": "table"}
        assert await checked(engine, damaged) == both
        assert await checked(engine, damaged, "item_pkey") == both
        damaged("DROP EXTENSION amcheck", "CREATE EXTENSION amcheck VERSION '1.2'")  # which checks no table
        assert await checked(engine, damaged) == both
