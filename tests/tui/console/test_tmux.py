"""The console in a real terminal, in a real tmux: resized, told to end, suspended and brought back."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.inspection.demo_database import build_demo_database
from tests.waiting import wait_until

"""Seconds after which what does not come about fails a test."""

if shutil.which("tmux") is None and "CI" not in os.environ:
    pytest.skip("there is no tmux", allow_module_level=True)


class Tmux:
    """A tmux server of its own with one window, in which an interactive shell runs."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "tmux"
        shell = "env -u TMUX PS1='ready$ ' TERM=tmux-256color bash --norc --noprofile -i"
        self._do("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(directory), shell)
        self.until(lambda: "ready$" in self.screen)

    def _do(self, *words: str) -> str:
        environ = {name: value for name, value in os.environ.items() if name not in {"TMUX", "COLUMNS", "LINES"}}
        command = ["tmux", "-S", str(self._socket), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout

    def press(self, *keys: str) -> None:
        self._do("send-keys", *keys)

    def type(self, line: str) -> None:
        self._do("send-keys", "-l", line)
        self.press("Enter")

    def resize(self, columns: int, rows: int) -> None:
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def screen(self) -> str:
        return self._do("capture-pane", "-p")

    @property
    def rows(self) -> list[str]:
        return self.screen.split("\n")[:-1]

    def flag(self, name: str) -> bool:
        """What tmux knows of the terminal: alternate_on, mouse_any_flag, cursor_flag."""
        return self._do("display-message", "-p", f"#{{{name}}}").strip() == "1"

    def until(self, condition: Callable[[], object]) -> None:
        wait_until(condition, otherwise=lambda: self.screen)

    def close(self) -> None:
        self._do("kill-server")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    build_demo_database(tmp_path / "sales.db")
    terminal = Tmux(tmp_path)
    yield terminal
    terminal.close()


def open_console(tmux: Tmux, directory: Path) -> None:
    words = [sys.executable, "-m", "tui.cli", "--store", str(directory / "jobs.db"), str(directory / "sales.db")]
    root = Path(__file__).parents[3]
    tmux.type(f"PYTHONPATH={shlex.quote(str(root))} {shlex.join(words)}; echo ended with $?")
    tmux.until(lambda: is_drawn(tmux) and "[x]" in tmux.screen)


def is_drawn(tmux: Tmux) -> bool:
    """Whether header and footer stand where they belong."""
    rows = tmux.rows
    return rows[0].startswith(" dbtend") and "q quit" in rows[-1]


def process(directory: Path) -> int:
    """The console's process, found by the store it was given."""
    found = subprocess.run(
        ["pgrep", "-f", f"tui.cli --store {directory}/jobs.db"], check=True, capture_output=True, text=True
    )
    return int(found.stdout.split()[-1])


def test_it_is_drawn_anew_for_every_size(tmux: Tmux, tmp_path: Path) -> None:
    open_console(tmux, tmp_path)
    for columns, rows in ((120, 40), (160, 50), (60, 15), (80, 24)):
        tmux.resize(columns, rows)
        tmux.until(lambda: len(tmux.rows) == rows and is_drawn(tmux))  # noqa: B023 - it is over before the next size
        assert max(map(len, tmux.rows)) <= columns
    tmux.resize(50, 10)
    tmux.until(lambda: "60 x 15" in tmux.screen)
    tmux.resize(80, 24)
    tmux.until(lambda: is_drawn(tmux))
    before = tmux.screen.count("[x]")
    tmux.press("Space")
    tmux.until(lambda: tmux.screen.count("[x]") != before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_it_leaves_the_terminal_as_it_was(number: signal.Signals, tmux: Tmux, tmp_path: Path) -> None:
    open_console(tmux, tmp_path)
    assert tmux.flag("alternate_on")
    os.kill(process(tmp_path), number)
    tmux.until(lambda: "ended with 0" in tmux.screen)
    assert not tmux.flag("alternate_on")
    assert not tmux.flag("mouse_any_flag")
    assert tmux.flag("cursor_flag")
    tmux.type("echo seen | tr a-z A-Z")
    tmux.until(lambda: "SEEN" in tmux.screen)


@pytest.mark.parametrize(("columns", "rows"), [(100, 30), (80, 24)])
def test_it_is_suspended_and_comes_back(columns: int, rows: int, tmux: Tmux, tmp_path: Path) -> None:
    open_console(tmux, tmp_path)
    tmux.press("C-z")
    tmux.until(lambda: "Stopped" in tmux.screen)
    assert not tmux.flag("alternate_on")
    assert not tmux.flag("mouse_any_flag")
    tmux.resize(columns, rows)
    tmux.type("fg; echo ended with $?")
    tmux.until(lambda: len(tmux.rows) == rows and is_drawn(tmux))
    assert tmux.flag("alternate_on")
    tmux.press("?")
    tmux.until(lambda: "On the main screen" in tmux.screen)
    tmux.press("q")
    tmux.until(lambda: is_drawn(tmux))
    tmux.press("q")
    tmux.until(lambda: "ended with 0" in tmux.screen)
    assert not tmux.flag("alternate_on")
