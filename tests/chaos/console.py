"""The real console in a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.terminal import ESCAPES

PATIENCE = 30.0
"""Seconds after which something that should be shown is taken for missing."""
# Makes standard input the controlling terminal, as a login does, and becomes the program.
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


class Console:
    """A `dbtend` in a terminal of 120x40, whose output is read as it comes."""

    def __init__(self, environment: Mapping[str, str], *arguments: object) -> None:
        self.output = bytearray()
        self._came = asyncio.Event()
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.set_blocking(self._terminal, False)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-ISc", LOGIN, sys.executable, "-m", "tui.cli", *map(str, arguments)],
                env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
                stdin=inside,
                stdout=inside,
                stderr=inside,
            )
        finally:
            os.close(inside)
        asyncio.get_running_loop().add_reader(self._terminal, self._read)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def shows(self, text: str) -> None:
        """Wait until it has written `text`, since a key was pressed last."""
        async with asyncio.timeout(PATIENCE):
            while text.encode() not in ESCAPES.sub(b"", bytes(self.output)):
                self._came.clear()
                await self._came.wait()

    def press(self, key: bytes) -> None:
        self.output.clear()
        os.write(self._terminal, key)

    async def ended(self) -> int:
        """Its exit code, once it has ended and all that it wrote was read."""
        async with asyncio.timeout(PATIENCE):
            code = await asyncio.to_thread(self.process.wait)
        if self._terminal >= 0:
            while self._read():
                pass
        return code

    def close(self) -> None:
        """Take the terminal away, as a lost connection does."""
        if self._terminal >= 0:
            asyncio.get_running_loop().remove_reader(self._terminal)
            os.close(self._terminal)
            self._terminal = -1

    def _read(self) -> int:
        data = b""
        try:
            data = os.read(self._terminal, 65536)
        except BlockingIOError:
            pass
        except OSError:  # nobody is at the other end any more
            asyncio.get_running_loop().remove_reader(self._terminal)
        self.output += data
        self._came.set()
        return len(data)


@contextmanager
def console(environment: Mapping[str, str], *arguments: object) -> Iterator[Console]:
    """A console that is gone in the end."""
    opened = Console(environment, *arguments)
    try:
        yield opened
    finally:
        opened.close()
        opened.process.kill()
        opened.process.wait()
