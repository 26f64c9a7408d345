"""The condition of a database: what its tables, InnoDB and the server say. `advising` judges these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from engine.domain.frozen import frozen
from engine.domain.humanize import span
from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.queries import query
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
from engine.targets.mysql.reading.undo import ACTIVE, Truncation, UndoSpace, truncation


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


async def undo(reader: Reader) -> Undo:
    """Raises TargetError."""
    of_mariadb = reader.server.flavor is Flavor.MARIADB
    length = await rows_if_allowed(reader, query("undo_history", mariadb=of_mariadb), row=(int,))
    files = query("undo_files", active=ACTIVE) if of_mariadb else query("undo_spaces")
    rows = await tablespaces(reader, files, row=(str, str, int))
    spaces = [UndoSpace(*row) for row in rows or ()]
    return Undo(
        history=length[0][0] if length else None,
        holder=await oldest_transaction(reader),
        bytes=sum(space.size for space in spaces) if rows is not None else None,
        files=len(spaces),
        truncation=await truncation(reader) if of_mariadb else None,
        left=tuple(space.name for space in spaces if space.is_left),
    )


async def oldest_transaction(reader: Reader) -> Holder | None:
    """None also where the user may not see it. Raises TargetError."""
    oldest = await rows_if_allowed(reader, query("oldest_transaction"), row=(int, int | None))
    if not oldest:
        return None
    ((connection, seconds),) = oldest
    who = await rows_if_allowed(reader, query("user_of_connection"), [connection], row=(str | None, str | None)) or []
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
        counted = await rows_if_allowed(reader, query("rows_with_histograms"), row=(str, int | None)) or []
        return {table: Histograms(rows=rows) for table, rows in counted}
    ages = await rows_if_allowed(reader, query("ages_of_histograms"), row=(str, int | None)) or []
    updated = dict(await reader.rows(query("ages_of_changes"), row=(str, int))) if ages else {}
    return {
        table: Histograms(age=age, changed_since=updated[table] < age if age is not None and table in updated else None)
        for table, age in ages
    }
