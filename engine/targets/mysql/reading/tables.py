"""The tables of a database, by single queries joined here: joins inside information_schema are quadratic."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.mysql.connection.names import literal, qualified, shown
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.files import FileSize, PartName, part_name
from engine.targets.mysql.reading.reader import Reader

TRANSACTIONAL: Final = frozenset({"InnoDB"})
IN_OWN_FILES: Final = frozenset({"MyISAM", "Aria"})
"""They say exactly how long these are; the bytes of deleted rows lie inside."""
REPAIRABLE: Final = frozenset({"MyISAM", "Aria", "ARCHIVE", "CSV", ""})
"""Storage engines, and what the server cannot open."""
_PAGE_COMPRESSED: Final = re.compile(r"page_compressed\W+(1|on|yes)\b|\bcompression=\W?(zlib|lz4)", re.IGNORECASE)


@frozen(kw_only=True)
class Index:
    name: str
    kind: str
    """BTREE, HASH, FULLTEXT, SPATIAL or RTREE."""
    is_unique: bool
    may_be_null: bool
    """Whether one of its columns may be."""
    columns: tuple[tuple[str, int | None], ...]
    """Each with the length of its prefix; an expression has no name."""
    has_cardinality: bool = True
    """Whether the server counted its values."""

    @property
    def is_primary(self) -> bool:
        return self.name == "PRIMARY"

    @property
    def is_tree(self) -> bool:
        return self.kind == "BTREE"


@frozen(kw_only=True)
class Part:
    """A partition, or a whole table that has none."""

    name: str = ""
    """`p0`, or with a subpartition `p0.p0sp1`; empty: the whole table."""
    rows: int = 0
    """Estimated."""
    data_bytes: int = 0
    index_bytes: int = 0
    free_bytes: int = 0
    """DATA_FREE, which misleads."""
    file_bytes: int | None = None
    """The length of its own files, if known. Unlike statistics of InnoDB it is never out of date."""
    disk_bytes: int | None = None
    """What that file takes on its disk, where its pages are compressed; see `FileSize`."""

    @property
    def size(self) -> int:
        """Bytes of all pages, also where these are compressed."""
        return max(self.data_bytes + self.index_bytes, self.file_bytes or 0)

    @property
    def used_bytes(self) -> int:
        """Those bytes without extents that have no page: a rebuild needs as much, at most."""
        return max(self.data_bytes + self.index_bytes, (self.file_bytes or 0) - self.free_bytes)

    @property
    def allocated_bytes(self) -> int:
        """Bytes on disk with extents that have no page."""
        if self.disk_bytes is not None:
            return self.disk_bytes
        return self.file_bytes if self.file_bytes is not None else self.size + self.free_bytes


@frozen
class AutoIncrement:
    """The next value of an AUTO_INCREMENT column, and the last that its type holds."""

    column: str
    next: int
    most: int


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
    file_bytes: int | None = None
    disk_bytes: int | None = None
    """See `Part`."""
    is_sequence: bool = False
    comment: str = ""
    """Why a table cannot be opened; "" for a table that can."""
    locks_for_rebuild: str = ""
    """Why InnoDB cannot rebuild it while others write to it, as text."""
    options: str = ""
    """The options of CREATE TABLE that differ from the defaults."""
    indexes: tuple[Index, ...] = ()
    partitions: tuple[Part, ...] = ()
    auto_increment: AutoIncrement | None = None
    updated: int | None = None
    """When its rows last changed, in seconds since 1970; None: not since the server opened it."""
    is_locked: bool = False
    """Whether another session has locked it, so that the server says little more than its name."""
    is_unopened: bool = False
    """Whether only its name and engine are known, and its size if its files can be seen."""

    @property
    def sql(self) -> str:
        return qualified(self.database, self.name)

    @property
    def shown(self) -> str:
        return shown(self.name)

    @property
    def size(self) -> int:
        """See `Part`."""
        return sum(part.size for part in self.parts)

    @property
    def used_bytes(self) -> int:
        """See `Part`."""
        return sum(part.used_bytes for part in self.parts)

    @property
    def is_page_compressed(self) -> bool:
        """Whether its file has holes where InnoDB compressed its pages."""
        return is_page_compressed(self.options)

    @property
    def is_unmeasurable(self) -> bool:
        """Whether nothing tells what a rebuild gives back: InnoDB counts nowhere how well its rows compress."""
        return self.engine == "InnoDB" and self.row_format == "Compressed"

    @property
    def is_in_aria_pages(self) -> bool:
        """Whether the server does not know how full its pages are, as it does for other rows of Aria and MyISAM."""
        return self.engine == "Aria" and self.row_format == "Page"

    @property
    def measured_bytes(self) -> int | None:
        """Bytes on disk of its own files, or of statistics where these are not known; None if those tell nothing."""
        files = [part.allocated_bytes for part in self.parts if part.file_bytes is not None]
        return (sum(files) if files else self.data_bytes + self.index_bytes) or None

    @property
    def must_be_offline(self) -> str:
        """Why writers have to wait while it is rebuilt, as text; "" if they need not."""
        is_other = self.engine != "InnoDB" and not self.is_locked
        return f"a table of {self.engine}" if is_other else self.locks_for_rebuild

    @property
    def has_primary_key(self) -> bool:
        """Whether it has one that is declared so."""
        return any(index.is_primary for index in self.indexes)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its partitions, or the table as one."""
        return self.partitions or (
            Part(
                rows=self.rows,
                data_bytes=self.data_bytes,
                index_bytes=self.index_bytes,
                free_bytes=self.free_bytes,
                file_bytes=self.file_bytes,
                disk_bytes=self.disk_bytes,
            ),
        )

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns that identify a row: of the primary key, else of a unique index without NULL; () for none."""
        keys = [index for index in self.indexes if index.is_unique and index.is_tree and not index.may_be_null]
        keys = [index for index in keys if all(name and not prefix for name, prefix in index.columns)]
        key = next(iter(sorted(keys, key=lambda index: not index.is_primary)), None)
        return tuple(name for name, _ in key.columns) if key else ()


NO_TABLE: Final = Table(database="", name="", engine="")
"""The table of a step that works on the whole server."""

_KINDS: Final = ", index_type, cardinality"
"""Columns for which the server opens every table."""
_UNIQUE: Final = " AND non_unique = 0"
_ASSUMED: Final = "BTREE", 1
_PASSING: Final = ("Lock wait timeout exceeded", "Query execution was interrupted", "errno: 24 ", "Out of memory")
"""In the comment of a table that MariaDB cannot open at the moment."""
_CRASHED: Final = "' is marked as crashed and"
"""In the comment of a table of MyISAM or Aria, which MySQL then still names."""
_LOCKING: Final = {"FULLTEXT": "a FULLTEXT index", "SPATIAL": "a SPATIAL index", "RTREE": "a SPATIAL index"}
_BITS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}


def is_page_compressed(options: str) -> bool:
    """Whether these options of a table leave holes in its file. Two kinds of servers have two names for it."""
    return _PAGE_COMPRESSED.search(options) is not None


async def known_tables(reader: Reader) -> list[Table]:
    """The tables of the session's database by name and engine alone: none is opened. Raises TargetError."""
    database = reader.server.database
    return [
        Table(database=database, name=name, engine=engine or "", is_sequence=kind == "SEQUENCE", is_unopened=True)
        for name, kind, engine in await reader.rows(query("table_names"), row=(str, str, str | None))
    ]


async def unopened_tables(reader: Reader, damaged: Collection[str]) -> list[Table]:
    """Those of the damaged tables that the server would repair if they were opened. Raises TargetError.

    `damaged`: by `Table.shown`.
    """
    recovers = reader.server.recovers
    known = await known_tables(reader) if damaged and recovers else []
    return [table for table in known if table.engine in recovers and table.shown in damaged]


def but(unopened: Sequence[Table]) -> str:
    """A condition of SQL that keeps the server from opening these tables."""
    names = ", ".join(literal(table.name) for table in unopened)
    return f" AND CAST(table_name AS BINARY) NOT IN ({names})" if names else ""  # else MariaDB ignores case


async def tables(
    reader: Reader,
    names: Sequence[str] = (),
    *,
    exact: bool = True,
    files: Mapping[PartName, FileSize] | None = None,
    unopened: Sequence[Table] = (),
) -> list[Table]:
    """The tables of the session's database, by name. Raises TargetError.

    Args:
        names: only these; none: all.
        exact: else only unique indexes are there, each counted as a BTREE that has cardinality, which the server
            knows much sooner.
        files: their sizes, if the user may see them.
        unopened: see `unopened_tables`; without `names` they are among the tables.
    """
    some = f" AND table_name IN ({', '.join(map(literal, names))})" if names else but(unopened)
    text, number = str | None, int | None
    row = (str, str, text, text, number, number, number, number, text, text, number, number, number)
    found = sorted(await reader.rows(query("tables") + some, row=row), key=lambda row: row[0])
    hidden = any(row[2] is None and not _is_passing(row[9]) for row in found)
    engines = {table.name: table.engine for table in await known_tables(reader)} if hidden else {}
    indexes = await _indexes(reader, some, exact=exact)
    columns = await reader.rows(query("special_columns"), row=(str, str, str, str))
    virtual = {(table, column) for table, column, _, extra in columns if extra.startswith("VIRTUAL")}
    counting = {table: (column, kind) for table, column, kind, extra in columns if "auto_increment" in extra}
    partitions = await _partitions(reader, some) if any("partitioned" in (row[8] or "") for row in found) else {}
    database = reader.server.database
    opened = [
        Table(
            database=database,
            name=name,
            engine=engine or engines.get(name, ""),
            row_format=row_format or "",
            rows=rows or 0,
            data_bytes=data or 0,
            index_bytes=keys or 0,
            free_bytes=free or 0,
            is_sequence=kind == "SEQUENCE",
            comment="" if _is_passing(comment) else _why_not_opened(engine, most, comment),
            is_locked=rows is None and _is_passing(comment),
            locks_for_rebuild=_locking(name, indexes.get(name, ()), virtual),
            options=options or "",
            indexes=indexes.get(name, ()),
            partitions=partitions.get(name, ()),
            auto_increment=_auto_increment(*counting[name], following) if following and name in counting else None,
            updated=changed,
        )
        for name, kind, engine, row_format, rows, data, keys, free, options, comment, following, most, changed in found
    ]
    known = [_with_files(table, reader.server, files or {}) for table in opened]
    return sorted([*known, *(() if names else unopened)], key=lambda table: table.name)


def _with_files(table: Table, server: Server, files: Mapping[PartName, FileSize]) -> Table:
    def measured(part: Part) -> Part:
        if table.engine in IN_OWN_FILES:
            return replace(part, file_bytes=part.data_bytes + part.index_bytes)
        file = files.get(part_name(server, table.name, part.name))
        if file is None:
            return part
        return replace(part, file_bytes=file.length, disk_bytes=file.on_disk if table.is_page_compressed else None)

    if table.partitions:
        return replace(table, partitions=tuple(map(measured, table.partitions)))
    (whole,) = map(measured, table.parts)
    return replace(table, file_bytes=whole.file_bytes, disk_bytes=whole.disk_bytes)


def _is_passing(comment: str | None) -> bool:
    return any(text in (comment or "") for text in _PASSING)


def _why_not_opened(engine: str | None, most: int | None, comment: str | None) -> str:
    return comment or "" if engine is None or (not most and _CRASHED in (comment or "")) else ""


async def _indexes(reader: Reader, some: str, *, exact: bool) -> Mapping[str, tuple[Index, ...]]:
    """By table."""
    asked = query("indexes", kinds=_KINDS if exact else "") + ("" if exact else _UNIQUE) + some
    row = (str, str, int, str | None, int, str | None, int | None, *((str, int | None) if exact else ()))
    found: dict[str, tuple[Index, ...]] = {}
    rows = sorted(await reader.rows(asked, row=row), key=lambda row: row[:3])  # faster than the server
    for (table, name), of_one in itertools.groupby(rows, key=lambda row: row[:2]):
        columns = [row if exact else (*row, *_ASSUMED) for row in of_one]
        index = Index(
            name=name,
            kind=columns[0][7],
            is_unique=not columns[0][4],
            may_be_null=any(column[5] == "YES" for column in columns),
            columns=tuple((column[3] or "", column[6]) for column in columns),
            has_cardinality=all(column[8] is not None for column in columns),
        )
        found[table] = (*found.get(table, ()), index)
    return found


async def _partitions(reader: Reader, some: str) -> Mapping[str, tuple[Part, ...]]:
    """By table."""
    row = (str, str, str | None, int | None, int | None, int | None, int | None)
    found: dict[str, tuple[Part, ...]] = {}
    for table, name, sub, rows, data, indexes, free in await reader.rows(query("partitions", some=some), row=row):
        whole_name = f"{name}.{sub}" if sub else name
        part = Part(
            name=whole_name,
            rows=rows or 0,
            data_bytes=data or 0,
            index_bytes=indexes or 0,
            free_bytes=free or 0,
        )
        found[table] = (*found.get(table, ()), part)
    return found


def _locking(table: str, indexes: Sequence[Index], virtual: set[tuple[str, str]]) -> str:
    """What keeps a table from being rebuilt online; "" for nothing."""
    for index in indexes:
        if index.kind in _LOCKING:
            return _LOCKING[index.kind]
    if any((table, column) in virtual for index in indexes for column, _ in index.columns):
        return "an index on a virtual column"
    return ""


def _auto_increment(column: str, kind: str, following: int) -> AutoIncrement | None:
    found = re.match(r"\w+", kind)
    bits = _BITS.get(found[0]) if found else None
    if bits is None:
        return None
    return AutoIncrement(column, following, 2**bits - 1 if "unsigned" in kind else 2 ** (bits - 1) - 1)
