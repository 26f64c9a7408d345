"""Where a rewrite writes the new files of tables, if the disk of the server can be seen from here."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from engine.domain.frozen import frozen
from engine.system.local_servers import is_loopback, owner, user_of_server
from engine.targets.disk_space import Need
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import Table


@frozen
class Place:
    """Where parts of a table are. `directory`: "" for that of the server."""

    is_index: bool
    directory: str
    bytes: int


@frozen
class TableCopy:
    """What a rewrite of a table writes."""

    bytes: int
    """Bytes of the table and its indexes."""
    needs: tuple[Need, ...]


async def table_copies(
    reader: Reader, tables: Sequence[Table], dead: Mapping[int, int], log_kept: int | None
) -> Mapping[int, TableCopy]:
    """The copy of each table, by its oid, with the directories that it needs if the server's disk can be seen.

    Raises TargetError.

    Args:
        dead: the bytes of tables that are dead space, by oid, where they are known.
        log_kept: the most bytes of the write-ahead log that an inactive slot keeps; None if there is no such slot.
    """
    directory = await _directory(reader)
    if not tables:
        return {}
    places: dict[int, list[Place]] = {}
    for oid, is_index, place, size in await _sizes(reader, [table.oid for table in tables]):
        places.setdefault(oid, []).append(Place(is_index, place, size))
    return {
        table.oid: _copy(table, dead.get(table.oid, 0), places.get(table.oid, ()), directory, log_kept)
        for table in tables
    }


def _copy(table: Table, dead: int, places: Sequence[Place], directory: Path | None, log_kept: int | None) -> TableCopy:
    by_place: dict[str, int] = {}
    for place in places:
        size = place.bytes if place.is_index else max(place.bytes - dead, 0)
        by_place[place.directory] = by_place.get(place.directory, 0) + size
    written = sum(by_place.values())
    if directory is None:
        return TableCopy(written, ())
    seen = {place: _seen(Path(place)) if place else str(directory) for place in by_place}
    needs = [Need(at, by_place[place], f"the copy of {table.shown}") for place, at in seen.items() if at is not None]
    if log_kept is not None:
        log = _seen(directory / "pg_wal") or str(directory)
        needs.append(Need(log, min(written, log_kept), "the write-ahead log, which a slot keeps"))
    return TableCopy(written, tuple(needs))


async def _sizes(reader: Reader, oids: Sequence[int]) -> list[tuple[int, bool, str, int]]:
    """Raises TargetError."""
    row = (int, bool, str, int)
    try:
        return await reader.rows_or_error(query("places", page=PAGE), {"oids": oids, "measured": True}, row=row)
    except psycopg.Error:  # a table was locked this moment
        return await reader.rows(query("places", page=PAGE), {"oids": oids, "measured": False}, row=row)


async def _directory(reader: Reader) -> Path | None:
    """The data directory, if it is on this machine, and its file system can be asked."""
    if reader.server.is_pooled:
        return None
    async with reader.alone() as connection:
        user, has_port_here = _line(connection)
    if user is None and not has_port_here:
        return None
    (name,) = await reader.row(query("data_directory"), row=(str | None,))
    if name is None:
        return None
    directory = Path(name)
    is_its = _is_of(directory, reader.server.system)
    if is_its is None:  # its files cannot be read: who owns it must do, where the server says who it is
        is_its = user is not None and owner(directory) == user
    return directory if is_its and _seen(directory) is not None else None


def _line(connection: Connection) -> tuple[int | None, bool]:
    """The user that the server runs as, and whether it has a port of this machine."""
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        return user_of_server(line), is_loopback(line)
    return None, False


def _is_of(directory: Path, system: str) -> bool | None:
    """Whether this is the data directory of the cluster with that identifier; None if it cannot be read."""
    try:
        (identifier,) = struct.unpack("Q", (directory / "global" / "pg_control").read_bytes()[:8])
    except PermissionError:
        return None
    except (OSError, ValueError, struct.error):
        return False
    return str(identifier) == system


def _seen(directory: Path) -> str | None:
    """The directory, if its file system can be asked."""
    try:
        os.statvfs(directory)
    except (OSError, ValueError):
        return None
    return str(directory)
