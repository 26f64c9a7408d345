"""Tables and indexes as the catalog has them, on a real server."""

from __future__ import annotations

import pytest

from engine.domain.requests import Operation, Options, ServerOptions
from engine.targets.plans import OperationPlan
from tests.engine.targets.server_session import connected, plan
from tests.postgres_databases import Database

# As after pg_restore: what was made while a table was empty says that it is.
RESTORED = (
    "CREATE TABLE kept (id int PRIMARY KEY, note text)",
    "ALTER TABLE kept ALTER note SET STORAGE EXTERNAL",
    "INSERT INTO kept SELECT g, repeat('x', 3000) FROM generate_series(1, 2000) AS g",
    "CREATE TABLE small (id int PRIMARY KEY)",
    "INSERT INTO small VALUES (1)",
    "VACUUM ANALYZE small",
)
ALL = "SELECT pg_table_size('kept') - pg_relation_size('kept', 'fsm') + pg_indexes_size('kept')"
PUBLIC = ServerOptions(schemas=("public",))


def disk_needed(planned: OperationPlan) -> dict[str, int | None]:
    return {step.object: step.disk_needed for step in planned.steps}


async def test_trap_what_was_never_vacuumed_nor_analyzed_is_not_small(database: Database) -> None:
    database(*RESTORED)
    planned = await plan(database.url, Operation.VACUUM_FULL, PUBLIC)
    assert [step.object for step in planned.steps] == ["public.kept", "public.small"]
    # Without the index of its TOAST table, and what small files there are besides.
    assert int(disk_needed(planned)["public.kept"] or 0) > 0.95 * database.value(ALL)
    toast = database.value("SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'kept'")
    planned = await plan(database.url, Operation.REINDEX, PUBLIC)
    for index in ("public.kept_pkey", f"{toast}_index"):
        assert disk_needed(planned)[index] == database.value(f"SELECT pg_relation_size('{index}')")
    for operation in (Operation.VACUUM, Operation.ANALYZE):
        assert (await plan(database.url, operation, PUBLIC)).steps[0].object == "public.kept"


@pytest.mark.parametrize("after", ["SELECT 1", "SELECT pg_stat_reset()"], ids=["counted", "forgotten"])
async def test_trap_what_was_filled_since_it_was_vacuumed_empty_is_not_small(database: Database, after: str) -> None:
    table, external, rows, *_ = RESTORED
    database(table, external, "VACUUM kept", rows)
    database(after)
    planned = await plan(database.url, Operation.VACUUM_FULL, PUBLIC)
    assert int(disk_needed(planned)["public.kept"] or 0) > 0.95 * database.value(ALL)


async def test_what_is_needed_is_of_its_real_size_too(database: Database) -> None:
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'kept_plain'::regclass"
    database(RESTORED[0], "CREATE INDEX kept_plain ON kept (id)", *RESTORED[1:], invalid)
    planned = await plan(database.url, Operation.OPTIMIZE, PUBLIC)
    assert disk_needed(planned)["public.kept_plain"] == database.value("SELECT pg_relation_size('kept_plain')")


async def test_a_mere_look_does_not_wait_for_who_has_locked_a_table(database: Database) -> None:
    database(*RESTORED, "CREATE TABLE other AS SELECT g FROM generate_series(1, 20000) AS g")
    with database.session("LOCK TABLE kept IN ACCESS EXCLUSIVE MODE"):
        async with connected(database.url, lock_timeout=600) as session:
            planned = await session.plan(Operation.VACUUM_FULL, Options(server=PUBLIC))
    needed = disk_needed(planned)
    assert needed["public.other"] == database.value("SELECT pg_relation_size('other')")
    assert "public.kept" in needed
