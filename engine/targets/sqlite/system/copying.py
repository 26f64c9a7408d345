"""The new file of a backup: its name, its making, its becoming the real one."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

from engine.targets.sqlite.system.unfinished import UnfinishedCopy, remove_abandoned

BESIDE: Final = ("-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for files of its own."""


def destination(path: str, asked: str | None, today: date) -> str:
    """Where the backup of the database at `path` goes: to the file that was asked for, or into the directory that was
    asked for or that of the database, by a name of ours."""
    place = _directory(path, asked)
    return str(asked) if place is None else free_name(path, place, today)


def free_name(path: str, directory: str, today: date) -> str:
    """Such as `sales.backup-2026-11-24.db` in `directory`, with a number where that exists."""
    database = Path(path)
    for number in range(1, 10_000):
        again = "" if number == 1 else f".{number}"
        candidate = Path(directory, f"{database.stem}.backup-{today.isoformat()}{again}{database.suffix}")
        if not os.path.lexists(candidate):
            break
    return str(candidate)


def _directory(path: str, asked: str | None) -> str | None:
    """The one in which the backup gets a name of ours; None where its name was asked for."""
    if asked is None:
        return str(Path(path).parent)
    return asked if Path(asked).is_dir() else None


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


def complete(copy: UnfinishedCopy, source: str, destination: str, another: Callable[[], str]) -> str:
    """Give the copy its name, durably, and to those who may read the source: `destination`, or where somebody has taken
    that meanwhile, what `another` says. Returns what it is called now; the copy is still to be discarded.

    Raises OSError, FileExistsError where `another` says the same.
    """
    copy.require()
    _open_as(source, copy.path)
    _sync(copy.path)
    while True:
        try:
            _give_name(copy.path, destination)
            break
        except FileExistsError:
            taken, destination = destination, another()
            if destination == taken:
                raise
    _sync(str(Path(destination).parent))
    return destination


def _give_name(path: str, destination: str) -> None:
    """Never in the place of another file, as a rename would."""
    try:
        os.link(path, destination)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: there the name is made ours first
        os.close(os.open(destination, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            Path(path).rename(destination)
        except OSError:
            Path(destination).unlink()
            raise


def _open_as(source: str, copy: str) -> None:
    status = Path(source).stat()
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.chown(copy, status.st_uid, status.st_gid)
    Path(copy).chmod(status.st_mode & 0o777)


def remove_leftovers(path: str, asked: str | None) -> None:
    """Remove the copies of the database at `path` that were never completed, and that nobody works on."""
    place, database = _directory(path, asked), Path(path)
    if place is None:
        directory, name = os.path.split(str(asked))
        remove_abandoned(directory, re.escape(name))
    else:
        dated = rf"{re.escape(database.stem)}\.backup-\d{{4}}-\d\d-\d\d(\.\d+)?{re.escape(database.suffix)}"
        remove_abandoned(place, dated)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
