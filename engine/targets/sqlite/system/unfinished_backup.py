"""A copy in progress: in a private directory, with a lock that shows whether a process works on it.

No other user can replace that directory, because SQLite knows the copy by its path. All other
work on it uses descriptors.

The lock is on a file beside the copy: opening and closing the copy itself would drop SQLite's locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Final

from engine.domain.frozen import frozen
from engine.system.locks import lock_within
from engine.targets.sqlite.system import directories

COPY: Final = "copy"
_LOCK: Final = "lock"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_LOCKABLE: Final = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
_LOCKED_WITHIN: Final = 10.0
"""Seconds that a new directory may be locked by a process that looks whether it is abandoned."""
_MARK: Final = r"\.[0-9a-f]{8}\.unfinished"


def directory_for(destination: str, place: str | None = None) -> str:
    """A name for the directory in which the copy is made that is to be called `destination`: one that no other has.

    `place`: the directory for it; None: beside the destination.
    """
    directory, name = os.path.split(destination)
    return str(Path(directory if place is None else place, f"{name}.{secrets.token_hex(4)}.unfinished"))


def copy_in(directory: str) -> str:
    """The path of the copy that is made in `directory`."""
    return f"{directory}/{COPY}"


@frozen
class UnfinishedCopy:
    """A copy that this process alone makes and touches."""

    directory: str
    descriptor: int
    """The descriptor of the directory."""
    _lock: FileIO
    _made: os.stat_result

    @classmethod
    def begin(cls, directory: str) -> UnfinishedCopy:
        """Make the directory, with an empty file for the copy.

        Raises OSError, FileExistsError where there is one, PermissionError where others can put another in its place.
        """
        place, name = os.path.split(directory)
        with directories.opened(place) as around:
            if not around.is_ours:
                raise PermissionError(errno.EPERM, f"others can change {place}")
            lock = None
            while lock is None:  # in the moment before it is locked it may be taken for abandoned, and removed
                os.mkdir(name, 0o700, dir_fd=around.descriptor)
                try:
                    descriptor = os.open(name, _DIRECTORY, dir_fd=around.descriptor)
                except FileNotFoundError:
                    continue
                try:
                    if (lock := _locked(descriptor)) is None:
                        os.close(descriptor)
                except OSError:
                    _remove(descriptor, directory)
                    raise
        try:
            copy = os.open(COPY, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=descriptor)
            made = os.fstat(copy)
            os.close(copy)
        except OSError:
            _remove(descriptor, directory)
            lock.close()
            raise
        return cls(directory, descriptor, lock, made)

    @property
    def path(self) -> str:
        return copy_in(self.directory)

    @property
    def lock(self) -> int:
        """The descriptor that holds its lock."""
        return self._lock.fileno()

    @property
    def numbers(self) -> tuple[int, int]:
        """The device of the copy, and its number there."""
        return self._made.st_dev, self._made.st_ino

    def require(self) -> None:
        """Raises FileNotFoundError where another file took the place of the copy, or none is there."""
        with self.opened():
            pass

    @contextlib.contextmanager
    def opened(self, *, writing: bool = False) -> Iterator[int]:
        """A descriptor of the copy, once SQLite has closed it. Raises as `require`."""
        how = os.O_RDWR if writing else os.O_RDONLY
        copy = os.open(COPY, how | os.O_NOFOLLOW, dir_fd=self.descriptor)
        try:
            if not os.path.samestat(os.fstat(copy), self._made):
                raise FileNotFoundError(f"{self.path} was replaced while it was written")
            yield copy
        finally:
            os.close(copy)

    def discard(self) -> None:
        """Remove all its files, as far as possible; a name given to it stays."""
        if not self._lock.closed:
            _remove(self.descriptor, self.directory)
            self._lock.close()


def remove_abandoned(place: str, names: str) -> None:
    """Remove the abandoned copies in the directory `place` whose final names match the regular expression `names`.
    Another user may have planted one to have other files removed: only this user's own directories are removed."""
    with contextlib.suppress(OSError):  # a directory that cannot be read: there is nothing that we could remove
        entries = [entry.name for entry in os.scandir(place)]
        with directories.opened(place) as around:
            for name in entries:
                if re.fullmatch(names + _MARK, name):
                    _remove_abandoned(name, around.descriptor)


def _remove_abandoned(name: str, place: int) -> None:
    with contextlib.suppress(OSError):  # a process works on it, or that is unknown
        directory = os.open(name, _DIRECTORY, dir_fd=place)
        try:
            if os.geteuid() in {0, os.fstat(directory).st_uid} and (lock := _locked(directory, within=0.0)):
                with lock:
                    _empty(directory)
                    os.rmdir(name, dir_fd=place)
        finally:
            os.close(directory)


def _locked(directory: int, within: float = _LOCKED_WITHIN) -> FileIO | None:
    """The lock on `directory`; None where who had it before has removed the directory. Raises OSError, TimeoutError."""
    try:
        lock = FileIO(os.open(_LOCK, _LOCKABLE, 0o600, dir_fd=directory), "r+")
    except FileNotFoundError:
        return None
    try:
        lock_within(within, lock.fileno(), fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(lock.fileno()), os.stat(_LOCK, dir_fd=directory, follow_symlinks=False)):
            return lock
    except FileNotFoundError:
        pass
    except BaseException:
        lock.close()
        raise
    lock.close()
    return None


def _remove(descriptor: int, directory: str) -> None:
    """Remove a directory that no other user can replace."""
    _empty(descriptor)
    with contextlib.suppress(OSError):
        around = os.open("..", _DIRECTORY, dir_fd=descriptor)  # wherever it is by now
        try:
            os.rmdir(os.path.basename(directory), dir_fd=around)  # noqa: PTH119
        finally:
            os.close(around)
    os.close(descriptor)


def _empty(directory: int) -> None:
    """The lock goes last: until then no other process considers the directory abandoned."""
    for name in (f"{COPY}-journal", f"{COPY}-wal", f"{COPY}-shm", COPY, _LOCK):
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)
