"""The new file of a backup or of `vacuum --swap`: its name, its making, its becoming the real one; its removal."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final

from engine.system.kept_attributes import open_as
from engine.targets.sqlite.system import directories
from engine.targets.sqlite.system.files import BESIDE
from engine.targets.sqlite.system.unfinished_backup import COPY, UnfinishedCopy, remove_abandoned

_CHUNK: Final = 1 << 20
# Without the flag, this fails as on a file system without such files: a directory cannot be opened to write.
_UNNAMED: Final = getattr(os, "O_TMPFILE", 0) | os.O_RDWR


def destination(path: str, asked: str | None, today: date) -> str:
    """The place of the backup of the database at `path`: the requested file, or a new name in the requested directory
    or in that of the database."""
    place = _directory(path, asked)
    return str(asked) if place is None else free_name(path, place, today)


def free_name(path: str, directory: str, today: date) -> str:
    """Such as `sales.backup-2026-11-24.db` in `directory`; if there are backups of that day, with the number after the
    highest: a number that a removed one had would be taken for that of an older backup."""
    database = Path(path)
    stem, suffix = f"{database.stem}.backup-{today.isoformat()}", database.suffix
    number = _highest(directory, stem, suffix) + 1
    while os.path.lexists(candidate := Path(directory, f"{stem}{f'.{number}' if number > 1 else ''}{suffix}")):
        number += 1
    return str(candidate)


def _highest(directory: str, stem: str, suffix: str) -> int:
    """The highest number of the files of this name; 0 if there are none, or if the directory cannot be listed."""
    pattern = re.compile(rf"{re.escape(stem)}(?:\.([0-9]+))?{re.escape(suffix)}")
    try:
        found = list(filter(None, map(pattern.fullmatch, os.listdir(directory))))  # noqa: PTH208 - names are wanted
    except OSError:
        return 0
    return max((int(match[1] or 1) for match in found), default=0)


def generated_names(path: str) -> re.Pattern[str]:
    """Matches the names that `free_name` gives."""
    database = Path(path)
    return re.compile(rf"{re.escape(database.stem)}\.backup-\d{{4}}-\d\d-\d\d(\.\d+)?{re.escape(database.suffix)}")


def _directory(path: str, asked: str | None) -> str | None:
    """The directory in which the backup gets a generated name; None if a name was requested."""
    if asked is None:
        return str(Path(path).parent)
    return asked if Path(asked).is_dir() else None


def problem_with(destination: str, *, numbered: bool = False) -> str | None:
    """Why there cannot be a new file at `destination`, and what to do; None where there can.

    `numbered`: where there is a file already, the next number is taken.
    """
    if destination.endswith(BESIDE):
        return f"{destination} is a name that SQLite uses for its own files, and removes: give another --backup-to"
    directory = os.path.dirname(destination)  # noqa: PTH120 - of `missing/` it is `missing`
    if not numbered and os.path.lexists(destination):
        return f"there is a file {destination} already: give another --backup-to, or move it away"
    if not Path(directory).is_dir():
        return f"there is no directory {directory}: make it, or give another --backup-to"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"no permission to write to {directory}: allow it, or give another --backup-to"
    try:
        with directories.opened(directory):
            pass
    except OSError as error:
        return f"{directory} cannot be opened ({error.strerror}): give another --backup-to"
    place = directories.workshop(directory)
    if place is None:
        return f"others can change {directory}, and there is no safe directory for the copy: give another --backup-to"
    if not directories.on_one_file_system(place, directory) and not _takes_unnamed_files(directory):
        return f"others can change {directory}, and its file system has no unnamed files: give another --backup-to"
    return None


def _takes_unnamed_files(directory: str) -> bool:
    try:
        os.close(os.open(directory, _UNNAMED, 0o600))
    except OSError:
        return False
    return True


def place_for(destination: str) -> tuple[str, bool]:
    """In which directory the copy for `destination` is made, another one where others can change that; and whether that
    is on another file system, so that it is written twice."""
    directory = _directory_of(destination)
    place = directories.workshop(directory) or directory
    return place, not directories.on_one_file_system(place, directory)


def complete(
    copy: UnfinishedCopy, source: int | str, destination: str, another: Callable[[], str]
) -> tuple[str, os.stat_result]:
    """Give the copy its name, durably, and the permissions of the source. `another` gives a new name if `destination`
    is taken by now. Returns the final name and the status of the file; the copy must still be discarded.

    Every action uses the descriptor of the written file, so other processes cannot redirect it.

    Raises OSError, FileExistsError where `another` says the same.
    """
    directory = _directory_of(destination)
    with copy.opened() as descriptor, directories.opened(directory) as place:
        open_as(source, descriptor)
        os.fsync(descriptor)
        while True:
            try:
                named = _give_name(copy, descriptor, source, place.descriptor, Path(destination).name)
                break
            except FileExistsError:
                taken, destination = destination, another()
                if destination == taken and os.path.lexists(taken):  # else it is free again by now
                    raise
        sync_directory(place.descriptor)
        if not _is_called(named, Path(destination).name, place.descriptor):
            raise FileNotFoundError(f"{destination} was replaced as it got its name")
        return destination, named


def _is_called(file: os.stat_result, name: str, directory: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), file)
    return False


def _directory_of(destination: str) -> str:
    return str(Path(destination).parent)


def _give_name(copy: UnfinishedCopy, descriptor: int, source: int | str, place: int, name: str) -> os.stat_result:
    """Give the file its name, without replacing another file as a rename would.

    Returns the status of the named file.
    """
    try:
        os.link(COPY, name, src_dir_fd=copy.descriptor, dst_dir_fd=place, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:
            return _write_as(descriptor, source, place, name)
        # A file system without hard links: there the name is made ours first.
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600, dir_fd=place))
        try:
            os.rename(COPY, name, src_dir_fd=copy.descriptor, dst_dir_fd=place)
        except OSError:
            os.unlink(name, dir_fd=place)
            raise
    return os.fstat(descriptor)


def _write_as(descriptor: int, source: int | str, place: int, name: str) -> os.stat_result:
    """Copy to another file system: the file has no name, so no other process can reach it, until it is complete."""
    written = os.open(".", _UNNAMED, 0o600, dir_fd=place)
    try:
        for offset in range(0, os.fstat(descriptor).st_size, _CHUNK):
            data = memoryview(os.pread(descriptor, _CHUNK, offset))
            while data:
                data = data[os.write(written, data) :]
        open_as(source, written)
        os.fsync(written)
        for offset in range(0, os.fstat(descriptor).st_size + 1, _CHUNK):
            if os.pread(descriptor, _CHUNK, offset) != os.pread(written, _CHUNK, offset):
                raise OSError(errno.EIO, "the copy on the disk differs from the written data")
        os.link(f"/proc/self/fd/{written}", name, dst_dir_fd=place, follow_symlinks=True)
        return os.fstat(written)
    finally:
        os.close(written)


def remove_leftovers(path: str, asked: str | None) -> None:
    """Remove the unfinished copies of the database at `path` that no process works on."""
    database = re.escape(Path(path).name)  # that of a copy which was to take its place
    place, names = _directory(path, asked), f"({generated_names(path).pattern}|{database})"
    if place is None:
        place, name = os.path.split(str(asked))
        names = re.escape(name)
    for directory in {place, directories.workshop(place) or place}:
        remove_abandoned(directory, names)


def sync_directory(directory: int) -> None:
    """`directory`: a descriptor. Raises OSError."""
    descriptor = os.open(".", os.O_RDONLY, dir_fd=directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
