"""Who holds a lock now that an operation would have to wait for."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from engine.targets.postgres.connection.names import shown
from engine.words import counted

if TYPE_CHECKING:
    from engine.targets.postgres.reading.reader import Reader

_WITH_WRITERS: Final = (
    "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_WITH_MAINTENANCE: Final = (
    "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_WITH_EVERYBODY: Final = (*_WITH_MAINTENANCE, "RowExclusiveLock", "RowShareLock", "AccessShareLock")
CONFLICTS: Final = {
    "maintenance": _WITH_MAINTENANCE,
    "writers": _WITH_WRITERS,
    "everybody": _WITH_EVERYBODY,
}
"""The modes that a lock waits for, by whom the operation keeps out."""
_HOLDERS: Final = """
SELECT DISTINCT ON (a.pid) a.pid,
    concat_ws(', ', nullif(a.application_name, ''), a.usename, coalesce(a.state, a.backend_type, 'of another role')),
    n.nspname, c.relname, count(*) OVER (PARTITION BY a.pid)
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.granted AND l.mode = ANY (%s) AND l.relation = ANY (%s::oid[])
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND a.pid <> pg_backend_pid() AND coalesce(a.application_name, '') !~ '^dbtend '
ORDER BY a.pid LIMIT 4
"""


async def holders(reader: Reader, keeps_out: str, tables: Collection[int]) -> str:
    """In words; "" for nobody. `keeps_out`: a key of CONFLICTS. Raises TargetError."""
    rows = await reader.rows(_HOLDERS, [list(CONFLICTS[keeps_out]), list(tables)])
    said = [
        f"pid {pid} ({who}) holds a lock on {shown(schema, name)}"
        + (f" and {counted(number - 1, 'lock')} more" if number > 1 else "")
        for pid, who, schema, name, number in rows
    ]
    return "; ".join(said)
