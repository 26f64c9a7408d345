"""How much memory an answer may take: libpq makes room for a message of 2 GB where a server announces one."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LARGEST_MESSAGE: Final = 64 * 1024**2
"""Bytes by which this process may grow while libpq reads what has come."""
_PAGE: Final = resource.getpagesize()
_STATM: Final = Path("/proc/self/statm")


def _pages() -> tuple[int, int] | None:
    """What this process has of addresses, and of memory of its own; None where nobody tells."""
    try:
        addresses, resident, shared, *_ = map(int, _STATM.read_bytes().split())
    except OSError:
        return None
    return addresses, resident - shared


def taken() -> int:
    """Bytes of memory; 0 where nobody tells."""
    pages = _pages()
    return pages[1] * _PAGE if pages else 0


@contextlib.contextmanager
def limited_growth() -> Iterator[None]:
    """No more than for the largest message can be had inside; where nobody tells how much there is, it is not limited.

    The limit is the whole process's, so nothing else is done inside.
    """
    pages = _pages()
    if pages is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages[0] * _PAGE + LARGEST_MESSAGE
    resource.setrlimit(resource.RLIMIT_AS, (limit if soft == resource.RLIM_INFINITY else min(limit, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
