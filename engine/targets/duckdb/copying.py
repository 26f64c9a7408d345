"""Makes a compared copy of a DuckDB file, as a backup or in its place.

A copy is made in a private directory beside its destination, whose lock says that a process works there. In the place
of the file it comes under a lock on the copy, of the kind that DuckDB takes: no other process opens it before the
old file is closed, which writes or removes the log beside its name.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from engine.system.kept_attributes import open_as
from engine.targets.duckdb import files
from engine.targets.duckdb.connection import Connection, in_thread, literal, quote
from engine.targets.duckdb.contents import Contents, difference
from engine.targets.step_execution import StepProgress

_COPY: Final = "copy"
_ATTACHED: Final = "dbtend_copy"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_MADE: Final = (_COPY, f"{_COPY}.wal", f"{_COPY}.tmp")


class CopyError(Exception):
    """There is no copy, or it was not put in place: nothing changed."""


@contextmanager
def workshop(destination: str) -> Iterator[str]:
    """The path for a copy that will be called `destination`. What is left of it, or of earlier ones, is removed."""
    remove_leftovers(destination)
    directory = Path(f"{destination}.{secrets.token_hex(4)}.unfinished")
    directory.mkdir(mode=0o700)
    descriptor = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield str(directory / _COPY)
    finally:
        _remove(directory)
        os.close(descriptor)


def remove_leftovers(destination: str) -> None:
    """Remove what processes that died have left of copies for this destination."""
    parent, name = os.path.split(destination)
    mark = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{8}}\.unfinished")
    for directory in (Path(parent, found) for found in os.listdir(parent) if mark.fullmatch(found)):  # noqa: PTH208
        with suppress(OSError):
            descriptor = os.open(directory, _DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(directory)
            finally:
                os.close(descriptor)


def _remove(directory: Path) -> None:
    for name in _MADE:
        with suppress(OSError):
            (directory / name).unlink()
    with suppress(OSError):
        directory.rmdir()


async def make(
    connection: Connection, original: Contents, copy: str, cancel: asyncio.Event, report: Callable[[StepProgress], None]
) -> None:
    """Copy the whole database to the new file `copy`, and compare both.

    Raises CopyError if they differ, duckdb.Error, StoppedError.
    """
    version = original.storage_version.removesuffix("+")
    kept = f"STORAGE_VERSION {literal(version)}, BLOCK_SIZE {original.block_size}"
    await connection.rows(f"ATTACH {literal(copy)} AS {_ATTACHED} ({kept})")
    try:
        command = f"COPY FROM DATABASE {quote(original.name)} TO {_ATTACHED}"
        await connection.rows(command, cancel=cancel, report=report)
        report(StepProgress(phase="comparing the copy"))
        if what := await difference(connection, original, _ATTACHED, cancel):
            raise CopyError(f"the copy is not used, as {what}")
        await connection.rows(f"CHECKPOINT {_ATTACHED}")
    finally:
        with suppress(duckdb.Error):
            await connection.rows(f"DETACH {_ATTACHED}")


def give_name(path: str, copy: str, destination: str) -> int:
    """Give a copy its name, durably, with the rights of the file at `path`. Returns its size.

    Raises OSError, FileExistsError.
    """
    with _prepared(path, copy):
        os.link(copy, destination)
        _sync(str(Path(destination).parent))
        return Path(copy).stat().st_size


async def put_in_place(connection: Connection, key: str, copy: str) -> None:
    """Put the copy in the place of the file with this key, which the connection has open for writing, and close that.

    Raises CopyError, OSError.
    """
    path = connection.path
    await connection.rows("CHECKPOINT")
    if files.log_size(path) or files.key_of(path) != key:
        raise CopyError("the file was moved, replaced or written to while it was copied: it stays as it is")
    await in_thread(lambda: _exchange(path, copy, connection.close_now))


def _exchange(path: str, copy: str, close: Callable[[], None]) -> None:
    with _prepared(path, copy) as descriptor:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        Path(copy).rename(path)
        _sync(str(Path(path).parent))
        close()


@contextmanager
def _prepared(path: str, copy: str) -> Iterator[int]:
    """A descriptor of the copy, which has the rights of the file and is on the disk. Raises OSError."""
    descriptor = os.open(copy, os.O_RDWR | os.O_NOFOLLOW)
    try:
        open_as(path, descriptor)
        os.fsync(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(directory: str) -> None:
    descriptor = os.open(directory, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
