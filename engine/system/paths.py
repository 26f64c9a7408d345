"""Paths that others may change while one follows them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_TRIES: Final = 3


def real_path(path: str | os.PathLike[str]) -> str:
    """Where `path` leads, without symbolic links; the absolute path itself where that changes again and again.

    `os.path.realpath` raises where a link goes away as it is followed.
    """
    for _ in range(_TRIES):
        with suppress(OSError):
            return os.path.realpath(path)
    return os.path.abspath(path)  # noqa: PTH100 - it follows no link
