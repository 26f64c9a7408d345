"""Calling dbtend: in this process where only the result matters, as a real process where the process does."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from engine import Engine
from tests.forked_python import ForkedPython
from tests.tui.json_documents import check_document
from tui.cli import main
from tui.presentation.job_notes import NO_CHECK_WAS_ON_RECORD


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class _Written(io.TextIOWrapper):
    """Keeps what is written; it is a terminal where that is one which it stands for."""

    def __init__(self, stands_for: TextIO) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", newline="", write_through=True)
        self._stands_for = stands_for

    def isatty(self) -> bool:
        return self._stands_for.isatty()

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode()


class CommandLine:
    """`dbtend` with a store and a config file of its own under `home`."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.store, self.config = home / "state" / "jobs.db", home / "config" / "config.toml"
        self.environment: Mapping[str, str] = {
            "XDG_STATE_HOME": str(home / "state-home"),
            "XDG_CONFIG_HOME": str(home / "config-home"),
            "DBTEND_STORE": str(self.store),
        }
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("DBTEND_CONFIG", raising=False)

    def __call__(self, *argv: str | Path) -> Result:
        out, err = _Written(sys.stdout), _Written(sys.stderr)
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(word) for word in argv])
        check_document([str(word) for word in argv], out.text)
        return Result(code, out.text, err.text)

    def configure(self, text: str) -> None:
        """Write the config file at its default place."""
        path = self.home / "config-home" / "dbtend" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(
        self,
        *argv: str | Path,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
        interpreter: bool = False,
    ) -> subprocess.Popen[str]:
        """A real process; its standard output and error can be read. `interpreter`: with a new one."""
        python = subprocess.Popen[str] if interpreter else ForkedPython[str]
        return python(
            [sys.executable, "-m", "tui.cli", *map(str, argv)],
            env={**os.environ, **self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def process(self, *argv: str | Path, interpreter: bool = False) -> Result:
        """A real process, run to its end."""
        with self.start(*argv, interpreter=interpreter) as process:
            out, err = process.communicate(timeout=60)
        check_document([str(word) for word in argv], out)
        return Result(process.returncode, out, err)


@contextmanager
def command_line(home: Path) -> Iterator[CommandLine]:
    """The command for a fixture that several tests share, who get copies of `home`."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield CommandLine(home, monkeypatch)


def out_line(process: subprocess.Popen[str]) -> str:
    """The next line on standard output, waited for."""
    assert process.stdout is not None
    return process.stdout.readline()


def err_line(process: subprocess.Popen[str]) -> str:
    """The next line on standard error, waited for; there is one."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line, "nothing more is said"
    return line


def workers_of(store: Path) -> list[int]:
    """The processes that run something of a store."""

    async def look() -> list[int]:
        async with Engine.open(store) as engine:
            return [worker.pid for worker in await engine.workers() if worker.alive and worker.running]

    return asyncio.run(look())


@contextmanager
def being_read(path: Path, table: str) -> Iterator[None]:
    """Another program reads: what writes begins, and waits for its end before it changes the file (without WAL)."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute(f"SELECT count(*) FROM {table}").fetchone()
        yield
        db.execute("ROLLBACK")


@contextmanager
def write_locked(path: Path) -> Iterator[None]:
    """Another program in the middle of a write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def but_unchecked(err: str) -> str:
    """The lines but those about targets of which no check was on record."""
    return "".join(line for line in err.splitlines(keepends=True) if NO_CHECK_WAS_ON_RECORD not in line)
