"""A copy in the making: in a directory of its own, that nobody else enters and that says whether somebody works on it.

The lock is on a file beside the copy: whoever opened the copy itself, and closed it again, would drop SQLite's locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from io import FileIO
from pathlib import Path
from typing import Final

from engine.values import frozen

_COPY: Final = "copy"
_LOCK: Final = "lock"
_MARK: Final = r"\.[0-9a-f]{8}\.unfinished"


def directory_for(destination: str) -> str:
    """A name for the directory in which the copy is made that is to be called `destination`: one that no other has."""
    return f"{destination}.{secrets.token_hex(4)}.unfinished"


def copy_in(directory: str) -> str:
    """The path of the copy that is made in `directory`."""
    return f"{directory}/{_COPY}"


@frozen
class UnfinishedCopy:
    """One that this process makes, and nobody else touches."""

    directory: str
    _lock: FileIO
    _made: os.stat_result

    @classmethod
    def begin(cls, directory: str) -> UnfinishedCopy:
        """Make the directory, with an empty file for the copy. Raises OSError, FileExistsError where there is one."""
        lock = None
        while lock is None:  # in the moment before it is locked it may be taken for abandoned, and removed
            Path(directory).mkdir(mode=0o700)
            try:
                lock = _locked(directory, fcntl.LOCK_EX)
            except OSError:
                _remove(directory)
                raise
        try:
            copy = os.open(copy_in(directory), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            made = os.fstat(copy)
            os.close(copy)
        except OSError:
            _remove(directory)
            lock.close()
            raise
        return cls(directory, lock, made)

    @property
    def path(self) -> str:
        return copy_in(self.directory)

    def require(self) -> None:
        """Raises FileNotFoundError where another file took the place of the copy, or none is there."""
        if not os.path.samestat(Path(self.path).stat(), self._made):
            raise FileNotFoundError(f"{self.path} was replaced while it was written")

    def discard(self) -> None:
        """Remove what there is, as far as that can be done; a name that it has got besides stays."""
        if not self._lock.closed:
            _remove(self.directory)
            self._lock.close()


def remove_abandoned(place: str, names: str) -> None:
    """Remove the copies in the directory `place` that nobody works on, of those that were to be called as the regular
    expression `names` says."""
    with contextlib.suppress(OSError):  # a directory that cannot be read: there is nothing that we could remove
        for entry in list(os.scandir(place)):
            if re.fullmatch(names + _MARK, entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_abandoned(entry.path)


def _remove_abandoned(directory: str) -> None:
    with contextlib.suppress(OSError):  # somebody works on it, or that cannot be told
        if lock := _locked(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            with lock:
                _remove(directory)


def _locked(directory: str, how: int) -> FileIO | None:
    """The lock on `directory`; None where who had it before has removed the directory. Raises OSError."""
    path = Path(directory, _LOCK)
    try:
        lock = FileIO(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600), "r+")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, how)
        if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            return lock
    except FileNotFoundError:
        pass
    except BaseException:
        lock.close()
        raise
    lock.close()
    return None


def _remove(directory: str) -> None:
    """The lock goes last: until then nobody else takes the directory for abandoned."""
    for name in (f"{_COPY}-journal", f"{_COPY}-wal", f"{_COPY}-shm", _COPY, _LOCK):
        with contextlib.suppress(OSError):
            Path(directory, name).unlink()
    with contextlib.suppress(OSError):
        Path(directory).rmdir()
