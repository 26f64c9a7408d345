"""Where a rebuild writes the new files of tables, if the disk of the server can be seen from here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine.system.local_servers import is_loopback, owner, user_of_server
from engine.targets.disk_space import Need
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.reading.files import FileSize, PartName, file_paths, file_sizes, part_name
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table

_COMPARED: Final = 10
"""Files that must be as large here as the server says."""


async def disk_needs(reader: Reader, tables: Sequence[Table]) -> Mapping[str, tuple[Need, ...]]:
    """What the new files of each table take, by its name; empty where the server's disk cannot be seen.

    Raises TargetError.
    """
    directory = await _data_directory(reader)
    if directory is None:
        return {}
    paths = await file_paths(reader) or {}
    return {table.name: _needs(reader.server, table, directory, paths) for table in tables}


async def with_sizes(reader: Reader, unopened: Sequence[Table]) -> list[Table]:
    """The tables with the sizes of their files, where these can be seen. Raises TargetError."""
    directory = await _data_directory(reader) if unopened else None
    return [_with_sizes(table, directory) if directory is not None else table for table in unopened]


async def _data_directory(reader: Reader) -> Path | None:
    """That of the server; None where its disk cannot be seen."""
    user, has_port_here = user_of_server(reader.connection.line), is_loopback(reader.connection.line)
    if user is None and not has_port_here:
        return None
    (name,) = await reader.row("SELECT @@datadir", row=(str,))
    directory = Path(name)
    if has_port_here:
        is_seen = has_files(directory, await file_paths(reader) or {}, await file_sizes(reader) or {})
    else:
        is_seen = owner(directory) == user
    return directory if is_seen else None


def _with_sizes(table: Table, directory: Path) -> Table:
    data, indexes = _SUFFIXES.get(table.engine, ("", ""))
    path = directory / encoded(table.database) / encoded(table.name)
    try:
        return replace(
            table,
            data_bytes=path.with_suffix(data).stat().st_size,
            index_bytes=path.with_suffix(indexes).stat().st_size,
        )
    except (OSError, ValueError):  # only root and the server may look, or it is elsewhere
        return table


_SUFFIXES: Final = {"MyISAM": (".MYD", ".MYI"), "Aria": (".MAD", ".MAI")}


def encoded(name: str) -> str:
    """A name as that of a file. Letters that are not of ASCII have codes of their own: their file is not found."""
    return re.sub(r"[^0-9A-Za-z_]", lambda found: f"@{ord(found[0]):04x}", name)


def _needs(server: Server, table: Table, directory: Path, paths: Mapping[PartName, str]) -> tuple[Need, ...]:
    by_directory: dict[str, int] = {}
    for part in table.parts:
        path = directory / paths.get(part_name(server, table.name, part.name), "")
        # Other users may not look into those of its databases.
        place = str(directory if path.is_relative_to(directory) else path.parent)
        by_directory[place] = by_directory.get(place, 0) + part.used_bytes
    return tuple(Need(place, size, f"the new file of {table.shown}") for place, size in by_directory.items())


def has_files(directory: Path, paths: Mapping[PartName, str], sizes: Mapping[PartName, FileSize]) -> bool:
    """Whether files of the database are there, as large as the server says."""
    largest = sorted(paths.keys() & sizes.keys(), key=lambda part: -sizes[part].length)[:_COMPARED]
    try:
        return bool(largest) and all((directory / paths[part]).stat().st_size == sizes[part].length for part in largest)
    except (OSError, ValueError):
        return False
