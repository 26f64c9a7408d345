"""What a check reads: the extension amcheck, and truncated files, which amcheck does not find."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import Final

from engine.domain.damage import ShortFile
from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import quote, shown
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import NOT_LOCKED

_EXTENSION: Final = """
SELECT n.nspname, EXISTS (SELECT FROM pg_proc AS p WHERE p.pronamespace = n.oid AND p.proname = 'verify_heapam')
FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'
"""
_FORBIDDEN: Final = """
SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND NOT has_function_privilege(p.oid, 'EXECUTE')
    AND (p.proname = 'verify_heapam' OR p.proname = 'bt_index_check' AND p.pronargs = 2) ORDER BY 1
"""


_CHECKS_TABLES: Final = 140_000
"""From this version on amcheck can check tables; one that came with the database from an older server cannot yet."""


@frozen
class Amcheck:
    """The extension in a database."""

    schema: str = ""
    obstacle: str = ""
    """Why the role cannot use it, and what to do; "" if it can."""
    no_tables: str = ""
    """Why it checks no tables, and what to do; "" if it does."""


async def amcheck(reader: Reader) -> Amcheck:
    """Raises TargetError."""
    extension = await reader.rows(_EXTENSION, row=(str, bool), most=1)
    if not extension:
        why = "the extension amcheck is not installed in this database. As a superuser: CREATE EXTENSION amcheck;"
        return Amcheck(obstacle=why)
    ((schema, checks_tables),) = extension
    if forbidden := [function for (function,) in await reader.rows(_FORBIDDEN, [schema], row=(str,))]:
        role = reader.server.user
        command = f"GRANT EXECUTE ON FUNCTION {', '.join(forbidden)} TO {quote(role)};"
        return Amcheck(obstacle=f"{role} may not execute the functions of amcheck. As a superuser: {command}")
    if checks_tables:
        return Amcheck(schema)
    why = "only B-trees are checked, not tables: "
    if reader.server.version < _CHECKS_TABLES:
        return Amcheck(schema, no_tables=f"{why}that needs PostgreSQL 14 or newer")
    older = "the amcheck of this database is that of an older server. As a superuser: ALTER EXTENSION amcheck UPDATE;"
    return Amcheck(schema, no_tables=why + older)


class CountedBy(StrEnum):
    """Who counted the pages of a table."""

    THIS_SERVER = "this server"
    ANOTHER = "another"
    """A dump brought the number along: nothing is lost."""
    UNKNOWN = "unknown"


_COUNTED_BY: Final = f"""CASE
    WHEN current_setting('server_version_num')::int < 180000 OR c.relkind = 't'
        OR coalesce(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid),
            pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) IS NOT NULL
    THEN '{CountedBy.THIS_SERVER}'
    WHEN pg_stat_get_tuples_inserted(c.oid) > 0
        AND pg_stat_get_tuples_inserted(c.oid) >= c.reltuples / c.relpages * one.pages
    THEN '{CountedBy.ANOTHER}'
    ELSE '{CountedBy.UNKNOWN}' END"""
"""Before 18 nothing imports the number, and no dump brings along that of a TOAST table. From 18 on the statistics tell,
which a crash resets: those that know of a VACUUM or ANALYZE, and those that know of none and reach back to the load of
the rows, as at least as many were inserted as there are now."""
# VACUUM shortens a file before it tells the catalog.
_LOST_ENDS: Final = f"""
SELECT c.relkind = 't', c.relpages::int8, one.pages, {_COUNTED_BY}
FROM pg_class AS main JOIN pg_class AS c ON c.oid IN (main.oid, main.reltoastrelid)
CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::int8) AS one (pages)
WHERE main.oid = %s AND c.relpages > one.pages
    AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.relid = c.oid)
"""


@frozen(kw_only=True)
class TruncatedFile(ShortFile):
    """A file that is shorter than it was when its pages were last counted."""

    of_toast: bool
    counted_by: CountedBy

    def as_text(self, table: str) -> str:
        name = f"TOAST of {table}" if self.of_toast else table
        counted = f"{self.pages_counted:,} when they were last counted"
        text = f"{name}: its file has {self.pages:,} pages, {counted}: its end may be lost"
        if self.counted_by is CountedBy.UNKNOWN:
            text += ", or a restored dump brought that number along (the statistics that would tell were reset)"
        return text


_TRUNCATED: Final = f"""
SELECT n.nspname, main.relname, c.relkind = 't', c.relpages::int8, one.pages, greatest(main.reltuples, 0)::float8,
    {_COUNTED_BY}
FROM pg_class AS c
JOIN pg_class AS main ON main.oid = CASE c.relkind WHEN 't' THEN (
        SELECT m.oid FROM pg_class AS m WHERE m.reltoastrelid = c.oid) ELSE c.oid END
JOIN pg_namespace AS n ON n.oid = main.relnamespace
CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::int8) AS one (pages)
WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p' AND c.relpages > 0 AND {NOT_LOCKED.format("c")}
    AND c.relpages > one.pages
    AND NOT EXISTS (
        SELECT FROM pg_stat_progress_vacuum AS v
        WHERE v.datname = current_database() AND coalesce(v.relid = c.oid, true))
ORDER BY 1, 2
"""
"""Where another session may shorten a file just now, nothing is said: VACUUM does so before it tells the catalog."""


async def lost_ends(reader: Reader) -> list[tuple[str, str, list[ShortFile]]]:
    """The tables whose file, or that of their TOAST table, is shorter than it was counted, unless surely by another
    server; what is known; and those files.

    VACUUM, ANALYZE and autovacuum count anew, and erase that trace. Raises TargetError.
    """
    if reader.server.is_standby:
        return []
    rows = await reader.rows(_TRUNCATED, row=(str, str, bool, int, int, float, str))
    texts, files = defaultdict[str, list[str]](list), defaultdict[str, list[ShortFile]](list)
    for schema, name, of_toast, before, now, counted, counted_by in rows:
        if counted_by == CountedBy.ANOTHER:
            continue
        table, by = shown(schema, name), CountedBy(counted_by)
        file = TruncatedFile(pages_counted=before, pages=now, of_toast=of_toast, counted_by=by)
        texts[table].append(f"{file.as_text(table)} (it held {counted:,.0f} rows then)")
        files[table].append(file)
    return [(table, "; ".join(texts[table]), files[table]) for table in texts]


async def truncated_files(reader: Reader, oid: int) -> list[TruncatedFile]:
    """The truncated files of a table, and of its TOAST table. Raises TargetError."""
    rows = await reader.rows(_LOST_ENDS, [oid], row=(bool, int, int, str))
    return [
        TruncatedFile(pages_counted=before, pages=now, of_toast=toast, counted_by=CountedBy(by))
        for toast, before, now, by in rows
    ]
