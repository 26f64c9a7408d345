"""The copy of a rewrite has room on the disk of the server, where that can be seen; what the log keeps is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.errors import ServerUnavailableError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets import disk_space
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import PlannedStep
from engine.targets.postgres.planning.repack_steps import log_warnings
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading.repack import Surroundings
from engine.targets.postgres.reading.server_disks import table_copies
from engine.targets.step_execution import StepContext
from tests.engine.targets.server_session import connected, plan
from tests.postgres_databases import Database

FULL = (
    "CREATE TABLE item (id int PRIMARY KEY, note text)",
    "INSERT INTO item SELECT g, repeat('x', 500) FROM generate_series(1, 4000) AS g",
    "VACUUM ANALYZE item",
)
ROOM = 1_000_000
"""Bytes that are kept free in any case."""


def bytes_of(steps: Sequence[PlannedStep]) -> Mapping[str, int]:
    return {need.directory: need.bytes for step in steps for need in step.needs}


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """From now on each file system has so many bytes free."""
    monkeypatch.setattr(disk_space, "free_bytes", lambda directory: free)


async def test_the_directory_of_the_server_is_asked(database: Database) -> None:
    database(*FULL)
    (step,) = (planned := await plan(database.url, Operation.VACUUM_FULL)).steps
    directory = database.value("SHOW data_directory")
    size = database.value("SELECT pg_total_relation_size('item')")
    assert bytes_of(planned.steps)[directory] == pytest.approx(size, rel=0.05)
    free = os.statvfs(directory)
    assert step.disk_free == pytest.approx(free.f_bavail * free.f_frsize, rel=0.5)


@pytest.mark.parametrize("operation", [Operation.VACUUM_FULL, Operation.CLUSTER])
async def test_a_copy_that_does_not_fit_is_refused_and_force_overrides_that(
    database: Database, monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    database(*FULL, "ALTER TABLE item CLUSTER ON item_pkey")
    with_free(monkeypatch, ROOM)
    refused = str((await plan(database.url, operation)).refused)
    assert "for the copy of public.item" in refused
    assert "--force" in refused
    forced = await plan(database.url, operation, force=True)
    assert (forced.refused, len(forced.steps)) == (None, 1)
    assert "for the copy of public.item" in " ".join(forced.warnings)


async def test_of_several_only_what_fits_is_planned(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database(*FULL, "CREATE TABLE small (id int)")
    with_free(monkeypatch, ROOM + 100_000)
    planned = await plan(database.url, Operation.VACUUM_FULL)
    assert [step.object for step in planned.steps] == ["public.small"]
    assert "left out: public.item" in " ".join(planned.warnings)


async def test_the_copy_is_as_large_as_the_live_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database(*FULL, "DELETE FROM item WHERE id % 10 <> 0", "VACUUM ANALYZE item")
    size = database.value("SELECT pg_total_relation_size('item')")
    planned = await plan(database.url, Operation.VACUUM_FULL)
    assert sum(bytes_of(planned.steps).values()) * 4 < size


async def test_the_dead_space_of_a_toast_table_is_not_copied_unless_it_was_filled_since(database: Database) -> None:
    """What VACUUM found free may be full again: the file is as long as before."""
    database("CREATE TABLE doc (id int PRIMARY KEY, note text)", "ALTER TABLE doc SET (autovacuum_enabled = off)")
    fill = "INSERT INTO doc SELECT g, repeat(md5(g::text), 200) FROM generate_series({}, {}) AS g"
    database("ALTER TABLE doc ALTER note SET STORAGE EXTERNAL", fill.format(1, 1000))
    database("DELETE FROM doc WHERE id % 10 <> 0", "VACUUM ANALYZE doc")
    size = database.value("SELECT pg_total_relation_size('doc')")
    assert sum(bytes_of((await plan(database.url, Operation.VACUUM_FULL)).steps).values()) * 4 < size
    database(fill.format(1001, 1900))
    assert database.value("SELECT pg_total_relation_size('doc')") == pytest.approx(size, rel=0.1)
    again = await plan(database.url, Operation.VACUUM_FULL)
    assert sum(bytes_of(again.steps).values()) == pytest.approx(size, rel=0.1)


async def test_what_was_written_since_the_last_vacuum_counts(database: Database) -> None:
    database("CREATE TABLE item (id int PRIMARY KEY, note text)", "ALTER TABLE item SET (autovacuum_enabled = off)")
    database("INSERT INTO item SELECT g, 'x' FROM generate_series(1, 100) AS g", "VACUUM ANALYZE item")
    database("INSERT INTO item SELECT g, repeat('x', 500) FROM generate_series(101, 4000) AS g")
    planned = await plan(database.url, Operation.VACUUM_FULL)
    size = database.value("SELECT pg_total_relation_size('item')")
    assert sum(bytes_of(planned.steps).values()) == planned.steps[0].disk_needed == pytest.approx(size, rel=0.05)
    with database.session("LOCK item"):
        assert sum(bytes_of((await plan(database.url, Operation.VACUUM_FULL)).steps).values()) > 0


async def test_a_tablespace_has_a_disk_of_its_own(database: Database) -> None:
    place = Path(database.server.base) / "fast"
    place.mkdir()
    owner = Path(database.value("SHOW data_directory")).stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    database(f"CREATE TABLESPACE fast LOCATION '{place}'")
    try:
        database(*FULL, "ALTER INDEX item_pkey SET TABLESPACE fast", "VACUUM ANALYZE item")
        found = bytes_of((await plan(database.url, Operation.VACUUM_FULL)).steps)
        assert found[str(place)] == database.value("SELECT pg_relation_size('item_pkey')")
    finally:
        database("DROP TABLE item", "DROP TABLESPACE fast")


async def test_a_disk_that_fills_up_before_a_step_is_seen(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database(*FULL)
    async with connected(database.url) as session:
        (step,) = (await session.plan(Operation.VACUUM_FULL, Options())).steps
        with_free(monkeypatch, ROOM)
        result = await session.execute(step, StepContext())
    assert (result.status, result.reason, result.left) == (Status.FAILED, Reason.REFUSED, "nothing changed")


async def test_what_a_slot_keeps_of_the_log_needs_room_too(database: Database) -> None:
    database(*FULL, "SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        planned = await plan(database.url, Operation.VACUUM_FULL)
    finally:
        database("SELECT pg_drop_replication_slot('forgotten')")
    assert [need.what for step in planned.steps for need in step.needs][-1] == "the write-ahead log, which a slot keeps"
    assert "inactive replication slots keep about" in " ".join(planned.warnings)


async def test_a_connection_that_ends_before_the_disk_is_asked_for_is_an_error_of_the_target(
    database: Database,
) -> None:
    database(*FULL)
    async with connected(database.url) as session:
        tables = await session._reader.tables()
        database("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^dbtend'")
        with pytest.raises(ServerUnavailableError):
            await table_copies(session._reader, tables, {}, None)


async def test_who_may_not_ask_for_the_directory_plans_without_it_by_the_sizes_of_files(database: Database) -> None:
    database("CREATE ROLE joe_d LOGIN", "CREATE TABLE item AS SELECT 1 AS id", "ALTER TABLE item OWNER TO joe_d")
    database("VACUUM ANALYZE item", "INSERT INTO item SELECT generate_series(1, 100000)")
    (step,) = (await plan(database.as_user("joe_d"), Operation.VACUUM_FULL)).steps
    assert (step.needs, step.disk_free) == ((), None)
    assert step.disk_needed == database.value("SELECT pg_table_size('item')")


async def test_fewer_run_at_once_where_the_copies_of_more_do_not_fit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(*FULL, "CREATE TABLE other AS TABLE item", "VACUUM ANALYZE other")
    with_free(monkeypatch, ROOM + 3_500_000)
    planned = await plan(database.url, Operation.VACUUM_FULL, jobs=2)
    assert (planned.parallel, len(planned.steps)) == (1, 2)


def test_the_lag_of_the_slowest_replica_is_told() -> None:
    around = Surroundings([], 2, 3 * 1024**3, None, 5, None)
    step = PgStep(object="public.item", command="REPACK public.item", reason="", lock=NO_LOCK, method=Method.REPACK)
    (warning,) = log_warnings([step], around)
    assert warning.startswith("2 replicas will have to receive up to")
    assert "the slowest is 3.22 GB behind" in warning
    assert "behind" not in log_warnings([step], replace(around, lag=1000))[0]
    assert log_warnings([], around) == []


async def test_what_does_not_fit_counts_as_left_out_named_or_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(*FULL, "CREATE TABLE small (id int)")
    with_free(monkeypatch, ROOM + 100_000)
    named = await plan(database.url, Operation.VACUUM_FULL, objects=("item", "small"))
    assert ([step.object for step in named.steps], named.left_out) == (["public.small"], 1)
    forced = await plan(database.url, Operation.VACUUM_FULL, objects=("item", "small"), force=True)
    assert (len(forced.steps), forced.left_out) == (2, 0)
    assert (await plan(database.url, Operation.VACUUM_FULL)).left_out == 1


@pytest.mark.parametrize(("objects", "left_out"), [(("item", "meeting"), 1), ((), 0)])
async def test_a_named_index_that_cannot_be_rebuilt_counts_as_left_out(
    database: Database, objects: tuple[str, ...], left_out: int
) -> None:
    database(*FULL, "CREATE TABLE meeting (during tsrange, EXCLUDE USING gist (during WITH &&))")
    planned = await plan(database.url, Operation.REINDEX, objects=objects)
    assert [step.object for step in planned.steps if "item" in step.object]
    assert planned.left_out == left_out
