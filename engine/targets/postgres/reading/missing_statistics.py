"""Which tables lack statistics that ANALYZE would collect."""

from __future__ import annotations

from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader


async def without_statistics(reader: Reader) -> set[int]:
    """The oids of tables that lack some. Who may not see statistics takes them for missing. Raises TargetError."""
    version, reads = reader.server.version, reader.server.is_superuser
    lacking = query("missing_statistics", reads=reads, before_14=version < 140_000, from_15=version >= 150_000)
    return {oid for (oid,) in await reader.rows(lacking, row=(int,))}
