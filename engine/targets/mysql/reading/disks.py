"""Where a rebuild writes the new files of tables, if the disk of the server can be seen from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from engine.system.local_servers import owner
from engine.targets.disk_space import Need
from engine.targets.mysql.reading.files import PartName, file_paths, file_sizes
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table

_COMPARED: Final = 10
"""Files that must be as large here as the server says."""


async def disk_needs(reader: Reader, tables: Sequence[Table]) -> Mapping[str, tuple[Need, ...]]:
    """What the new files of each table take, by its name; empty where the server's disk cannot be seen.

    Raises TargetError.
    """
    user, is_loopback = reader.connection.server_user, reader.connection.is_loopback
    if user is None and not is_loopback:
        return {}
    (directory,) = await reader.row("SELECT @@datadir", row=(str,))
    paths = await file_paths(reader) or {}
    if is_loopback:
        is_seen = has_files(Path(directory), paths, await file_sizes(reader) or {})
    else:
        is_seen = owner(Path(directory)) == user
    return {table.name: _needs(table, Path(directory), paths) for table in tables} if is_seen else {}


def _needs(table: Table, directory: Path, paths: Mapping[PartName, str]) -> tuple[Need, ...]:
    by_directory: dict[str, int] = {}
    for part in table.parts:
        path = directory / paths.get((table.name.lower(), part.name.lower()), "")
        # Other users may not look into those of its databases.
        place = str(directory if path.is_relative_to(directory) else path.parent)
        by_directory[place] = by_directory.get(place, 0) + part.used_bytes
    return tuple(Need(place, size, f"the new file of {table.shown}") for place, size in by_directory.items())


def has_files(directory: Path, paths: Mapping[PartName, str], sizes: Mapping[PartName, int]) -> bool:
    """Whether files of the database are there, as large as the server says."""
    largest = sorted(paths.keys() & sizes.keys(), key=lambda part: -sizes[part])[:_COMPARED]
    try:
        return bool(largest) and all((directory / paths[part]).stat().st_size == sizes[part] for part in largest)
    except (OSError, ValueError):
        return False
