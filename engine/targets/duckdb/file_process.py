"""Reads and copies a DuckDB file in a process of its own, which runs this module as a program.

DuckDB's locks on a file end when its process closes any descriptor of that file: so no other code opens it.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
from typing import Final, NamedTuple

LOOK, COPY = "look", "copy"
_HEADERS: Final = 3 * 4096
"""Bytes of the main header and the two database headers."""
_ANSWER: Final = struct.Struct("=qq")
_FLOCK: Final = struct.Struct("hhqqi")
"""`struct flock` of Linux: kind of lock, origin of the offset, first byte, length, process."""
_TIMEOUT: Final = 30.0
"""Seconds: a disk may hang."""
_PART: Final = 1 << 20
_NOBODY: Final = -1


class FileFacts(NamedTuple):
    """The header of a file, its size and its lock. Empty if it cannot be read."""

    head: bytes = b""
    size: int = 0
    holder: int = _NOBODY
    """The process whose lock keeps us from opening it: 0 for one that is not known, -1 for none."""

    @property
    def is_duckdb(self) -> bool:
        return self.head[8:12] == b"DUCK"

    @property
    def is_encrypted(self) -> bool:
        return bool(self.head[20:21] and self.head[20] & 1)

    @property
    def is_cut(self) -> bool:
        """Whether blocks are missing at its end. Also true for a file that has just given free blocks back."""
        if len(self.head) < _HEADERS:
            return True
        headers: list[tuple[int, ...]] = [struct.unpack_from("<5Q", self.head, start) for start in (4096 + 8, 8192 + 8)]
        blocks, block_size = max(headers)[3:]
        return self.size < _HEADERS + blocks * block_size

    @property
    def made_by(self) -> str:
        """The version of DuckDB that made it: `v1.4.0`."""
        return self.head[52:84].split(b"\0")[0].decode("ascii", "replace")

    def is_newer_than(self, version: str) -> bool:
        """Whether it was made by a later version of DuckDB."""
        return _numbers(self.made_by) > _numbers(version)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def look(path: str, *, writing: bool) -> FileFacts:
    """Blocks. `writing`: whether it is to be opened for that."""
    command = [*_program(LOOK), path, "writing" if writing else "reading"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return FileFacts()
    size, holder = _ANSWER.unpack_from(answer)
    return FileFacts(answer[_ANSWER.size :], size, holder)


def begin_copy(path: str, copy: str) -> subprocess.Popen[str]:
    """Copy the file, byte for byte, to a new one. At its end stderr says what went wrong."""
    return subprocess.Popen([*_program(COPY), path, copy], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _program(action: str) -> list[str]:
    return [sys.executable, "-I", "-S", __file__, action]


def _look(path: str, how: str) -> None:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a program, without pathlib
        holder = _holder(file.fileno(), fcntl.F_WRLCK if how == "writing" else fcntl.F_RDLCK)
        sys.stdout.buffer.write(_ANSWER.pack(os.fstat(file.fileno()).st_size, holder) + file.read(_HEADERS))


def _holder(file: int, kind: int) -> int:
    if sys.platform != "linux":
        return _NOBODY
    answer = fcntl.fcntl(file, fcntl.F_GETLK, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
    held, _, _, _, pid = _FLOCK.unpack(answer)
    return _NOBODY if held == fcntl.F_UNLCK else max(pid, 0)


def _copy(path: str, copy: str) -> None:
    """Ends without its parent, too."""
    parent = os.getppid()
    with open(path, "rb", buffering=0) as old, open(copy, "xb", buffering=0) as new:  # noqa: PTH123
        while os.getppid() == parent and (part := old.read(_PART)):
            new.write(part)


if __name__ == "__main__":
    try:
        {LOOK: _look, COPY: _copy}[sys.argv[1]](*sys.argv[2:])
    except OSError as error:
        sys.exit(error.strerror)
