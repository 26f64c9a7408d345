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
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from engine.system.kept_attributes import open_as
from engine.targets.database_files import file_size
from engine.targets.duckdb import SPEC, file_process, files
from engine.targets.duckdb.connection import Connection, StoppedError, in_thread, literal, quote
from engine.targets.duckdb.contents import Contents, copy_triggers, difference
from engine.targets.step_execution import StepProgress
from engine.targets.waits import first_of

Report = Callable[[StepProgress], None]
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_LOOK: Final = 0.05


class CopyError(Exception):
    """There is no copy, or it was not put in place: nothing changed."""


@contextmanager
def workshop(path: str, place: str) -> Iterator[str]:
    """The path for a copy of the file at `path`, on the way into the directory `place`. Leftovers of earlier copies are
    removed before, and this copy in the end."""
    remove_leftovers(path, place)
    directory = Path(place, f"{Path(path).name}.{secrets.token_hex(4)}.unfinished")
    directory.mkdir(mode=0o700)
    descriptor = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield str(directory / "copy")
    finally:
        _remove(directory)
        os.close(descriptor)


def remove_leftovers(path: str, place: str) -> None:
    """Remove what processes that died have left of copies of this file."""
    mark = re.compile(rf"{re.escape(Path(path).name)}\.[0-9a-f]{{8}}\.unfinished")
    for directory in (Path(place, found) for found in os.listdir(place) if mark.fullmatch(found)):  # noqa: PTH208
        with suppress(OSError):
            descriptor = os.open(directory, _DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(directory)
            finally:
                os.close(descriptor)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


async def make_compact(
    connection: Connection, original: Contents, copy: str, cancel: asyncio.Event, report: Report
) -> None:
    """Copy the content of the database to the new file `copy`, and compare both.

    Raises CopyError if they differ, duckdb.Error, StoppedError.
    """
    name = f"{original.name}_copy"
    version = original.storage_version.removesuffix("+")
    kept = f"STORAGE_VERSION {literal(version)}, BLOCK_SIZE {original.block_size}"
    await connection.rows(f"SET temp_directory = {literal(f'{copy}.tmp')}")
    await connection.rows(f"ATTACH {literal(copy)} AS {quote(name)} ({kept})")
    try:
        command = f"COPY FROM DATABASE {quote(original.name)} TO {quote(name)}"
        await connection.rows(command, cancel=cancel, report=report)
        await copy_triggers(connection, original.name, name)
        await _compare(connection, original, name, cancel, report)
        await connection.rows(f"CHECKPOINT {quote(name)}")
    finally:
        with suppress(duckdb.Error):
            await connection.rows(f"DETACH {quote(name)}")


async def make_identical(
    connection: Connection, original: Contents, copy: str, cancel: asyncio.Event, report: Report
) -> None:
    """Copy the file and its log, byte for byte, write the log back there, and compare both. The connection reads.

    Raises CopyError if they differ, duckdb.Error, StoppedError, TargetError, OSError.
    """
    size = file_size(connection.path)
    for end in ("", *SPEC.beside):
        if file_size(connection.path + end):
            await _copy_bytes(connection.path + end, copy + end, size, cancel, report)
    copied = await Connection.open(copy, writing=True, timeout=0.0)
    try:
        await copied.rows("CHECKPOINT")
    finally:
        await copied.close()
    name = f"{original.name}_copy"
    await connection.rows(f"ATTACH {literal(copy)} AS {quote(name)} (READ_ONLY)")
    try:
        await _compare(connection, original, name, cancel, report)
    finally:
        with suppress(duckdb.Error):
            await connection.rows(f"DETACH {quote(name)}")


async def _copy_bytes(path: str, copy: str, size: int, cancel: asyncio.Event, report: Report) -> None:
    with file_process.begin_copy(path, copy) as process:
        try:
            while process.poll() is None:
                await first_of(cancel, timeout=_LOOK)
                report(StepProgress(fraction=min(file_size(copy) / size, 1.0)))
                if cancel.is_set():
                    raise StoppedError
        finally:
            process.kill()
        problem = process.stderr.read().strip() if process.stderr and process.returncode else ""
    if process.returncode:
        raise CopyError(f"the copy cannot be written: {problem}")


async def _compare(
    connection: Connection, original: Contents, copy: str, cancel: asyncio.Event, report: Report
) -> None:
    report(StepProgress(phase="comparing the copy"))
    if what := await difference(connection, original, copy, cancel):
        raise CopyError(f"the copy is not used, as {what}")


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
