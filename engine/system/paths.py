"""Paths that may change while they are resolved."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_TRIES: Final = 3


def real_path(path: str | os.PathLike[str]) -> str:
    """`path` without symbolic links; the absolute path itself if its links keep changing.

    `os.path.realpath` raises if a link disappears during the call.
    """
    for _ in range(_TRIES):
        with suppress(OSError):
            return os.path.realpath(path)
    return os.path.abspath(path)  # noqa: PTH100 - it follows no link


class RealPaths:
    """`real_path` of many files: the links of each directory are followed once."""

    def __init__(self) -> None:
        self._directories: dict[str, str] = {}

    def of(self, path: str) -> str:
        """The real path of an absolute path."""
        directory, _, name = path.rpartition("/")
        if name in {"", ".", ".."}:
            return real_path(path)
        if directory not in self._directories:
            self._directories[directory] = real_path(f"{directory}/").rstrip("/")
        real = f"{self._directories[directory]}/{name}"
        return real_path(path) if os.path.islink(real) else real  # noqa: PTH114 - a Path takes longer than the disk
