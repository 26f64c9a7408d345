"""The SQLite library of the package apsw, beside that of this platform: what it is, and connections of it."""

from __future__ import annotations

import importlib.util
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from engine.domain.frozen import frozen
from engine.targets.sqlite.connection.errors import sqlite_error

_ANSWERS_WITHIN: Final = 30.0
"""Seconds that the library has to say its version."""
_PROGRAM: Final = str(Path(__file__).with_name("bundled_process.py"))
_processes: Final = set[int]()


@frozen
class Library:
    """A library of SQLite."""

    version: str
    options: frozenset[str]
    """The options that it is compiled with."""


def is_installed() -> bool:
    return _package() is not None


def _package() -> Path | None:
    """The directory in which the package lies."""
    found = importlib.util.find_spec("apsw")
    return None if found is None or found.origin is None else Path(found.origin).parents[1]


def _command() -> tuple[str, ...]:
    """What starts its process: Python, which looks for no packages itself, because that takes as long as its start."""
    return sys.executable, "-I", "-S", _PROGRAM, str(_package())


@lru_cache(maxsize=1)
def bundled_library() -> Library:
    """The library of the package apsw. Raises OSError if it does not start."""
    try:
        done = subprocess.run(_command(), capture_output=True, text=True, check=False, timeout=_ANSWERS_WITHIN)
    except subprocess.TimeoutExpired:
        raise OSError(0, f"it does not answer within {_ANSWERS_WITHIN:g} s") from None
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise OSError(0, done.stderr.strip().rpartition("\n")[2] or f"it ended with {done.returncode}") from None
    return Library(said["version"], frozenset(said["options"]))


def processes() -> Set[int]:
    """The ids of the processes of all its connections here: they are no others that use a database."""
    return _processes


class BundledConnection:
    """A connection of that library in a process of its own, used as a `sqlite3.Connection` in autocommit mode."""

    text_factory: Any = None
    """Has no effect: the process sends all text as UTF-8."""

    def __init__(
        self, file: str, prepare: Callable[[BundledConnection], object], *, timeout: float = 0.0, **_: object
    ) -> None:
        self.in_transaction = False
        self._handler: Callable[[], int] | None = None
        self._writing = threading.Lock()
        try:
            self._process = subprocess.Popen(
                [*_command(), file, str(timeout)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a signal from the terminal is for the worker
            )
        except OSError as error:
            raise _aborted(f"the process of the bundled SQLite cannot be started ({error.strerror})") from error
        _processes.add(self._process.pid)
        try:
            self._answer()
            prepare(self)
        except BaseException:
            self._end()
            raise

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> _Rows:
        if parameters:
            raise sqlite3.NotSupportedError("this connection takes no parameters")
        self._send(json.dumps(sql))
        return _Rows(self._answer())

    def executescript(self, script: str) -> _Rows:
        return self.execute(script)

    def set_progress_handler(self, handler: Callable[[], int] | None, opcodes: int) -> None:
        self._handler = handler
        self._send(json.dumps(opcodes))

    def interrupt(self) -> None:
        """Interrupt the statement. Any thread may call this."""
        with suppress(sqlite3.Error):  # then there is nothing to interrupt
            self._send("")

    def close(self) -> None:
        try:
            with suppress(sqlite3.Error):
                self.execute("SELECT 1")  # an interrupt that came too late would make it leave its log behind
                self._send("null")
                self._answer()
        finally:
            self._end()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with self._writing:
            try:
                self._process.stdin.write(f"{line}\n".encode())
                self._process.stdin.flush()
            except (OSError, ValueError):  # it is gone, or closed
                raise self._ended() from None

    def _answer(self) -> list[tuple[Any, ...]]:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        for line in self._process.stdout:
            said = json.loads(line)
            self._tick(said.get("ticks", 0))
            if "error" in said:
                self.in_transaction = said.get("in_transaction", False)
                raise sqlite_error(*said["error"])
            if "rows" in said:
                self.in_transaction = said.get("in_transaction", False)
                return [tuple(row) for row in said["rows"]]
        raise self._ended()

    def _tick(self, ticks: int) -> None:
        for _ in range(ticks):
            if self._handler is not None and self._handler():
                self.interrupt()

    def _ended(self) -> sqlite3.Error:
        """The error of a process that ended. Its transaction is rolled back when the file is opened next."""
        self.in_transaction = False
        code = self._process.wait()
        why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return _aborted(f"the process of the bundled SQLite ended early ({why})")

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()
        _processes.discard(self._process.pid)


def _aborted(why: str) -> sqlite3.Error:
    return sqlite_error(sqlite3.SQLITE_ABORT, "SQLITE_ABORT", why)


class _Rows:
    """The rows of a statement that has ended."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def close(self) -> None:
        pass
