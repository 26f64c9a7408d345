"""What waits in GIN indexes to be put in place, and how much of their tables BRIN indexes do not cover."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Final

import psycopg

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.reading.page_sample import first_pages, may_read_files
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import NOT_LOCKED

MOST: Final = 1000
"""GIN indexes whose pending list is read, the largest ones."""


@frozen
class IndexUpkeep:
    """Work of VACUUM on one index that can be done without the rest of it."""

    index: int
    method: str
    table: int
    table_pages: int
    waiting: int
    """Bytes: of the pending list of a GIN index, or of the part of the table that a BRIN index does not cover."""
    file_lag: float = 0.0
    """Seconds for which a change may be missing from the file that this was read from; 0 where it was not."""


# Only the owner of an index may do it. New rows usually go to the end of a table. An array leaves out the other kinds
# before anything else is asked of each index.
_CANDIDATES: Final = f"""
SELECT i.oid::int8, am.amname, t.oid::int8, one.pages, CASE WHEN am.amname = 'gin' THEN 0
        ELSE least(pg_stat_get_ins_since_vacuum(t.oid) / greatest(pg_stat_get_live_tuples(t.oid), 1)::float8, 1)
            * one.pages * current_setting('block_size')::int8 END::int8,
    extract(epoch FROM clock_timestamp()
        - greatest(pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid)))::float8,
    2 * extract(epoch FROM current_setting('checkpoint_timeout')::interval)::float8
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS am ON am.oid = i.relam
JOIN pg_class AS t ON t.oid = x.indrelid
CROSS JOIN LATERAL (SELECT CASE WHEN am.amname = 'gin' OR NOT ({NOT_LOCKED.replace("{0}", "t")}) THEN t.relpages::int8
    ELSE coalesce(pg_relation_size(t.oid) / current_setting('block_size')::int8, 0) END) AS one (pages)
WHERE i.relam = ANY (ARRAY(SELECT oid FROM pg_am WHERE amname IN ('gin', 'brin')))
    AND i.relkind = 'i' AND i.relpersistence <> 't' AND x.indisvalid AND pg_has_role(i.relowner, 'USAGE')
    AND NOT pg_is_in_recovery() AND NOT EXISTS (
        SELECT FROM unnest(i.reloptions) AS o
        WHERE o IN ('fastupdate=off', 'fastupdate=false', 'autosummarize=on', 'autosummarize=true'))
ORDER BY i.relpages DESC
"""
_MEASURE: Final = """
SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'pgstatginindex'
WHERE e.extname = 'pgstattuple' AND has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(n.oid, 'USAGE')
"""
_PENDING_PAGES: Final = 36
"""Where the first page of a GIN index has the number of pages of its pending list."""


async def index_upkeep(reader: Reader) -> list[IndexUpkeep]:
    """Raises TargetError."""
    rows = await reader.rows(_CANDIDATES, row=(int, str, int, int, int, float | None, float))
    found = [(IndexUpkeep(*row[:5]), row[5], row[6]) for row in rows]
    brin = [one for one, _, _ in found if one.method == "brin" and one.waiting]
    gin = [one for one in found if one[0].method == "gin"][:MOST]
    if not gin:
        return brin
    oids = [one.index for one, _, _ in gin]
    if schema := await reader.rows(_MEASURE, row=(str,)):
        function = f"{quote(schema[0][0])}.pgstatginindex"
        query = f"SELECT oid, (SELECT pending_pages::int8 FROM {function}(oid::oid)) FROM unnest(%s::int8[]) AS oid"
        with contextlib.suppress(psycopg.Error, TargetError):
            measured = dict(await reader.rows_or_error(query, [oids], row=(int, int)))
            return brin + [replace(one, waiting=measured.get(one.index, 0) * PAGE) for one, _, _ in gin]
    if not await may_read_files(reader):
        return brin
    gin = [one for one in gin if one[1] is None or one[1] > one[2]]  # VACUUM has cleaned the others since
    pages = await first_pages(reader, [one.index for one, _, _ in gin])
    return brin + [
        replace(one, waiting=page.number("I", _PENDING_PAGES) * PAGE, file_lag=lag)
        for one, _, lag in gin
        if (page := pages.get(one.index)) is not None
    ]
