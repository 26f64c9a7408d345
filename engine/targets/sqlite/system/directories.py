"""Directories that others can change: a file made there by its path can be replaced at any moment.

So a file is made in a private place, and moved to its directory by descriptors.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from engine.domain.frozen import frozen
from engine.system.paths import real_path
from engine.system.private_files import is_private_directory
from engine.targets.sqlite.system.files import temporary_directories

_OPEN: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
_MOST_LINKS: Final = 40


@frozen
class Directory:
    """A directory that is open.

    `is_ours`: neither it nor what leads to it can be changed by anybody but us and root.
    """

    descriptor: int
    is_ours: bool


@contextmanager
def opened(path: str) -> Iterator[Directory]:
    """The directory at `path`.

    Raises OSError: PermissionError for a symbolic link that others can bend, as it leads to where they like.
    """
    directory = _walk(path)
    try:
        yield directory
    finally:
        os.close(directory.descriptor)


def is_ours(path: str) -> bool:
    """See `Directory`; False where there is none, or no way to it."""
    try:
        directory = _walk(path)
    except OSError:
        return False
    os.close(directory.descriptor)
    return directory.is_ours


def workshop(directory: str) -> str | None:
    """Where a file for `directory` can be made: there or, where others can change that, in the nearest one that only
    we can, on the same file system if there is one; None where there is none at all."""
    if is_ours(directory):
        return directory
    above = [str(parent) for parent in Path(real_path(directory)).parents][:-1]
    temporary = [place for place in temporary_directories() if Path(place).is_absolute()]
    usable = [place for place in (*above, *temporary) if os.access(place, os.W_OK | os.X_OK) and is_ours(place)]
    near = (place for place in usable if on_one_file_system(place, directory))
    return next(near, usable[0] if usable else None)


def on_one_file_system(one: str, other: str) -> bool:
    """False if either does not exist."""
    with suppress(OSError):
        return Path(one).stat().st_dev == Path(other).stat().st_dev
    return False


def _walk(path: str) -> Directory:
    here = os.open("/", _OPEN)
    try:
        ours, links = is_private_directory(os.fstat(here)), 0
        parts = _parts(path if path.startswith("/") else f"{Path.cwd()}/{path}")
        while parts:
            part = parts.pop()
            if part == "/":
                following = os.open("/", _OPEN)
                ours = True
            else:
                try:
                    following = os.open(part, _OPEN | os.O_NOFOLLOW, dir_fd=here)
                except OSError:
                    link = _link(part, here)
                    if link is None:
                        raise
                    links += 1
                    if not ours:
                        why = "a symbolic link that others can change leads there"
                        raise PermissionError(errno.EPERM, why, path) from None
                    if links > _MOST_LINKS:
                        raise
                    parts.extend(_parts(link))
                    continue
            os.close(here)
            here = following
            ours = ours and is_private_directory(os.fstat(here))
    except BaseException:
        os.close(here)
        raise
    return Directory(here, ours)


def _parts(path: str) -> list[str]:
    """The last one first. Asked for each job: a Path would cost more than the disk."""
    parts = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    return [*parts, "/"] if path.startswith("/") else parts


def _link(name: str, directory: int) -> str | None:
    """The target of a symbolic link; None for other files."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None
