"""Whether what lies at a path is still the file that was opened there.

SQLite does not notice when its file is moved, replaced or deleted: it goes on with the one that it has open.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final

from engine.domain.errors import TargetUnavailableError
from engine.targets.sqlite.system import directories
from engine.targets.sqlite.system.page_cache import descriptors_of

NOT_THERE: Final = "the file was moved, replaced or deleted while it was open"


class OpenedFile:
    """The file at `path`, which is about to be opened: taken before, so that whatever comes after is noticed."""

    def __init__(self, path: str) -> None:
        """`path`: without links; a link that is made later is not followed. Raises TargetUnavailableError."""
        self.path: Final = path
        self._file = _without_links(path)

    @property
    def numbers(self) -> tuple[int, int]:
        """The device and inode of the file."""
        return self._file or (0, 0)

    @property
    def key(self) -> str:
        """Identifies the opened file, whatever is at its path."""
        return file_key(*self.numbers)

    @property
    def number(self) -> str:
        """Identifies the opened file on its device, whose own number a reboot may change."""
        return number_of(self.key)

    @property
    def source(self) -> int | str:
        """The source of owner and mode: a descriptor of SQLite, which must stay open, or the path if the system
        lists no descriptors."""
        return next(iter(descriptors_of(self._file)), self.path) if self._file else self.path

    def follow(self, numbers: tuple[int, int]) -> None:
        """Go on with the file that has these numbers: it has replaced the old one."""
        self._file = numbers

    def problem(self) -> str:
        """Why the file is no longer at its path; empty if it is."""
        try:
            return "" if _at(self.path) == self._file else NOT_THERE
        except TargetUnavailableError as error:
            return error.why

    def require(self) -> None:
        """Raises TargetUnavailableError where something else lies at its path, or nothing."""
        if problem := self.problem():
            raise TargetUnavailableError(self.path, problem)

    def require_open(self, descriptors: Sequence[int]) -> None:
        """Raises TargetUnavailableError if this process has it open under none of `descriptors`: then SQLite has opened
        another file at its path."""
        if self._file and not descriptors and os.access("/proc/self/fd", os.X_OK):
            raise TargetUnavailableError(self.path, NOT_THERE)


def file_key(device: int, number: int) -> str:
    return f"sqlite:{device:x}:{number:x}"


def number_of(key: str) -> str:
    """See `OpenedFile.number`."""
    return key.rpartition(":")[2]


def _at(path: str) -> tuple[int, int] | None:
    """The numbers of the file at a path; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - asked many times for each job
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        raise TargetUnavailableError(path, f"the file cannot be reached any more ({error.strerror})") from None
    return status.st_dev, status.st_ino


def _without_links(path: str) -> tuple[int, int] | None:
    """As `_at`, but a link on the way that others can change is an error."""
    directory, name = os.path.split(path)
    try:
        with directories.opened(directory) as place:
            status = os.stat(name, dir_fd=place.descriptor, follow_symlinks=False)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        raise TargetUnavailableError(path, f"the file cannot be reached ({error.strerror})") from None
    if stat.S_ISLNK(status.st_mode):
        raise TargetUnavailableError(path, "a symbolic link has taken the place of the file")
    return status.st_dev, status.st_ino
