"""The log of worker processes on stderr, which they write without ever waiting for its reader."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import stat
import sys
from collections.abc import Callable

from tui.presentation.text import counted, plain


def log_to_stderr() -> None:
    """Write what this process and those that it forks log, and warnings of libraries, too; nothing if it is closed."""
    if sys.__stderr__ is None:
        return
    handler = PipeHandler(sys.__stderr__.fileno())
    handler.setFormatter(_Formatter("%(asctime)s worker %(process)d: %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("dbtend").setLevel(logging.INFO)


class PipeHandler(logging.Handler):
    """Writes to a file, terminal, pipe or socket. While its reader takes nothing, messages are dropped and counted."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor, self._write = _opened(descriptor)
        self._unsent = b""
        """The rest of a message that the reader has taken in part."""
        self._lost = 0
        """The number of messages dropped since then."""
        self._process = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        if self._process != os.getpid():  # the process that this one was forked from sends the rest
            self._process, self._unsent, self._lost = os.getpid(), b"", 0
        self._send()
        if self._unsent:
            self._lost += 1
            return
        records = [record]
        if self._lost:
            lost = f"{counted(self._lost, 'message')} of this log dropped: its reader took nothing"
            records.insert(0, logging.LogRecord(record.name, logging.WARNING, "", 0, lost, None, None))
            self._lost = 0
        self._unsent = "".join(f"{self.format(each)}\n" for each in records).encode(errors="backslashreplace")
        self._send()

    def format(self, record: logging.LogRecord) -> str:
        """Format a record. A library that logs what cannot be formatted does not fail."""
        try:
            return super().format(record)
        except Exception:
            return super().format(logging.makeLogRecord({**vars(record), "args": None}))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._write(self._descriptor, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # there is no reader, or no room
            self._unsent = b""


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))  # what databases are called is not ours


def _opened(descriptor: int) -> tuple[int, Callable[[int, bytes], int]]:
    """A new descriptor of the same file, and a function that writes to it: BlockingIOError instead of a wait.

    Whether an open file makes its writers wait is one setting for all that share it, such as the shell: so it is
    opened again if possible.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        return os.dup(descriptor), _send_without_waiting
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY), os.write
        except OSError:  # it belongs to another user, or this system has no such names
            if not stat.S_ISFIFO(mode):
                return os.dup(descriptor), _write_if_ready
            os.set_blocking(descriptor, False)
    return os.dup(descriptor), os.write


def _send_without_waiting(descriptor: int, text: bytes) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as sending:
        return sending.send(text, socket.MSG_DONTWAIT)


def _write_if_ready(descriptor: int, text: bytes) -> int:
    if not select.select([], [descriptor], [], 0)[1]:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.write(descriptor, text[: select.PIPE_BUF])
