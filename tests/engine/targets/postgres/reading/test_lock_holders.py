"""Who holds a lock that an operation would wait for."""

from __future__ import annotations

from engine.targets import resolve
from engine.targets.postgres.reading import locks
from engine.targets.postgres.session import PostgresSession
from tests.postgres_databases import Database


async def test_a_transaction_that_has_only_just_begun_is_no_warning(database: Database) -> None:
    database("CREATE TABLE item (id int)")
    item = database.value("SELECT 'item'::regclass::oid::int8")
    with database.session("LOCK TABLE item IN ACCESS SHARE MODE") as other:
        pid = other.info.backend_pid
        async with resolve(database.url).connect(lock_timeout=1) as session:
            assert isinstance(session, PostgresSession)
            assert await locks.holders(session._reader, "everybody", {item}, older_than=3_600) == ""
            told = await locks.holders(session._reader, "everybody", {item}, older_than=0)
    assert told.startswith(f"pid {pid} (")
