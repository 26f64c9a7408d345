"""Whose snapshots a concurrent rebuild has to wait for, before it can put its index in place."""

from __future__ import annotations

from typing import Final

from engine.domain.humanize import counted, span
from engine.targets.postgres.reading.reader import Reader

_OLDER_THAN: Final = """
SELECT pid, concat_ws(', ', nullif(application_name, ''), usename, state),
    extract(epoch FROM clock_timestamp() - xact_start)::float8, count(*) OVER ()
FROM pg_stat_activity
WHERE datname = current_database() AND backend_xmin IS NOT NULL AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND coalesce(application_name, '') !~ '^dbtend '
    AND xact_start < clock_timestamp() - make_interval(secs => %s)
ORDER BY xact_start LIMIT 1
"""


async def oldest_snapshot(reader: Reader, seconds: float, limit: str) -> str:
    """The oldest in words, with what comes of it; "" where all are younger. `limit`: for how long a rebuild waits.

    Raises TargetError.
    """
    rows = await reader.rows(_OLDER_THAN, [seconds], row=(int, str, float, int), most=1)
    if not rows:
        return ""
    ((pid, who, age, number),) = rows
    more = f" and {counted(number - 1, 'other')}" if number > 1 else ""
    return (
        f"pid {pid} ({who} for {span(age)}){more} may still use the old indexes. Each new index waits for that at its"
        f" end, {limit}; that wait blocks no reads or writes"
    )
