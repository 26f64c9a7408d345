"""Puts a complete copy of a database in its place, once the kernel vouches that no other process has the database open.

It runs as a process of its own, which outlives a worker that is killed: once the names are exchanged, a process must
make the old file unusable before any process that was opening it goes on. It imports nothing of dbtend, and gets its
order and all descriptors by the socket that is its input.

A process that has looked up the old file just before the exchange, and opens it after, finds it locked, and then no
database: what it writes would be lost. The lock is taken before the exchange, and kept until no one has the old file
open any more.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Final, TypedDict

IN_USE: Final = "another process has the database open"
CHANGED: Final = "another process changed the database during the copy"
MOVED: Final = "the file was moved, replaced or deleted while it was copied"
CANCELLED: Final = "cancelled"
COPY: Final = "copy"
BESIDE: Final = ("-journal", "-wal", "-shm")

_LIBC: Final = ctypes.CDLL(None, use_errno=True)  # not later: another process may open the old file then
_EXCHANGE: Final = 2
_LOCKS: Final = (0x40000000, 512)  # the bytes that SQLite locks
_PAUSE: Final = 0.005
_PAUSE_OF_LINGER: Final = 0.05
LINGERS: Final = 1.0
"""Seconds in which a process that is opening the old file must have got it."""
LONGEST_MESSAGE: Final = 65_536
STAYS: Final = b"another process has the old file open"
_CUT: Final = 8  # bytes of a header are no database; none, or one, would be taken for an empty one
_REMAINS: Final = 65_536  # the largest page: a file without a whole page would be taken for an empty database
_GONE: Final = b"A compact copy has replaced this database. Open it again by its path.\n"


class Order(TypedDict):
    """What to exchange: descriptors, and what must not have changed since the copy began."""

    old: int
    directory: int
    name: str
    workshop: int
    """A descriptor of the directory of the copy."""
    lock: int
    """A descriptor of the lock that says that a process works there."""
    copy: list[int]
    """The device and inode of the copy."""
    state: list[int]
    header: str
    timeout: float
    lingers: float
    """Seconds: see `LINGERS`."""


class Answer(TypedDict):
    refused: str
    """Why the old file is still in place; "" where the copy is."""
    warning: str


class RefusedError(Exception):
    """Nothing is exchanged."""


def state_of(descriptor: int) -> list[int]:
    """What changes with every write to a file, and with a change of its names, owner or mode."""
    status = os.fstat(descriptor)
    return [
        *(status.st_dev, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        *(status.st_mode, status.st_uid, status.st_gid),
    ]


def header_of(descriptor: int) -> str:
    return os.pread(descriptor, 100, 0).hex()


def exchange(order: Order, cancelled: int) -> Answer:
    """Wait until no other process has the old file open, and exchange it. `cancelled`: readable after a cancel."""
    deadline = time.monotonic() + order["timeout"]
    while True:
        try:
            if select.select([cancelled], [], [], 0)[0]:
                raise RefusedError(CANCELLED)
            with suppress(BlockingIOError):
                _lease(order["old"])
                try:
                    _lock(order["old"], fcntl.F_WRLCK)
                    _require_unchanged(order)
                    if fcntl.fcntl(order["old"], fcntl.F_GETLEASE) == fcntl.F_WRLCK:  # else one waits to open it
                        return _exchanged(order)
                finally:
                    _release_lease(order["old"])
            if time.monotonic() >= deadline:
                raise RefusedError(IN_USE)
        except RefusedError as error:
            _lock(order["old"], fcntl.F_UNLCK)
            return {"refused": str(error), "warning": ""}
        _lock(order["old"], fcntl.F_UNLCK)
        time.sleep(_PAUSE)


def _require_unchanged(order: Order) -> None:
    old, name = order["old"], order["name"]
    if state_of(old) != order["state"] or header_of(old) != order["header"]:
        raise RefusedError(CHANGED)
    if any(numbers_of(name + end, order["directory"]) for end in BESIDE):
        raise RefusedError(CHANGED)
    if numbers_of(name, order["directory"]) != order["state"][:2]:
        raise RefusedError(MOVED)
    if numbers_of(COPY, order["workshop"]) != order["copy"]:
        raise RefusedError("the copy was replaced")


def _exchanged(order: Order) -> Answer:
    """Exchange the files, under the lease of the old one."""
    swap_names(order["directory"], order["name"], order["workshop"])
    if numbers_of(COPY, order["workshop"]) != order["state"][:2]:  # another process has replaced it in this moment
        swap_names(order["directory"], order["name"], order["workshop"])
        raise RefusedError(MOVED)
    return retire(order["old"], order["directory"])


def retire(old: int, directory: int) -> Answer:
    """Make the old file unusable, once its successor is in place for good.

    At once, if a process is opening it: the sync takes long enough to be killed in. After a power failure a file system
    with a journal has not cut it without having exchanged it.
    """
    if fcntl.fcntl(old, fcntl.F_GETLEASE) != fcntl.F_WRLCK:
        with suppress(OSError):  # told below
            os.ftruncate(old, _CUT)
    try:
        os.fsync(directory)
    except OSError as error:  # after a power failure the old file may be in place again
        return {"refused": "", "warning": f"the directory could not be synced ({error.strerror})"}
    try:
        os.pwrite(old, _GONE, 0)
        if os.fstat(old).st_size < _REMAINS:
            os.ftruncate(old, _REMAINS)
    except OSError as error:
        return {"refused": "", "warning": f"the old file could not be made unusable ({error.strerror})"}
    return {"refused": "", "warning": ""}


def can_swap_names() -> bool:
    """Whether the C library knows how."""
    return hasattr(_LIBC, "renameat2")


def swap_names(directory: int, name: str, workshop: int) -> None:
    """Raises OSError where the file system cannot do it at once."""
    if _LIBC.renameat2(workshop, COPY.encode(), directory, os.fsencode(name), _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def numbers_of(name: str, directory: int) -> list[int] | None:
    """The device of a file and its number there; None where there is none."""
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return [status.st_dev, status.st_ino]
    return None


def _lease(descriptor: int) -> None:
    """Raises BlockingIOError where another descriptor has the file open, of any process."""
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored; any other may end the process
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)


def _release_lease(descriptor: int) -> None:
    with suppress(OSError):  # there is none
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _lock(descriptor: int, kind: int) -> None:
    """Lock all bytes that SQLite locks. The lock belongs to the open file: it stays while any process has it open."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", kind, os.SEEK_SET, *_LOCKS, 0))


def _linger(old: int, seconds: float, channel: socket.socket) -> None:
    """Keep the old file locked for so long, and then until no other process has it open. It is cut as soon as
    it has no name any more: that takes a while, in which it could not be removed."""
    until, has_told = time.monotonic() + seconds, False
    while True:
        with suppress(BlockingIOError):
            _lease(old)
            if not os.fstat(old).st_nlink:
                os.ftruncate(old, _REMAINS)
            if time.monotonic() >= until:
                return
            _release_lease(old)
        if time.monotonic() >= until and not has_told:
            has_told = True
            with suppress(ConnectionError):
                channel.send(STAYS)
        time.sleep(_PAUSE_OF_LINGER)


def main() -> None:
    channel = socket.socket(fileno=sys.stdin.fileno())
    message, descriptors, _, _ = socket.recv_fds(channel, LONGEST_MESSAGE, 4)
    if not message:  # the copy came to nothing, or the worker was killed
        return
    order: Order = json.loads(message)
    order["old"], order["directory"], order["workshop"], order["lock"] = descriptors
    try:
        answer = exchange(order, channel.fileno())
    except OSError as error:
        answer = {"refused": error.strerror or str(error), "warning": ""}
    for descriptor in (order["directory"], order["workshop"], order["lock"]):
        os.close(descriptor)
    with suppress(ConnectionError):  # the worker was killed
        channel.send(json.dumps(answer).encode())
    if not answer["refused"]:  # the worker goes on, and does not end before this process
        _linger(order["old"], order["lingers"], channel)


if __name__ == "__main__":
    main()
    os._exit(0)
