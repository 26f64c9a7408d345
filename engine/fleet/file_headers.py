"""Reads the first bytes of files in a process of its own.

A process that may have a database open through SQLite must not open the file itself: closing it would drop the locks
of that connection. Run as a program, this module reads paths from stdin and writes a letter for each to stdout.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys

HEADER = b"SQLite format 3\0"
SQLITE, OTHER, UNKNOWN = b"s", b"o", b"?"
TIMEOUT = 30.0
"""Seconds after which files that were not read count as unknown: a disk may hang."""


def find_sqlite(paths: list[str]) -> dict[str, bool | None]:
    """For each path whether the file says that it is a SQLite database; None if it cannot be read. Blocks."""
    if not paths:
        return {}
    given = b"".join(os.fsencode(path) + b"\0" for path in paths)
    command = [sys.executable, "-I", "-S", __file__]
    try:
        letters = subprocess.run(command, input=given, stdout=subprocess.PIPE, timeout=TIMEOUT, check=False).stdout
    except subprocess.TimeoutExpired as error:
        letters = error.stdout or b""
    known = {SQLITE: True, OTHER: False}
    return {path: known.get(letters[n : n + 1]) for n, path in enumerate(paths)}


def _letter(path: bytes) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return UNKNOWN
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return OTHER
        return SQLITE if os.read(descriptor, len(HEADER)) == HEADER else OTHER
    except OSError:
        return UNKNOWN
    finally:
        os.close(descriptor)


def _main() -> None:
    for path in sys.stdin.buffer.read().split(b"\0")[:-1]:
        sys.stdout.buffer.write(_letter(path))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
