"""The files of InnoDB's tables and partitions, and the changes that it counts of each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import pymysql

from engine.domain.frozen import frozen
from engine.targets.answer_shapes import Shape
from engine.targets.mysql.connection.errors import NO_RIGHT, is_disk_full, number_of
from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader

PartName = tuple[str, str]
"""A table as its file is named, and its partition as `Part.name` or "", in lower case: there servers differ."""

_SEPARATOR: Final = "\uf8ff"
"""No table has it in its name."""
# In names of files and of statistics; a table may be called so, too.
_PARTITION: Final = re.compile("#[pP]#")
_SUBPARTITION: Final = re.compile("#sp#")


@frozen
class FileSize:
    """Bytes of a file."""

    length: int
    on_disk: int
    """Fewer where the pages of the table are compressed. MariaDB writes them later, and then these are too few."""


@frozen
class Counted:
    """Persistent statistics of a table."""

    at: int
    """When they were collected, in seconds since 1970."""
    rows: int
    """The rows that it had then."""


async def file_sizes(reader: Reader) -> Mapping[PartName, FileSize] | None:
    """The size of each file; None without the right to see them. Raises TargetError."""
    rows = await tablespaces(reader, _of_files("file_sizes", reader.server.flavor), row=(str, int | None, int | None))
    if rows is None:
        return None
    sizes = [(name, FileSize(length, held or 0)) for name, length, held in rows if length is not None]
    return await _by_part(reader, sizes)


async def table_sizes(reader: Reader) -> Mapping[str, FileSize] | None:
    """The files of each table together, by `Server.file_name`; None without the right to see them.

    Raises TargetError.
    """
    files = await file_sizes(reader)
    if files is None:
        return None
    sizes: dict[str, FileSize] = {}
    for (table, _), file in files.items():
        known = sizes.get(table, FileSize(0, 0))
        sizes[table] = FileSize(known.length + file.length, known.on_disk + file.on_disk)
    return sizes


async def file_paths(reader: Reader) -> Mapping[PartName, str] | None:
    """Paths relative to the data directory of the server; None without the right to see them. Raises TargetError."""
    return await _by_part(
        reader, await tablespaces(reader, _of_files("file_paths", reader.server.flavor), row=(str, str | None))
    )


async def ids_of_tables(reader: Reader) -> Mapping[str, Collection[int]]:
    """The numbers that InnoDB of MySQL has for each table and its partitions, by `Server.file_name`.

    None without the right to see them. It opens every table of the server: that takes seconds where these are many.
    Raises TargetError.
    """
    found: dict[str, set[int]] = {}
    numbers = await _by_part(reader, await rows_if_allowed(reader, query("ids_of_tables"), row=(str, int)))
    for (name, _), number in (numbers or {}).items():
        found.setdefault(name, set()).add(number)
    return found


async def changes(reader: Reader) -> Mapping[PartName, int] | None:
    """The rows that changed since InnoDB last collected statistics; None without the right to see them.

    Raises TargetError.
    """
    rows = await rows_if_allowed(reader, _of_files("changed_rows", reader.server.flavor), row=(str, int | None))
    if rows and reader.server.flavor is Flavor.MYSQL and any("@" in name for name, _ in rows):  # encoded as in paths
        paths = await rows_if_allowed(reader, _of_files("file_paths", Flavor.MYSQL), row=(str, str | None)) or ()
        names = {(path or "").removeprefix("./").removesuffix(".ibd"): name for name, path in paths}
        rows = [(names.get(name) or _decoded(name), number) for name, number in rows]
    return await _by_part(reader, rows)


async def with_statistics(reader: Reader) -> Mapping[PartName, Counted] | None:
    """Tables with persistent statistics; None without the right to see them. Raises TargetError."""
    rows = await rows_if_allowed(reader, query("persistent_statistics"), row=(str, int, int))
    return None if rows is None else await _parsed(reader, [(name, Counted(*counted)) for name, *counted in rows])


def _of_files(name: str, flavor: Flavor) -> str:
    return query(name, mariadb=flavor is Flavor.MARIADB, separator=_SEPARATOR)


async def tablespaces(reader: Reader, query: str, *, row: Shape) -> list[tuple[Any, ...]] | None:
    """The rows of a query of the tablespaces of InnoDB; None without the right to see them. Raises TargetError.

    Also None on MariaDB whose InnoDB is read-only: the query would crash the server (seen with 11.8).
    """
    if reader.server.flavor is Flavor.MARIADB and reader.server.is_innodb_read_only:
        return None
    return await rows_if_allowed(reader, query, row=row)


async def rows_if_allowed(
    reader: Reader, query: str, args: Sequence[object] = (), *, row: Shape
) -> list[tuple[Any, ...]] | None:
    """The rows of a query; None where the user has no right to run it, or the server no room. Raises TargetError."""
    try:
        return await reader.rows_or_error(query, args, row=row)
    except pymysql.MySQLError as error:
        if number_of(error) in NO_RIGHT or is_disk_full(error):
            return None
        raise reader.error(error) from None


def part_name(server: Server, table: str, part: str = "") -> PartName:
    """`part`: as `Part.name`."""
    return server.file_name(table), part.lower()


async def _parsed(reader: Reader, rows: Iterable[tuple[str, Any]]) -> dict[PartName, Any]:
    """The values by table and part, from names such as `orders`, `orders#P#p0` or `orders#P#p0#SP#p0sp1`.

    Raises TargetError.
    """
    found = list(rows)
    with_sign = any(_PARTITION.search(name) for name, _ in found)
    tables = await reader.rows(query("tables_with_sign"), row=(str,)) if with_sign else []
    known = {reader.server.file_name(name) for (name,) in tables}
    return {_part(name, known): value for name, value in found}


def _part(name: str, tables: Collection[str]) -> PartName:
    """`tables`: those that have the sign of a partition in their names."""
    signs = list(_PARTITION.finditer(name)) if "#" in name else []  # most have none
    if not signs or name in tables:
        return name, ""
    sign = next((one for one in signs if name[: one.start()] in tables), signs[0])
    return name[: sign.start()], _SUBPARTITION.sub(".", name[sign.end() :].lower(), count=1)


async def _by_part(reader: Reader, rows: list[tuple[Any, ...]] | None) -> dict[PartName, Any] | None:
    if rows is None:
        return None
    database = reader.server.file_name(reader.server.database)
    found = []
    for path, value in rows:
        owner, _, name = path.replace(_SEPARATOR, "/", 1).partition("/")
        if owner == database and value is not None:
            found.append((name.replace(_SEPARATOR, "#"), value))
    return await _parsed(reader, found)


def _decoded(path: str) -> str:
    """The letters that MySQL encodes as numbers; those with a code of their own stay."""
    return re.sub(r"@([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), path) if "@" in path else path
