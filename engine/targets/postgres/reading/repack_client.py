"""pg_repack before PostgreSQL 19: its extension in the database, and its client on this host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import psycopg

from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.targets.postgres.connection.errors import server_message
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.repack import Obstacle

PROGRAM: Final = "pg_repack"
SCHEMA: Final = "repack"
"""The schema of its functions, logs and copies."""
LOCK: Final = 16_185_446
"""The class of the advisory lock that its client holds for each table while it works."""
_WHERE_PACKAGES_PUT_IT: Final = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
_ANSWERS_WITHIN: Final = 10.0
"""Seconds."""


@frozen
class Client:
    path: str
    version: str
    """Such as `1.5.3`."""


@frozen
class Extension:
    """The extension pg_repack of one database."""

    library: str
    """The version of the library of pg_repack on the server; "" if unknown."""
    sql: str
    """The version of the extension that is installed in the database; "" if unknown."""
    publication: str | None = None
    """A publication FOR ALL TABLES: the client refuses a database that has one."""
    problem: str = ""
    """Why the server cannot run it, as text."""


async def clients() -> Sequence[Client]:
    """The clients of pg_repack on this host: on the PATH, and where packages of Debian and Red Hat install them."""
    return await asyncio.to_thread(lambda: list(_clients()))


def _clients() -> Iterator[Client]:
    places = [Path(place) for place in os.get_exec_path()]
    places += [place for pattern in _WHERE_PACKAGES_PUT_IT for place in sorted(Path("/").glob(pattern), reverse=True)]
    for place in dict.fromkeys(places):
        path = shutil.which(PROGRAM, path=str(place))
        if path is not None and place.is_absolute():
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                file = Path(path).stat()
                if version := _version(path, (file.st_dev, file.st_ino, file.st_mtime_ns)):
                    yield Client(path, version)


@lru_cache(maxsize=32)
def _version(path: str, _file: tuple[int, ...]) -> str:
    """Of the program, or "" if it is no pg_repack. `_file`: changes with the program: each is asked once."""
    asked = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWERS_WITHIN)
    found = re.fullmatch(rb"pg_repack (\S{1,20})", asked.stdout.strip())
    return found[1].decode(errors="replace") if found else ""


async def extension(reader: Reader) -> Extension:
    """The extension pg_repack of this database; without one, its `problem` says why. Raises TargetError."""
    try:
        versions = await reader.row_or_error(query("pg_repack_versions"), row=(str, str))
    except psycopg.Error as error:
        reader.raise_if_lost(error)
        return Extension("", "", problem=server_message(error))
    library, sql = (version.removeprefix(f"{PROGRAM} ") for version in versions)
    found = await reader.rows(query("publication_of_all_tables"), row=(str,))
    return Extension(library, sql, found[0][0] if found else None)


async def obstacles(reader: Reader) -> Mapping[int, Obstacle]:
    """Why the client refuses a table, by its oid. Raises TargetError."""
    return {
        oid: Obstacle(why)
        for oid, why in await reader.rows(query("pg_repack_obstacles"), row=(int, str | None))
        if why is not None
    }


def drop_command(oid: int) -> str:
    """The SQL that drops what pg_repack left of this table, unless one works on it."""
    lock = f"pg_try_advisory_xact_lock({LOCK}, ({oid} - 2147483648)::int)"
    return f"SELECT repack.repack_drop({oid}::oid, 4) FROM (SELECT {lock}) AS lock (is_free) WHERE is_free"


def left_by_pg_repack(names: Sequence[str]) -> str:
    """What an interrupted pg_repack left of these tables, and what to do, as text."""
    left = f"an interrupted pg_repack left its trigger and its log at {listed(names, 3)}"
    return f"{left}: each write makes the log longer; clean-leftovers drops them, as a superuser"


async def leftovers(reader: Reader) -> frozenset[int]:
    """The oids of tables where an interrupted pg_repack left its trigger, its log, its copy or its type.

    The trigger writes every change of the table into the log. Raises TargetError.
    """
    return frozenset(oid for (oid,) in await reader.rows(query("pg_repack_leftovers", lock=LOCK), row=(int,)))
