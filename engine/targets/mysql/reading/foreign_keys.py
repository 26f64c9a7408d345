"""Foreign keys of a database, and the queries for rows that violate them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.frozen import frozen
from engine.domain.steps import MAX_FINDINGS
from engine.targets.mysql.connection.names import qualified, quote, shown
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table, but


@frozen
class ForeignKey:
    """A foreign key, column by column."""

    name: str
    database: str
    table: str
    parent_database: str
    parent: str
    columns: tuple[tuple[str, str], ...]
    """Each with that of the parent."""

    @property
    def parent_shown(self) -> str:
        parent = shown(self.parent)
        return parent if self.parent_database == self.database else f"{shown(self.parent_database)}.{parent}"

    @property
    def query(self) -> str:
        """Counts the rows whose parent is missing, as far as findings are counted."""
        child, parent = qualified(self.database, self.table), qualified(self.parent_database, self.parent)
        is_set = " AND ".join(f"c.{quote(column)} IS NOT NULL" for column, _ in self.columns)
        same = " AND ".join(f"p.{quote(to)} = c.{quote(column)}" for column, to in self.columns)
        return (
            f"SELECT COUNT(*) FROM (SELECT 1 FROM {child} AS c WHERE {is_set}"
            f" AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE {same}) LIMIT {MAX_FINDINGS}) AS orphans"
        )


async def foreign_keys(reader: Reader, unopened: Sequence[Table] = ()) -> list[ForeignKey]:
    """`unopened`: see `unopened_tables`. Raises TargetError."""
    found: dict[tuple[str, str], ForeignKey] = {}
    for name, table, column, parent_database, parent, to in await reader.rows(
        query("foreign_keys", some=but(unopened)), row=(str, str, str, str, str, str)
    ):
        before = found.get((table, name))
        columns = (*(before.columns if before else ()), (column, to))
        found[table, name] = ForeignKey(name, reader.server.database, table, parent_database, parent, columns)
    return list(found.values())
