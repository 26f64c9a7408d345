"""The new file of a backup: its name, its making, its becoming the real one."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import date
from pathlib import Path
from typing import Final

BESIDE: Final = ("-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for files of its own."""
UNFINISHED: Final = ".unfinished"
"""What the name of a copy ends with until it is complete and checked."""


def destination(path: str, asked: str | None, today: date) -> str:
    """Where the backup of the database at `path` goes: to the file that was asked for, or, into the directory that
    was asked for or that of the database, as `sales.backup-2026-11-24.db`, with a number where that exists."""
    if asked is not None and not Path(asked).is_dir():
        return asked
    database = Path(path)
    directory = database.parent if asked is None else Path(asked)
    for number in range(1, 10_000):
        again = "" if number == 1 else f".{number}"
        candidate = directory / f"{database.stem}.backup-{today.isoformat()}{again}{database.suffix}"
        if not os.path.lexists(candidate):
            return str(candidate)
    return str(candidate)


def unfinished(destination: str) -> str:
    return destination + UNFINISHED


def problem_with(destination: str) -> str | None:
    """Why there cannot be a new file at `destination`, and what to do; None where there can."""
    if destination.endswith(BESIDE):
        return f"{destination} is how SQLite names files of its own, and removes them: give another --backup-to"
    directory = os.path.dirname(destination)  # noqa: PTH120 - of `missing/` it is `missing`
    if os.path.lexists(destination):
        return f"there is a file {destination} already: give another --backup-to, or move it away"
    if not Path(directory).is_dir():
        return f"there is no directory {directory}: make it, or give another --backup-to"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"no permission to write to {directory}: allow it, or give another --backup-to"
    return None


def begin(destination: str) -> None:
    """Make an empty file that nobody else may read. What an earlier attempt left there is removed. Raises OSError."""
    discard(destination)
    os.close(os.open(unfinished(destination), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def identity(destination: str) -> tuple[int, int]:
    """Device and inode of the unfinished copy. Raises OSError."""
    status = Path(unfinished(destination)).stat()
    return status.st_dev, status.st_ino


def complete(source: str, destination: str, checked: tuple[int, int]) -> None:
    """Give the copy its name, durably, and to those who may read the source.

    Raises OSError, FileExistsError where somebody took the name meanwhile.
    """
    path = unfinished(destination)
    if identity(destination) != checked:
        raise FileNotFoundError(f"{path} was replaced while it was written")
    _open_as(source, path)
    _sync(path)
    try:
        os.link(path, destination)  # never replaces a file, as a rename would
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(destination):
            raise FileExistsError(destination) from None
        Path(path).rename(destination)
    else:
        Path(path).unlink()
    _sync(str(Path(destination).parent))


def _open_as(source: str, copy: str) -> None:
    status = Path(source).stat()
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.chown(copy, status.st_uid, status.st_gid)
    Path(copy).chmod(status.st_mode & 0o777)


def discard(destination: str) -> None:
    """Remove an unfinished copy, with what SQLite put beside it, as far as that can be done."""
    for suffix in ("", *BESIDE):
        with contextlib.suppress(OSError):
            Path(unfinished(destination) + suffix).unlink()


def leftovers(path: str, asked: str | None) -> list[str]:
    """The destinations, as `destination` names them, of copies of the database at `path` that were never completed."""
    database = Path(path)
    if asked is not None and not Path(asked).is_dir():
        return [asked] if os.path.lexists(unfinished(asked)) else []
    directory = database.parent if asked is None else Path(asked)
    ours = re.compile(
        rf"{re.escape(database.stem)}\.backup-\d{{4}}-\d\d-\d\d(\.\d+)?{re.escape(database.suffix + UNFINISHED)}"
    )
    found = [entry for entry in directory.iterdir() if ours.fullmatch(entry.name)]
    return sorted(str(entry).removesuffix(UNFINISHED) for entry in found)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
