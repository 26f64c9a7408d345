"""The sessions that an operation would wait for: those that hold a lock, or an old snapshot."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted, span
from engine.targets.postgres.connection.names import shown
from engine.targets.postgres.queries import query
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
    rows = await reader.rows(
        query("lock_holders"), [list(CONFLICTS[conflict_level]), list(tables), older_than], row=row
    )
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


async def oldest_writer(reader: Reader, seconds: float) -> str:
    """The oldest transaction of the whole server that has written, in words; "" where all are younger.

    Raises TargetError.
    """
    oldest = await _oldest(reader, query("oldest_writer"), seconds)
    waits = "REPACK waits for it before it begins; that wait blocks no reads or writes"
    return f"{oldest} has written something, in whichever database: {waits}" if oldest else ""


async def oldest_snapshot(reader: Reader, seconds: float, limit: str) -> str:
    """The oldest in words, with what comes of it; "" where all are younger. `limit`: for how long a rebuild waits.

    Raises TargetError.
    """
    oldest = await _oldest(reader, query("oldest_transaction", of_snapshot=True), seconds)
    waits = f"Each new index waits for that at its end, {limit}; that wait blocks no reads or writes"
    return f"{oldest} may still use the old indexes. {waits}" if oldest else ""


async def oldest_transaction(reader: Reader, seconds: float, limit: str) -> str:
    """The oldest of the database in words; "" where all are younger. `limit`: for how long pg_repack waits for it.

    Raises TargetError.
    """
    oldest = await _oldest(reader, query("oldest_transaction", of_snapshot=False), seconds)
    waits = f"pg_repack waits for that after its copy, {limit}; that wait blocks no reads or writes"
    return f"{oldest} may still read the old table. {waits}" if oldest else ""


async def _oldest(reader: Reader, query: str, seconds: float) -> str:
    rows = await reader.rows(query, [seconds], row=(int | None, str, float, int), most=1)
    if not rows:
        return ""
    ((pid, who, age, number),) = rows
    first = prepared_text(who, age) if pid is None else f"pid {pid} ({who} for {span(age)})"
    return first + (f" and {counted(number - 1, 'other')}" if number > 1 else "")
