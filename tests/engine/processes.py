"""Real processes for tests: they run a script and exchange lines."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import dedent

from tests.forked_python import ForkedPython


class Process:
    """A Python process that runs a script. `asyncio`, `sys` and `Path` are imported for it."""

    def __init__(self, script: str, *arguments: object, within: Sequence[str] = ()) -> None:
        source = "import asyncio, os, signal, sys\nfrom pathlib import Path\n" + dedent(script)
        command = [*within, sys.executable, "-c", source, *map(str, arguments)]
        python = subprocess.Popen[str] if within else ForkedPython[str]
        self._process = python(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    async def says(self) -> str:
        """The next line that it prints; empty when it has ended."""
        return (await asyncio.to_thread(self._out.readline)).rstrip("\n")

    def tell(self, line: str = "") -> None:
        self._in.write(f"{line}\n")
        self._in.flush()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end; its exit code, or minus the signal that killed it."""
        return await asyncio.to_thread(self._process.wait, 60)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._in.close()
        self._out.close()


@contextmanager
def python(script: str, *arguments: object, within: Sequence[str] = ()) -> Iterator[Process]:
    """Run a script meanwhile; it is killed in the end. `within`: a command that is given its own to run."""
    process = Process(script, *arguments, within=within)
    try:
        yield process
    finally:
        process.close()
