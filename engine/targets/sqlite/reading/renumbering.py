"""Which rowids VACUUM would change, and which objects use them: from the schema, measured on the rows."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import aiosqlite

from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.names import folded, quote
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.catalog import ROWID_NAMES
from engine.targets.sqlite.reading.copied_schema import with_descending_index
from engine.targets.sqlite.reading.rowid_users import (
    Kind,
    SchemaText,
    VirtualTable,
    certain_users,
    schema_text,
    users_in_sql,
    views_below,
    virtual_tables,
)
from engine.targets.sqlite.reading.shape import set_after

MEASURING: Final = 2.0
"""Seconds for tables whose rowids something uses: a small part of the time of their VACUUM."""
MEASURING_OTHERS: Final = 0.25
"""Seconds for all other tables, which only get a warning."""
_COMPARED: Final = 1000
"""Rowids at an end of a virtual table that are looked for in a table."""
MOST_USERS: Final = 100
"""Users among virtual tables that are looked for: more are not named."""
_AT_ONCE: Final = 100
"""Tables that are measured by one statement."""

_ROWIDS_OF: Final = ("docsize", "content", "rowid", "rowids")
"""What virtual tables call the tables that hold their rowids, behind their own name, in the order of trust."""


Read = Callable[[str], Awaitable[list[Any]]]


@frozen(kw_only=True)
class RowidUser:
    """An object that uses the rowids of a table, which VACUUM changes."""

    name: str
    kind: Kind
    table: str
    rebuilt: bool = False
    """Whether it can be rebuilt from the table afterwards."""


@frozen(kw_only=True)
class Renumbering:
    """`tables`: whose rowids VACUUM changes, or may change. `users`: the objects that use these."""

    tables: tuple[str, ...] = ()
    users: tuple[RowidUser, ...] = ()
    built_on: tuple[str, ...] = ()
    """The full-text indexes that take their text by rowids which VACUUM can change, whether or not it would now."""

    @property
    def description(self) -> str:
        """Which rowids are in use; "" where none are."""
        by_table: dict[str, list[str]] = {}
        for user in self.users:
            by_table.setdefault(user.table, []).append(f"{user.kind} {user.name}")
        found = [
            f"the rowids of {table}, which {listed(users)} {'uses' if len(users) == 1 else 'use'}"
            for table, users in by_table.items()
        ]
        return f"VACUUM renumbers {listed(found, most=3)}" if found else ""


@frozen
class _Changes:
    """The rowids that VACUUM changes, and their new values: from the lowest to the highest of both."""

    lowest: int
    highest: int


_ANY: Final = _Changes(-(2**63), 2**63 - 1)
"""All rowids: the time did not suffice to find out."""


async def find_renumbering(connection: aiosqlite.Connection, read: Read, *, into: bool = False) -> Renumbering:
    """What VACUUM would do to rowids, as the database is now. `into`: it writes another file.

    `read`: gives the rows of a query that is over in a moment, and raises what it likes. What cannot be measured, or
    not in time, counts as changed.
    """
    candidates = await _candidates(read, into=into)
    if not candidates:
        return Renumbering()
    texts = [schema_text(*row) for row in await read(query("views_and_triggers"))]
    in_sql = users_in_sql(texts, candidates)
    evidence = _Evidence(connection, read, candidates, texts, in_sql)
    virtual = await read(query("virtual_tables"))
    pairs = [pair for table in virtual_tables(virtual) for pair in await evidence.of(table)]
    if in_sql:
        tables = [name for (name,) in await read(query("table_names"))]
        in_sql = certain_users(in_sql, texts, candidates, [*tables, *(name for name, _ in virtual)])
    used = {table for _, table in (*pairs, *in_sql)}
    changes = {
        **await _changes(connection, {t: c for t, c in candidates.items() if t in used}, MEASURING),
        **await _changes(connection, {t: c for t, c in candidates.items() if t not in used}, MEASURING_OTHERS),
    }
    users: list[RowidUser] = []
    for user, table in pairs:
        if len(users) < MOST_USERS and table in changes and await evidence.has_rowids(user, table, changes[table]):
            users.append(RowidUser(name=user.name, kind=user.kind, table=table, rebuilt=user.content is not None))
    users += [RowidUser(name=text.name, kind=text.kind, table=table) for text, table in in_sql if table in changes]
    return Renumbering(
        tables=tuple(table for table in candidates if table in changes),
        users=tuple(users),
        built_on=tuple(dict.fromkeys(user.name for user, _ in pairs if user.content is not None)),
    )


async def _candidates(read: Read, *, into: bool) -> dict[str, frozenset[str]]:
    """The tables that VACUUM may renumber and whose rowids can be read; each with its columns."""
    schema = await read(query("may_have_ignored_desc"))
    disordered = await asyncio.to_thread(with_descending_index, schema) if schema else []
    columns: dict[str, set[str]] = {}
    for table, column in await read(catalog.renumbered_by_vacuum(disordered, into=into)):
        columns.setdefault(table, set()).add(folded(column))
    return {table: frozenset(names) for table, names in columns.items() if not set(ROWID_NAMES) <= names}


async def _changes(
    connection: aiosqlite.Connection, tables: Mapping[str, Collection[str]], seconds: float
) -> dict[str, _Changes]:
    """The changes of each table whose rowids change: all those that are not 1, 2, 3, ... without a gap."""
    changes: dict[str, _Changes] = {}
    with set_after(seconds) as no_time:
        for start in range(0, len(tables), _AT_ONCE):
            some = list(tables.items())[start : start + _AT_ONCE]
            spans = " UNION ALL ".join(
                query("rowid_span", number=number, table=f"main.{quote(table)}", rowid=_rowid_of(columns))
                for number, (table, columns) in enumerate(some)
            )
            rows = await _rows(connection, spans, no_time)
            if rows is None and len(some) > 1 and not no_time.is_set():  # one of them cannot be read
                changes |= {t: c for table in some for t, c in (await _changes(connection, dict([table]), 1)).items()}
                continue
            found = {number: span for number, *span in rows or ()}
            for number, (table, columns) in enumerate(some):
                lowest, highest, count = found.get(number, (_ANY.lowest, _ANY.highest, 1))
                if count and not (lowest == 1 and highest == count):
                    changes[table] = await _narrowed(connection, table, columns, _Changes(lowest, highest), no_time)
    return changes


async def _narrowed(
    connection: aiosqlite.Connection, table: str, columns: Collection[str], span: _Changes, no_time: asyncio.Event
) -> _Changes:
    """The changes without the rowids that stay: those at the beginning of a table whose first rowid is 1."""
    if span.lowest != 1:
        return _Changes(min(span.lowest, 1), span.highest)
    gap = query("first_gap", table=f"main.{quote(table)}", rowid=_rowid_of(columns))
    rows = await _rows(connection, gap, no_time)
    return _Changes(rows[0][0], span.highest) if rows else span


async def _rows(connection: aiosqlite.Connection, sql: str, no_time: asyncio.Event) -> list[Any] | None:
    if no_time.is_set():
        return None
    try:
        return await statement.fetch_all(connection, sql, no_time)
    except sqlite3.Error:
        return None


def _rowid_of(columns: Collection[str]) -> str:
    """The name that reads the rowid: columns may have the other names."""
    return next(name for name in ROWID_NAMES if name not in columns)


class _Evidence:
    """The evidence that a virtual table uses the rowids of a table."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        read: Read,
        candidates: Mapping[str, Collection[str]],
        texts: Sequence[SchemaText],
        in_sql: Sequence[tuple[SchemaText, str]],
    ) -> None:
        self._connection = connection
        self._read = read
        self._candidates = candidates
        self._renumbered = {folded(name) for name in candidates}
        self._texts = texts
        self._in_sql = in_sql
        self._tables: dict[str, str] | None = None

    async def of(self, virtual: VirtualTable) -> list[tuple[VirtualTable, str]]:
        """The virtual table with each table whose rowids it uses, or may use."""
        used = await self._tables_by_rowid(virtual)
        return [(virtual, table) for table in self._candidates if table in used]

    async def has_rowids(self, virtual: VirtualTable, table: str, changes: _Changes) -> bool:
        """Whether it holds rowids that change; also true if that is unknown."""
        own, auxiliary = await self._sources(virtual)
        if own is None or await self._is_so(own.has_between(changes), otherwise=True):
            return True
        rowid = _rowid_of(self._candidates[table])
        return any(
            [
                await self._is_so(source.has_between(changes))
                and await self._is_so(source.has_all_in([(table, rowid)]))
                for source in auxiliary
            ]
        )

    async def _tables_by_rowid(self, virtual: VirtualTable) -> Collection[str]:
        if virtual.content is not None:
            return self._content_of(virtual, virtual.content)
        triggers = [text for text in self._texts if folded(virtual.name) in text.words]
        near = {table for text, table in self._in_sql if folded(virtual.name) in text.words}
        near |= await self._named_for(virtual) & self._candidates.keys()
        if virtual.holds_keys_only:
            if not await self._belongs_elsewhere(virtual, triggers):
                return self._candidates
            mentioned = frozenset().union(*(text.words for text in triggers))
            return near | {table for table in self._candidates if folded(table) in mentioned}
        near |= await self._having_same_columns(virtual)
        if await self._belongs_elsewhere(virtual, triggers):
            return near
        others = [table for table in self._candidates if table not in near]
        return near | await self._having_all(virtual, others, both_ends=True)

    def _content_of(self, virtual: VirtualTable, content: str) -> set[str]:
        """The tables that a full-text index takes its text from, by their rowids: itself, or through views."""
        below = views_below(self._texts, content)
        found = {table for text, table in self._in_sql if text.kind is Kind.VIEW and folded(text.name) in below}
        return found | {
            table
            for table, columns in self._candidates.items()
            if folded(table) == folded(content)
            and virtual.content_key in ROWID_NAMES
            and virtual.content_key not in columns
        }

    async def _belongs_elsewhere(self, virtual: VirtualTable, triggers: Sequence[SchemaText]) -> bool:
        """Whether it uses the rowids of a table that keeps them, and nothing suggests another table.

        `triggers`: those that mention it.
        """
        tables = await self._table_names()
        if any(word in tables and word not in self._renumbered for text in triggers for word in text.words):
            return True
        after = await self._named_for(virtual) - self._candidates.keys()
        return bool(await self._having_all(virtual, sorted(after)))

    async def _named_for(self, virtual: VirtualTable) -> set[str]:
        """The tables that it is named after; not `log`, where `catalog_fts` is named after `catalog`."""
        tables = await self._table_names()
        found = virtual.named_after(tables)
        return {tables[name] for name in found if not any(name in other for other in found if other != name)}

    async def _having_same_columns(self, virtual: VirtualTable) -> set[str]:
        if virtual.kind is not Kind.FULL_TEXT:
            return set()
        own = {folded(name) for (name,) in await self._short(catalog.columns_of(virtual.name)) or ()}
        return {table for table, columns in self._candidates.items() if own and own <= set(columns)}

    async def _having_all(self, virtual: VirtualTable, tables: Sequence[str], *, both_ends: bool = False) -> set[str]:
        """The tables that have its highest rowids, with `both_ends` also its lowest."""
        own, _ = await self._sources(virtual)
        if own is None:
            return set()
        rowids = [_rowid_of(self._candidates.get(table, ())) for table in tables]
        found: set[str] = set()
        for start in range(0, len(tables), _AT_ONCE):
            some = list(zip(tables, rowids, strict=True))[start : start + _AT_ONCE]
            rows = await self._short(own.has_all_in(some, both_ends=both_ends))
            if rows is None:  # one of them cannot be read
                rows = [(await self._is_so(own.has_all_in([one], both_ends=both_ends)),) for one in some]
            found |= {table for (table, _), (has_all,) in zip(some, rows, strict=True) if has_all}
        return found

    async def _sources(self, virtual: VirtualTable) -> tuple[_Source | None, list[_Source]]:
        """Where its own rowids are, as far as that is known; and where others are kept beside them."""
        tables = await self._table_names()
        kept_in = next((tables[n] for end in _ROWIDS_OF if (n := f"{folded(virtual.name)}_{end}") in tables), None)
        if kept_in is None:
            return None, []
        columns = await self._read(catalog.columns_of(kept_in)) if virtual.kind is Kind.RTREE else []
        return _Source(kept_in, "rowid"), [_Source(kept_in, name) for (name,) in columns if name[:1] == "a"]

    async def _table_names(self) -> dict[str, str]:
        if self._tables is None:
            self._tables = {folded(name): name for (name,) in await self._read(query("table_names"))}
        return self._tables

    async def _is_so(self, sql: str, *, otherwise: bool = False) -> bool:
        """The truth value in the first row of a query; `otherwise`: if the query fails."""
        rows = await self._short(sql)
        return otherwise if rows is None else bool(rows[0][0])

    async def _short(self, sql: str) -> list[Any] | None:
        try:
            return await statement.short(self._connection, sql)
        except sqlite3.Error:
            return None


@frozen
class _Source:
    """Where a virtual table keeps rowids: a column of a table."""

    table: str
    column: str

    def has_between(self, changes: _Changes) -> str:
        column = quote(self.column)
        return (
            f"SELECT EXISTS (SELECT 1 FROM main.{quote(self.table)}"
            f" WHERE {column} BETWEEN {changes.lowest} AND {changes.highest})"
        )

    def has_all_in(self, tables: Iterable[tuple[str, str]], *, both_ends: bool = False) -> str:
        """A row for each of the tables, which come with the name of their rowid.

        Compared are the highest rowids here, with `both_ends` also the lowest.
        """
        column = quote(self.column)
        ends = " UNION ALL ".join(
            f"SELECT * FROM (SELECT {column} FROM main.{quote(self.table)} WHERE {column} IS NOT NULL"
            f" ORDER BY {column} {order} LIMIT {_COMPARED})"
            for order in (("DESC", "ASC") if both_ends else ("DESC",))
        )
        return f"WITH own(id) AS MATERIALIZED ({ends}) " + " UNION ALL ".join(
            "SELECT EXISTS (SELECT 1 FROM own) AND NOT EXISTS ("
            f"SELECT 1 FROM own WHERE NOT EXISTS (SELECT 1 FROM main.{quote(table)} AS t WHERE t.{rowid} = own.id))"
            for table, rowid in tables
        )
