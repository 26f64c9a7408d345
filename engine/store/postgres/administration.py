"""Making a shared store, and checking it: whether it is reached, works, and holds what it must."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

import psycopg

from engine.domain.errors import StoreError
from engine.domain.store_reports import Invariant, StoreCheck, StoreMade
from engine.store.postgres import roles, schema
from engine.store.postgres.connections import Connection, answers, connected, store_error
from engine.store.postgres.foreign_objects import foreign_objects
from engine.store.postgres.queries import LIVES, has_namesake
from engine.system.host import host_name, machine_id

ROUND_TRIPS: Final = 9
_OWNER: Final = """SELECT rolname::text, rolsuper FROM pg_namespace JOIN pg_roles AS r ON r.oid = nspowner
WHERE nspname = 'dbtend'"""
_FACTS: Final = f"""SELECT current_setting('server_version'), current_database(), pg_database_size(current_database()),
    session_user::text, (SELECT count(*) FROM parent_job), (SELECT count(*) FROM parent_job WHERE finished_at IS NULL),
    (SELECT count(*) FROM event), (SELECT count(*) FROM worker AS w WHERE {LIVES}),
    (SELECT count(*) FROM worker AS w WHERE NOT {LIVES} AND (
        EXISTS (SELECT FROM child_job WHERE owner = w.id)
        OR EXISTS (SELECT FROM child_job WHERE reserved_by = w.id AND finished_at IS NULL))),
    (SELECT count(*) FROM pg_stat_replication), CASE WHEN current_setting('synchronous_commit') NOT IN ('off', 'local')
        THEN current_setting('synchronous_standby_names') ELSE '' END,
    inet_server_addr() IS NULL, coalesce((SELECT max(source) FROM copied WHERE finished_at IS NULL), '')"""
_BROKEN: Final = {
    Invariant.RUNNING_HAS_WORKER: """SELECT count(*) FROM child_job
        WHERE status = 'running' AND NOT EXISTS (SELECT FROM worker WHERE id = owner)""",
    Invariant.DUE_IS_FIRST_OPEN: """SELECT count(*) FROM child_job AS c JOIN parent_job AS p ON p.id = c.parent_id
        WHERE p.finished_at IS NULL AND due IS DISTINCT FROM (c.status = 'pending' AND ordinal = (
            SELECT min(ordinal) FROM child_job AS o
            WHERE o.parent_id = c.parent_id AND o.status IN ('pending', 'running')))""",
    Invariant.PARENT_STATUS: """SELECT count(*) FROM parent_job AS p
        WHERE status <> (SELECT CASE
            WHEN bool_or(c.status IN ('pending', 'running'))
                THEN CASE WHEN bool_or(attempt > 0) THEN 'running' ELSE 'pending' END
            WHEN bool_or(c.status = 'failed') THEN 'failed' WHEN bool_or(c.status = 'cancelled') THEN 'cancelled'
            ELSE 'completed' END
            FROM child_job AS c WHERE c.parent_id = p.id)""",
    Invariant.EVENTS_WITHOUT_GAP: "SELECT coalesce(max(seq) - min(seq) + 1 - count(*), 0) FROM event",
    Invariant.RESERVED_FOR_RUN: """SELECT count(*) FROM child_job
        WHERE reserved_by IS NOT NULL AND finished_at IS NULL AND NOT EXISTS (
            SELECT FROM worker WHERE id = reserved_by)""",
}
"""How many rows break each rule: in one snapshot, as others go on writing."""


async def init(url: str) -> StoreMade:
    """Make the store, or upgrade and repair it. Raises StoreError."""
    async with connected(url, url, "dbtend store") as connection:
        try:
            before = await schema.migrate(connection, url)
            version = await schema.version_of(connection, url)
            missing = await roles.missing_roles(connection)
            owner, is_superuser = await _row(connection, _OWNER)
        except psycopg.Error as error:
            raise store_error(url, error) from None
    if version is None:
        raise StoreError(url, "was removed by another program at the same time", "try again")
    return StoreMade(
        version=version,
        earlier_version=before,
        owner=owner,
        owner_is_superuser=is_superuser,
        missing_roles=tuple(missing),
        roles_sql=roles.creation(missing),
    )


async def check(url: str) -> StoreCheck:
    """Look at everything that can be seen without a write. Raises StoreError where there is no store that works."""
    async with connected(url, url, "dbtend store") as connection:
        try:
            rights, _ = await schema.require_current(connection, url)
            await schema.require_usable(connection, url)
            return await _checked(connection, url, rights)
        except psycopg.Error as error:
            raise store_error(url, error) from None


async def _checked(connection: Connection, url: str, rights: frozenset[roles.Role]) -> StoreCheck:
    round_trip, offset = await _clock(connection)
    keepalives = await _keepalives(connection)
    version = await schema.version_of(connection, url)
    async with connection.transaction():
        await connection.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        facts = await _row(connection, _FACTS)
        (((has_one,),),) = await answers(connection, has_namesake(host_name(), machine_id()))
        broken = {rule: int((await _row(connection, query))[0]) for rule, query in _BROKEN.items()}
    server, database, size, user, jobs, open_jobs, events, workers, dead, standbys, waited_for, is_local, copied = facts
    missing = await roles.missing_roles(connection)
    owner, is_superuser = await _row(connection, _OWNER)
    return StoreCheck(
        server_version=server,
        database=database,
        size=size,
        user=user,
        owner=owner,
        owner_is_superuser=is_superuser,
        roles=tuple(role.value for role in roles.Role if role in rights),
        missing_roles=tuple(role.value for role in missing),
        roles_sql=roles.creation(missing),
        version=version or 0,
        keepalives=None if is_local else keepalives,
        standbys=standbys,
        synchronous_standbys=waited_for,
        round_trip=round_trip,
        clock_offset=offset,
        jobs=jobs,
        open_jobs=open_jobs,
        events=events,
        workers=workers,
        dead_workers=dead,
        unfinished_copy=copied,
        host=host_name(),
        has_namesake=has_one,
        broken=broken,
        foreign=await foreign_objects(connection),
    )


async def _clock(connection: Connection) -> tuple[float, float]:
    """The round trip, and how far the clock of this host is ahead, in seconds: of the fastest answer, so that the
    network counts least."""
    answers = []
    for _ in range(ROUND_TRIPS):
        asked, began = time.time(), time.perf_counter()
        (there,) = await _row(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")
        took = time.perf_counter() - began
        answers.append((took, asked + took / 2 - there))
    return statistics.median(took for took, _ in answers), min(answers)[1]


async def _keepalives(connection: Connection) -> bool:
    """Whether the server takes the settings that let it notice a host that is gone."""
    await connection.execute(b"SET tcp_keepalives_idle = 5")
    (idle,) = await _row(connection, "SELECT current_setting('tcp_keepalives_idle')")
    return bool(idle == "5")


async def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    cursor = await connection.execute(query.encode())
    return tuple(await cursor.fetchone() or ())
