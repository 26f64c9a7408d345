"""The real console in a real pseudo-terminal that is taken away from it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

PATIENCE = 30.0
"""Seconds after which what should have happened is taken for missing."""
ROOT = Path(__file__).parents[3]


class Terminal:
    """A console in a terminal of 80x24 which no signal tells of its end: it is not its controlling terminal."""

    def __init__(self) -> None:
        self.output = b""
        self.outside, self.inside = pty.openpty()
        fcntl.ioctl(self.inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.inside)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", "--store", "jobs.db", "sales.db"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "XDG_CONFIG_HOME": str(Path.cwd())},
            stdin=self.inside,
            stdout=self.inside,
            stderr=self.inside,
            start_new_session=True,
        )

    def read_until(self, text: bytes) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.output:
            assert time.monotonic() < end, f"no {text!r} in {self.output[-400:]!r}"
            if select.select([self.outside], [], [], 0.1)[0]:
                self.output += os.read(self.outside, 65536)

    def close(self) -> None:
        for end in ("outside", "inside"):
            if getattr(self, end) >= 0:
                os.close(getattr(self, end))
                setattr(self, end, -1)


@pytest.fixture
def terminal(sales: Path) -> Iterator[Terminal]:
    opened = Terminal()
    try:
        opened.read_until(b"nothing running")
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait()
        opened.close()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals, terminal: Terminal) -> None:
    """The alternate screen is left; cursor, mouse and echo are restored."""
    assert termios.tcgetattr(terminal.inside) != terminal.before
    terminal.process.send_signal(number)
    for restores in (b"\x1b[?2004l", b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1003l"):
        terminal.read_until(restores)
    assert terminal.process.wait(PATIENCE) == 0
    assert termios.tcgetattr(terminal.inside) == terminal.before


def test_without_its_terminal_the_console_ends(terminal: Terminal) -> None:
    """No signal comes, and reading no longer blocks: it must not read the end of its input in a loop."""
    terminal.close()
    assert terminal.process.wait(PATIENCE) == 0


def test_a_console_that_waits_for_its_terminal_ends_with_it(terminal: Terminal) -> None:
    """A line that stalls lets nothing through; the console waits for it to take what it writes, until it is gone."""
    for _ in range(150):  # each key repaints the screen, and nothing reads the output
        os.write(terminal.outside, b"+")
    wait_until(lambda: is_stuck(terminal))
    terminal.close()
    terminal.process.wait(PATIENCE)


def is_stuck(terminal: Terminal) -> bool:
    """Whether its line takes nothing, its main thread waits for another thread, and none of them runs."""
    process = Path(f"/proc/{terminal.process.pid}")
    waits_for_thread = "futex" in (process / "wchan").read_text()
    states = {stat.read_text().rsplit(")", 1)[1].split()[0] for stat in process.glob("task/*/stat")}
    return waits_for_thread and states == {"S"} and not select.select([], [terminal.inside], [], 0)[1]
