"""The condition of a database: what its tables, InnoDB and the server say. `advising` judges these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import span
from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.reading.files import (
    Counted,
    PartName,
    changes,
    part_name,
    rows_if_allowed,
    tablespaces,
)
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.samples import Sample
from engine.targets.mysql.reading.tables import Table
from engine.targets.mysql.reading.undo import ACTIVE, SPACES, Truncation, UndoSpace, truncation


@frozen(kw_only=True)
class Holder:
    """The oldest transaction, which keeps old versions of rows from being purged."""

    connection: int
    """0: it is prepared (XA), and belongs to no connection."""
    who: str
    """`ann@web1`, as far as the user may see."""
    seconds: int

    @property
    def text(self) -> str:
        if not self.connection:
            return f"a prepared transaction, open for {span(self.seconds)}: XA RECOVER lists it, XA ROLLBACK ends it"
        who = f" ({self.who})" if self.who else ""
        return f"connection {self.connection}{who}, in a transaction for {span(self.seconds)}"


@frozen(kw_only=True)
class Undo:
    """The undo log of the whole server."""

    history: int | None = None
    """Transactions whose old versions of rows are not purged yet; None if unknown."""
    holder: Holder | None = None
    bytes: int | None = None
    """Bytes of all undo tablespaces."""
    files: int = 0
    truncation: Truncation | None = None
    """How MariaDB truncates its undo log; None for MySQL."""
    left: tuple[str, ...] = ()
    """Tablespaces that a purge left inactive, or made for itself, when it was interrupted."""


@frozen(kw_only=True)
class Histograms:
    """The column statistics of a table that the server does not renew by itself."""

    rows: int | None = None
    """The rows that the table had then; None if unknown."""
    age: int | None = None
    """Seconds; None if unknown."""
    changed_since: bool | None = None
    """Whether the table changed since; None if unknown."""


@frozen(kw_only=True)
class Condition:
    tables: Sequence[Table]
    server: Server
    sees_files: bool = False
    """Whether the user may see the sizes of files."""
    changes: Mapping[PartName, int] | None = None
    """Changed rows since InnoDB collected statistics; None if unknown."""
    changes_are_locked: bool = False
    """Whether these are only the least there can be, because another session has locked a table of the server."""
    counted: Mapping[PartName, Counted] | None = None
    """Tables with persistent statistics; None without the right to see them."""
    histograms: Mapping[str, Histograms] = field(default_factory=dict)
    """Histograms by table."""
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    """Samples of large tables, by name."""
    not_sampled: int = 0
    """How many large tables there was no time for."""
    undo: Undo = Undo()

    @property
    def locked(self) -> tuple[str, ...]:
        """The tables that another session has locked: nothing is known of them."""
        return tuple(table.shown for table in self.tables if table.is_locked)


_LENGTH: Final = {
    Flavor.MARIADB: "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status"
    " WHERE variable_name = 'Innodb_history_list_length'",
    Flavor.MYSQL: "SELECT CAST(count AS SIGNED) FROM information_schema.innodb_metrics"
    " WHERE name = 'trx_rseg_history_len'",
}
_OLDEST: Final = """
SELECT CAST(trx_mysql_thread_id AS SIGNED), CAST(TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS SIGNED)
FROM information_schema.innodb_trx ORDER BY trx_started LIMIT 1
"""
_WHO: Final = "SELECT user, host FROM information_schema.processlist WHERE id = %s"
_UNDO_FILES: Final = {
    Flavor.MARIADB: f"SELECT name, '{ACTIVE}', CAST(file_size AS SIGNED) FROM information_schema.innodb_sys_tablespaces"
    " WHERE name LIKE 'innodb\\_undo%'",
    Flavor.MYSQL: SPACES,
}
_COUNTED_ROWS: Final = """
SELECT table_name, CAST(cardinality AS SIGNED) FROM mysql.table_stats WHERE db_name = DATABASE()
"""
_AGES: Final = """
SELECT table_name, CAST(TIMESTAMPDIFF(
    SECOND, MIN(CAST(histogram->>'$."last-updated"' AS DATETIME)), UTC_TIMESTAMP()) AS SIGNED)
FROM information_schema.column_statistics WHERE schema_name = DATABASE() GROUP BY table_name
"""
_UPDATED: Final = """
SELECT table_name, CAST(TIMESTAMPDIFF(SECOND, update_time, NOW()) AS SIGNED) FROM information_schema.tables
WHERE table_schema = DATABASE() AND update_time IS NOT NULL
"""


async def undo(reader: Reader) -> Undo:
    """Raises TargetError."""
    flavor = reader.server.flavor
    length = await rows_if_allowed(reader, _LENGTH[flavor], row=(int,))
    rows = await tablespaces(reader, _UNDO_FILES[flavor], row=(str, str, int))
    spaces = [UndoSpace(*row) for row in rows or ()]
    return Undo(
        history=length[0][0] if length else None,
        holder=await oldest_transaction(reader),
        bytes=sum(space.size for space in spaces) if rows is not None else None,
        files=len(spaces),
        truncation=await truncation(reader) if flavor is Flavor.MARIADB else None,
        left=tuple(space.name for space in spaces if space.is_left),
    )


async def oldest_transaction(reader: Reader) -> Holder | None:
    """None also where the user may not see it. Raises TargetError."""
    oldest = await rows_if_allowed(reader, _OLDEST, row=(int, int | None))
    if not oldest:
        return None
    ((connection, seconds),) = oldest
    who = await rows_if_allowed(reader, _WHO, [connection], row=(str | None, str | None)) or []
    names = [f"{user}@{(host or '').rpartition(':')[0] or host}" for user, host in who]
    return Holder(connection=connection, who=names[0] if names else "", seconds=max(seconds or 0, 0))


async def changed_rows(
    reader: Reader, found: Sequence[Table], counted: Mapping[PartName, Counted] | None
) -> Mapping[PartName, int] | None:
    """See `changes`. MySQL opens every table of the server to tell, so it is asked only if one has changed here.

    Raises TargetError; TargetBusyError where another session has locked one of them.
    """
    if counted is not None:
        oldest: dict[str, int] = {}
        for (table, _), one in counted.items():
            oldest[table] = min(one.at, oldest.get(table, one.at))
        updated = [table for table in found if table.engine == "InnoDB" and table.updated is not None]
        if not any((table.updated or 0) >= oldest.get(reader.server.file_name(table.name), 0) for table in updated):
            return {}
    return await changes(reader)


def least_changed_rows(
    server: Server, found: Sequence[Table], counted: Mapping[PartName, Counted] | None
) -> Mapping[PartName, int]:
    """How many more or fewer rows there are now, on MySQL: at least so many have changed. Needs no lock."""
    before = counted or {}
    parts = [(part_name(server, table.name, part.name), part) for table in found for part in table.parts]
    return {name: abs(part.rows - before[name].rows) for name, part in parts if name in before}


async def histograms(reader: Reader) -> Mapping[str, Histograms]:
    """Histograms by table; without the right to see them, none. Raises TargetError."""
    if reader.server.flavor is Flavor.MARIADB:
        counted = await rows_if_allowed(reader, _COUNTED_ROWS, row=(str, int | None)) or []
        return {table: Histograms(rows=rows) for table, rows in counted}
    ages = await rows_if_allowed(reader, _AGES, row=(str, int | None)) or []
    updated = dict(await reader.rows(_UPDATED, row=(str, int))) if ages else {}
    return {
        table: Histograms(age=age, changed_since=updated[table] < age if age is not None and table in updated else None)
        for table, age in ages
    }
