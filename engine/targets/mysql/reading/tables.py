"""The tables of a database, by single queries joined here: joins inside information_schema are quadratic."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen
from engine.targets.mysql.connection.names import qualified, shown
from engine.targets.mysql.reading.reader import Reader


@frozen(kw_only=True)
class Table:
    """A table: no view, no temporary table."""

    database: str
    name: str
    engine: str
    """InnoDB, MyISAM, Aria, ...; empty where the server cannot open the table."""
    row_format: str = ""
    rows: int = 0
    """Estimated."""
    data_bytes: int = 0
    index_bytes: int = 0
    free_bytes: int = 0
    """DATA_FREE, which misleads."""
    is_sequence: bool = False
    is_partitioned: bool = False
    comment: str = ""
    """Of a table that cannot be opened, the error."""
    locks_for_rebuild: str = ""
    """Why InnoDB cannot rebuild it while others write to it, as text."""

    @property
    def sql(self) -> str:
        return qualified(self.database, self.name)

    @property
    def shown(self) -> str:
        return shown(self.name)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.data_bytes + self.index_bytes


TABLES: Final = """
SELECT table_name, table_type, engine, row_format, table_rows, data_length, index_length, data_free, create_options,
    table_comment
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT LIKE '%VIEW'
    AND table_type <> 'TEMPORARY' ORDER BY table_name
"""
_INDEXES: Final = (
    "SELECT table_name, column_name, index_type FROM information_schema.statistics WHERE table_schema = DATABASE()"
)
_VIRTUAL: Final = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = DATABASE() AND extra LIKE 'VIRTUAL%'
"""
_LOCKING: Final = {"FULLTEXT": "a FULLTEXT index", "SPATIAL": "a SPATIAL index"}


async def tables(reader: Reader) -> list[Table]:
    """Those of the session's database. Raises TargetError."""
    text = str | None
    row = (str, str, text, text, int | None, int | None, int | None, int | None, text, text)
    found = await reader.rows(TABLES, row=row)
    locking = await _locking(reader)
    database = reader.server.database
    return [
        Table(
            database=database,
            name=name,
            engine=engine or "",
            row_format=row_format or "",
            rows=rows or 0,
            data_bytes=data or 0,
            index_bytes=indexes or 0,
            free_bytes=free or 0,
            is_sequence=kind == "SEQUENCE",
            is_partitioned="partitioned" in (options or ""),
            comment=(comment or "") if engine is None else "",
            locks_for_rebuild=locking.get(name, ""),
        )
        for name, kind, engine, row_format, rows, data, indexes, free, options, comment in found
    ]


async def _locking(reader: Reader) -> dict[str, str]:
    """By table, what keeps it from being rebuilt online."""
    indexed = await reader.rows(_INDEXES, row=(str, str | None, str))
    reasons = {table: _LOCKING[kind] for table, _, kind in indexed if kind in _LOCKING}
    virtual = set(await reader.rows(_VIRTUAL, row=(str, str)))
    for table, column, _ in indexed if virtual else ():
        if (table, column) in virtual:
            reasons.setdefault(table, "an index on a virtual column")
    return reasons
