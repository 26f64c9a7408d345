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
