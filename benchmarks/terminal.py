"""A program in a pseudo-terminal, seen from outside: when it shows what, how much it sends, what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[P_^X].*?\x1b\\|\x1b[ -/]*[0-~]", re.S
)

_LAST = 8_000
"""Bytes of the output that the error quotes if the program ends by itself."""


class Terminal:
    """Runs `command` in a terminal of `columns` x `rows`; ends it on the way out."""

    def __init__(
        self, command: Sequence[str], *, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
    ) -> None:
        self.output = bytearray()
        self.started = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            variables = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(environment or {})}
            for name in ("NO_COLOR", "PYTHONDONTWRITEBYTECODE"):  # installed programs have their bytecode
                variables.pop(name, None)
            os.execvpe(command[0], list(command), variables)  # noqa: S606 - a list, no shell
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self._fd, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)

    def send(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def read_for(self, seconds: float) -> int:
        """Read for so long; how many bytes came."""
        before, end = len(self.output), time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._read(left)
        return len(self.output) - before

    def read_until(self, text: str, *, timeout: float = 30) -> float:
        """Seconds from the start of the program until it had written `text`."""
        end = time.perf_counter() + timeout
        while text.encode() not in ESCAPES.sub(b"", bytes(self.output)):
            left = end - time.perf_counter()
            if left <= 0:
                raise TimeoutError(f"no {text!r} within {timeout} s; it wrote {bytes(self.output[-400:])!r}")
            self._read(left)
        return time.perf_counter() - self.started

    def read_until_quiet(self, silence: float = 0.3) -> None:
        """Read until nothing has come for `silence` seconds."""
        while self._read(silence):
            pass

    def seconds_to_first_byte(self, timeout: float = 5) -> float:
        """From now until something comes."""
        begin = time.perf_counter()
        self._read(timeout)
        return time.perf_counter() - begin

    def cpu_seconds(self) -> float:
        """User and system time of the program so far."""
        return time.clock_gettime(~self.pid << 3 | 2)  # its clock, as clock_getcpuclockid() names it

    def resident_mebibytes(self) -> float:
        return resident_mebibytes(self.pid)

    def _read(self, timeout: float) -> int:
        if not select.select([self._fd], [], [], timeout)[0]:
            return 0
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the program has ended
            raise RuntimeError(f"it ended; it wrote {bytes(self.output[-_LAST:])!r}") from None
        self.output += data
        return len(data)


def resident_mebibytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("no VmRSS")
