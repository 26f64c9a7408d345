"""The sessions that an operation would wait for: those that hold a lock, or an old snapshot."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted, span
from engine.targets.postgres.connection.names import shown
from engine.targets.postgres.reading.reader import Reader


@frozen
class Blockers:
    """The sessions that hold the lock which a step waits for."""

    text: str
    transactions: str = ""
    """The holders by what their transactions do: `pid 4711, SELECT for 9s (psql, ann)`."""


NO_BLOCKERS: Final = Blockers("")
_WITH_WRITERS: Final = (
    "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_WITH_MAINTENANCE: Final = (
    "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_WITH_EVERYBODY: Final = (*_WITH_MAINTENANCE, "RowExclusiveLock", "RowShareLock", "AccessShareLock")
OF_MODE: Final = {
    "ShareUpdateExclusiveLock": _WITH_MAINTENANCE,
    "ShareLock": _WITH_WRITERS,
    "AccessExclusiveLock": _WITH_EVERYBODY,
}
"""The modes that block each lock mode of maintenance."""
CONFLICTS: Final = {"maintenance": _WITH_MAINTENANCE, "writers": _WITH_WRITERS, "everybody": _WITH_EVERYBODY}
"""The lock modes that block an operation, by the sessions that it conflicts with."""
# Only until the server restarts it is that of the session which has prepared it, and the lock on its own xid tells it.
PREPARED: Final = """
SELECT own.virtualtransaction, quote_literal(x.gid) AS name,
    extract(epoch FROM clock_timestamp() - x.prepared)::float8 AS seconds
FROM pg_prepared_xacts AS x JOIN pg_locks AS own
    ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.granted AND own.transactionid = x.transaction
"""
"""By the virtualtransaction that their locks have in pg_locks, where they have no pid."""
_HOLDERS: Final = f"""
SELECT DISTINCT ON (l.pid, p.name) l.pid,
    concat_ws(', ', nullif(a.application_name, ''), a.usename, coalesce(a.state, a.backend_type, 'of another role')),
    p.name, p.seconds, n.nspname, c.relname, count(*) OVER (PARTITION BY l.pid, p.name)
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN ({PREPARED}) AS p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.granted AND l.mode = ANY (%s) AND l.relation = ANY (%s::oid[])
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (a.pid <> pg_backend_pid() AND coalesce(a.application_name, '') !~ '^dbtend '
        AND coalesce(a.xact_start <= clock_timestamp() - make_interval(secs => %s), true) OR p.name IS NOT NULL)
ORDER BY l.pid, p.name LIMIT 4
"""


async def holders(reader: Reader, conflict_level: str, tables: Collection[int], *, older_than: float) -> str:
    """The lock holders as text; "" for none. Raises TargetError.

    Args:
        conflict_level: a key of CONFLICTS.
        older_than: seconds; younger transactions will soon be over.
    """
    texts = [
        f"{who} holds a lock on {table}" + (f" and {counted(number - 1, 'lock')} more" if number > 1 else "")
        for who, table, number in await _holders(reader, conflict_level, tables, older_than)
    ]
    return "; ".join(texts)


async def names_of_holders(reader: Reader, conflict_level: str, tables: Collection[int]) -> str:
    """The names of the sessions that hold such locks, without what they hold."""
    return ", ".join(who for who, _, _ in await _holders(reader, conflict_level, tables, 0.0))


async def _holders(
    reader: Reader, conflict_level: str, tables: Collection[int], older_than: float
) -> list[tuple[str, str, int]]:
    """Who, the table, and how many locks."""
    row = (int | None, str, str | None, float | None, str, str, int)
    rows = await reader.rows(_HOLDERS, [list(CONFLICTS[conflict_level]), list(tables), older_than], row=row)
    return [
        (f"pid {pid} ({who})" if name is None else prepared_text(name, seconds), shown(schema, table), number)
        for pid, who, name, seconds, schema, table, number in rows
    ]


def prepared_text(literal: str, seconds: float) -> str:
    """A prepared transaction: it has no session, and holds locks until it is ended by hand.

    `literal`: its name as SQL takes it. `seconds`: how long ago it was prepared.
    """
    ends = "COMMIT PREPARED or ROLLBACK PREPARED ends it"
    return f"prepared transaction {literal} (prepared {span(seconds)} ago: {ends})"


_OLDEST: Final = """
SELECT pid, concat_ws(', ', nullif(application_name, ''), usename, state),
    extract(epoch FROM clock_timestamp() - xact_start)::float8, count(*) OVER ()
FROM pg_stat_activity
WHERE datname = current_database() AND {these} AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND coalesce(application_name, '') !~ '^dbtend '
    AND xact_start < clock_timestamp() - make_interval(secs => %s)
ORDER BY xact_start LIMIT 1
"""
_OLDEST_SNAPSHOT: Final = _OLDEST.format(these="backend_xmin IS NOT NULL")
_OLDEST_TRANSACTION: Final = _OLDEST.format(these="true")
_WRITES_FOR: Final = """
SELECT pid, who, seconds, count(*) OVER ()
FROM (
    SELECT pid, concat_ws(', ', nullif(application_name, ''), usename, state),
        extract(epoch FROM clock_timestamp() - xact_start)::float8
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL SELECT NULL, quote_literal(gid), extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts) AS one (pid, who, seconds)
WHERE seconds > %s ORDER BY seconds DESC LIMIT 1
"""


async def oldest_writer(reader: Reader, seconds: float) -> str:
    """The oldest transaction of the whole server that has written, in words; "" where all are younger.

    Raises TargetError.
    """
    oldest = await _oldest(reader, _WRITES_FOR, seconds)
    waits = "REPACK waits for it before it begins; that wait blocks no reads or writes"
    return f"{oldest} has written something, in whichever database: {waits}" if oldest else ""


async def oldest_snapshot(reader: Reader, seconds: float, limit: str) -> str:
    """The oldest in words, with what comes of it; "" where all are younger. `limit`: for how long a rebuild waits.

    Raises TargetError.
    """
    oldest = await _oldest(reader, _OLDEST_SNAPSHOT, seconds)
    waits = f"Each new index waits for that at its end, {limit}; that wait blocks no reads or writes"
    return f"{oldest} may still use the old indexes. {waits}" if oldest else ""


async def oldest_transaction(reader: Reader, seconds: float, limit: str) -> str:
    """The oldest of the database in words; "" where all are younger. `limit`: for how long pg_repack waits for it.

    Raises TargetError.
    """
    oldest = await _oldest(reader, _OLDEST_TRANSACTION, seconds)
    waits = f"pg_repack waits for that after its copy, {limit}; that wait blocks no reads or writes"
    return f"{oldest} may still read the old table. {waits}" if oldest else ""


async def _oldest(reader: Reader, query: str, seconds: float) -> str:
    rows = await reader.rows(query, [seconds], row=(int | None, str, float, int), most=1)
    if not rows:
        return ""
    ((pid, who, age, number),) = rows
    first = prepared_text(who, age) if pid is None else f"pid {pid} ({who} for {span(age)})"
    return first + (f" and {counted(number - 1, 'other')}" if number > 1 else "")
