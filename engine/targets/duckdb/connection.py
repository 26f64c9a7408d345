"""A connection to a DuckDB file: opened as soon as no other process has it, its commands run in a thread."""

from __future__ import annotations

import asyncio
import os
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
from engine.targets.database_files import naming_engine
from engine.targets.duckdb import DUCKDB
from engine.targets.duckdb.file_process import FileFacts, look
from engine.targets.quoting import enclosed
from engine.targets.step_execution import StepProgress
from engine.targets.target import Waiting
from engine.targets.waits import first_of

_SETTINGS: Final = {
    "autoinstall_known_extensions": "false",  # nothing comes from the network,
    "autoload_known_extensions": "false",  # and a file of another kind is not taken for one to attach
    "allow_persistent_secrets": "false",
    "memory_limit": "1GiB",  # its own choice is most of the machine
    "temp_directory": "",  # beside the file it would stay after a kill
}
_PROGRESS: Final = "SET enable_progress_bar = true; SET enable_progress_bar_print = false"
"""The percent is asked for, and not drawn over the screen."""
_DAMAGE: Final = (duckdb.IOException, duckdb.SerializationException)
"""What a read of damaged blocks raises, besides `duckdb.Error` itself, which DuckDB 2 raises for a wrong checksum."""
_TELLS_DAMAGE_APART: Final = not duckdb.__version__.startswith("1.")
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
        give_up, pause, was_free = time.monotonic() + timeout, _FIRST_PAUSE, False
        while True:
            try:
                return cls(path, await in_thread(lambda: _connect(path, writing=writing)))
            except duckdb.Error as error:
                file = await in_thread(lambda: look(path, writing=writing))
                holder, left = _holder(error, file), give_up - time.monotonic()
                if holder and left <= 0:
                    raise TargetBusyError(path, f"no lock within {timeout:g} s: {holder}") from None
                if was_free and not holder:
                    raise await asyncio.to_thread(naming_engine, opening_error(path, error, file), DUCKDB) from error
            was_free = not holder  # who had it open may have ended since: try once more
            if holder:
                if waiting is not None:
                    waiting(holder)
                await asyncio.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def close(self) -> None:
        await in_thread(self.close_now)

    def close_now(self) -> None:
        self._native.close()

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


def _holder(error: duckdb.Error, file: FileFacts) -> str:
    """Who has the file open, as text; "" where that is not the problem."""
    if isinstance(error, duckdb.ConnectionException) or file.holder == os.getpid():
        return "this process has it open in another way"
    if file.holder < 0:
        return ""
    return openers_in_words([file.holder]) if file.holder else "another process has it open"


def reason_of(error: duckdb.Error) -> str:
    """What DuckDB says, in one line, without its stack trace. It may hold values of the database: it is only shown."""
    return " ".join(str(error).split("\n\n")[0].split())[:_LONGEST]


def is_damage(error: duckdb.Error) -> bool:
    """Whether a read of the file failed because the file is damaged."""
    return type(error) is duckdb.Error or isinstance(error, _DAMAGE)


def reading_error(path: str, error: duckdb.Error) -> TargetError:
    """The error for an open file whose catalog cannot be read."""
    if is_damage(error):
        return TargetDamagedError(path, f"it is damaged: {reason_of(error)}", "restore a backup")
    return TargetUnavailableError(path, reason_of(error), "check the path and the rights")


def opening_error(path: str, error: duckdb.Error, file: FileFacts) -> TargetError:
    """The error for a file that cannot be opened, and that no other process holds."""
    if file.size and not file.is_duckdb:
        return TargetUnrecognizedError(path, "not a DuckDB database", "check the path")
    if file.is_encrypted:
        return TargetRefusedError(path, "it is encrypted", "dbtend takes no keys: maintain it where its key is")
    if file.is_newer_than(duckdb.__version__) and isinstance(error, duckdb.IOException):
        why = f"DuckDB {file.made_by} made it, and the installed DuckDB {duckdb.__version__} cannot open it"
        return TargetRefusedError(path, why, "install a newer package duckdb: pip install -U duckdb")
    if file.size and (file.is_cut or type(error) is duckdb.Error or not _TELLS_DAMAGE_APART):
        return TargetDamagedError(path, f"it is damaged: {reason_of(error)}", "restore a backup")
    return TargetUnavailableError(path, reason_of(error), "check the path and the rights")
