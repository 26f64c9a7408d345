"""A connection to a DuckDB file: opened as soon as no other process has it, its commands run in a thread."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import duckdb

from engine.domain.errors import (
    TargetBusyError,
    TargetDamagedError,
    TargetError,
    TargetRefusedError,
    TargetUnavailableError,
    TargetUnrecognizedError,
)
from engine.system.background import wait_uncancelled
from engine.system.lock_holders import openers_in_words
from engine.targets.quoting import enclosed
from engine.targets.step_execution import StepProgress
from engine.targets.target import Waiting
from engine.targets.waits import first_of

_SETTINGS: Final = {
    "autoinstall_known_extensions": "false",  # nothing comes from the network,
    "autoload_known_extensions": "false",  # and a file of another kind is not taken for one to attach
    "allow_persistent_secrets": "false",
    "memory_limit": "1GiB",  # its own choice is most of the machine
}
_PROGRESS: Final = "SET enable_progress_bar = true; SET enable_progress_bar_print = false"
"""The percent is asked for, and not drawn over the screen."""
_HOLDER: Final = re.compile(r"Conflicting lock is held in .*?\(PID (\d+)\)", re.DOTALL)
_NO_DATABASE: Final = re.compile(r"not a valid DuckDB database file|Extension \"sqlite", re.IGNORECASE)
_NEWER: Final = re.compile(r"(?:version number|storage version) \S*|newer version of DuckDB", re.IGNORECASE)
_DAMAGED: Final = re.compile(r"corrupt|checksum|could not read enough bytes|deserializ|invalidated", re.IGNORECASE)
_LONGEST: Final = 300
_FIRST_PAUSE, _LONGEST_PAUSE, _LOOK = 0.02, 0.2, 0.25


def quote(name: str) -> str:
    return enclosed(name, '"')


def literal(text: str) -> str:
    return enclosed(text, "'")


class StoppedError(Exception):
    """A command was stopped by a cancel, and has changed nothing."""


class Connection:
    """One connection. Its commands run one after another."""

    def __init__(self, path: str, native: duckdb.DuckDBPyConnection) -> None:
        self.path = path
        self._native = native

    @classmethod
    async def open(cls, path: str, *, writing: bool, timeout: float, waiting: Waiting | None = None) -> Connection:
        """Waits until no other process has the file open for writing, or at all if `writing`. Raises TargetError."""
        give_up, pause = time.monotonic() + timeout, _FIRST_PAUSE
        while True:
            try:
                return cls(path, await in_thread(lambda: _connect(path, writing=writing)))
            except duckdb.Error as error:
                holder = _holder(error)
                if not holder:
                    raise target_error(path, error) from error
                if (left := give_up - time.monotonic()) <= 0:
                    raise TargetBusyError(path, f"no lock within {timeout:g} s: {holder}") from None
            if waiting is not None:
                waiting(holder)
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def close(self) -> None:
        await in_thread(self.close_now)

    def close_now(self) -> None:
        self._native.close()

    @classmethod
    async def beside(cls, path: str, name: str) -> Connection:
        """A connection to no file, with the database at `path` attached under this name to read: beside it others may
        be attached to write. No other connection of this process may have it open: the first that ends drops the lock
        of the other. Raises duckdb.Error."""
        connection = cls(path, await in_thread(lambda: _connect(":memory:", writing=True)))
        await connection.rows(f"ATTACH {literal(path)} AS {quote(name)} (READ_ONLY)")
        return connection

    async def reopen(self) -> None:
        """Go on with a new connection, to read. Raises duckdb.Error."""
        await self.close()
        self._native = await in_thread(lambda: _connect(self.path, writing=False))

    async def rows(
        self,
        command: str,
        parameters: Sequence[object] = (),
        *,
        cancel: asyncio.Event | None = None,
        report: Callable[[StepProgress], None] | None = None,
    ) -> list[tuple[Any, ...]]:
        """The rows of a command. Raises duckdb.Error; StoppedError if `cancel` stopped it."""
        work = asyncio.ensure_future(asyncio.to_thread(self._rows, command, parameters))
        try:
            while not work.done():
                if cancel is not None and cancel.is_set():
                    self._native.interrupt()
                    await first_of(task=work, timeout=_FIRST_PAUSE)
                    continue
                await first_of(*([cancel] if cancel is not None else []), task=work, timeout=_LOOK)
                if report is not None and not work.done() and (percent := self._native.query_progress()) > 0:
                    report(StepProgress(fraction=min(percent / 100, 1.0)))
        finally:
            if not work.done():
                self._native.interrupt()
                await wait_uncancelled(work)
        try:
            return work.result()
        except duckdb.InterruptException:
            raise StoppedError from None

    def _rows(self, command: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        self._native.execute(command, [*parameters] or None)
        return self._native.fetchall() if self._native.description else []


def _connect(path: str, *, writing: bool) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(path, read_only=not writing, config=dict(_SETTINGS))
    connection.execute(_PROGRESS)
    return connection


async def in_thread(work: Callable[[], Any]) -> Any:
    """The result of `work`, which ends whatever happens meanwhile."""
    return await wait_uncancelled(asyncio.ensure_future(asyncio.to_thread(work)))


def _holder(error: duckdb.Error) -> str:
    """Who has the file open, as text; "" where that is not the problem."""
    if isinstance(error, duckdb.ConnectionException) and "different configuration" in str(error):
        return "this process has it open in another way"
    if "Could not set lock" not in str(error):
        return ""
    named = _HOLDER.search(str(error))
    return openers_in_words([int(named[1])]) if named else "another process has it open"


def reason_of(error: duckdb.Error) -> str:
    """What DuckDB says, in one line."""
    return " ".join(str(error).split())[:_LONGEST]


def is_damage(error: duckdb.Error) -> bool:
    return _DAMAGED.search(str(error)) is not None


def target_error(path: str, error: duckdb.Error) -> TargetError:
    """The error for a file that cannot be opened or read."""
    text = str(error)
    if _NO_DATABASE.search(text):
        return TargetUnrecognizedError(path, "not a DuckDB database", "check the path")
    if _NEWER.search(text):
        why = f"its storage version is one that DuckDB {duckdb.__version__} does not read"
        return TargetRefusedError(path, why, "install a newer package duckdb: pip install -U duckdb")
    if "encrypt" in text.lower():
        return TargetRefusedError(path, "it is encrypted", "dbtend takes no keys: maintain it where its key is")
    if is_damage(error):
        return TargetDamagedError(path, f"it is damaged: {reason_of(error)}", "restore a backup")
    return TargetUnavailableError(path, reason_of(error), "check the path and the rights")
