"""What a check reads: the extension amcheck, and truncated files, which amcheck does not find."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import Final

from engine.domain.damage import ShortFile
from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import quote, shown
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader

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
    extension = await reader.rows(query("amcheck"), row=(str, bool), most=1)
    if not extension:
        why = "the extension amcheck is not installed in this database. As a superuser: CREATE EXTENSION amcheck;"
        return Amcheck(obstacle=why)
    ((schema, checks_tables),) = extension
    if forbidden := [function for (function,) in await reader.rows(query("amcheck_forbidden"), [schema], row=(str,))]:
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


async def lost_ends(reader: Reader) -> list[tuple[str, str, list[ShortFile]]]:
    """The tables whose file, or that of their TOAST table, is shorter than it was counted, unless surely by another
    server; what is known; and those files.

    VACUUM, ANALYZE and autovacuum count anew, and erase that trace. Raises TargetError.
    """
    if reader.server.is_standby:
        return []
    rows = await reader.rows(query("truncated_tables"), row=(str, str, bool, int, int, float, str))
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
    rows = await reader.rows(query("truncated_files"), [oid], row=(bool, int, int, str))
    return [
        TruncatedFile(pages_counted=before, pages=now, of_toast=toast, counted_by=CountedBy(by))
        for toast, before, now, by in rows
    ]
