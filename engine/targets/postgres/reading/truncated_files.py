"""Tables whose file is shorter than the catalog says. amcheck does not notice that."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.reading.reader import Reader

STATISTICS_ARE_IMPORTED: Final = 180_000
"""From this version on a dump may bring along how many pages a table had where it comes from."""

# VACUUM shortens a file before it tells the catalog.
_LOST_ENDS: Final = """
SELECT c.relkind = 't', c.relpages::int8, one.pages,
    coalesce(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid),
        pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) IS NOT NULL
FROM pg_class AS main JOIN pg_class AS c ON c.oid IN (main.oid, main.reltoastrelid)
CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::int8) AS one (pages)
WHERE main.oid = %s AND c.relpages > one.pages
    AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.relid = c.oid)
"""


@frozen
class TruncatedFile:
    """A file that is shorter than it was when its pages were last counted."""

    of_toast: bool
    pages_counted: int
    pages: int
    was_counted_here: bool
    """Whether this server surely has counted them."""

    def as_text(self, table: str) -> str:
        name = f"TOAST of {table}" if self.of_toast else table
        counted = f"{self.pages_counted:,} when they were last counted"
        return f"{name}: its file has {self.pages:,} pages, {counted}: its end may be lost"


async def truncated_files(reader: Reader, oid: int) -> list[TruncatedFile]:
    """Of a table, and of its TOAST table. Raises TargetError."""
    rows = await reader.rows(_LOST_ENDS, [oid], row=(bool, int, int, bool))
    may_be_imported = reader.server.version >= STATISTICS_ARE_IMPORTED
    return [TruncatedFile(toast, before, now, counted and not may_be_imported) for toast, before, now, counted in rows]
