"""How much memory an answer may take: libpq makes room for a message of 2 GB where a server announces one."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from typing import Final

LARGEST_MESSAGE: Final = 64 * 1024**2
"""Bytes that this process may grow while libpq reads."""
_PAGE: Final = resource.getpagesize()


def _pages() -> tuple[int, int] | None:
    """Pages of address space and of private memory; None if the system does not tell.

    For each answer: `Path.read_bytes` would take five times as long.
    """
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return None
    try:
        addresses, resident, shared, *_ = map(int, os.read(statm, 200).split())
    finally:
        os.close(statm)
    return addresses, resident - shared


def taken() -> int:
    """Bytes of private memory; 0 if the system does not tell."""
    pages = _pages()
    return pages[1] * _PAGE if pages else 0


@contextlib.contextmanager
def limited_growth() -> Iterator[None]:
    """Limit the address space inside to room for the largest message; no limit if the system does not tell its use.

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
