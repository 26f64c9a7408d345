"""One connection to a DuckDB file: inspect and plan."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from engine.domain.advice import Advice, Measurement, TargetHistory
from engine.domain.errors import TargetBusyError
from engine.domain.requests import Operation, Options
from engine.domain.steps import FILE, Facts, Step
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.database_files import file_size
from engine.targets.duckdb import DUCKDB, copying, files, planner
from engine.targets.duckdb.advising import advise
from engine.targets.duckdb.connection import Connection, reading_error
from engine.targets.duckdb.contents import Contents, obstacle, read_contents
from engine.targets.duckdb.operation import DuckDbOperation
from engine.targets.duckdb.operation_specs import SPECS
from engine.targets.operation_specs import TargetInfo, operation_infos
from engine.targets.session import Recovery, Session
from engine.targets.step_execution import StepContext

_NO_LOCK: Final = "no lock can be taken on this system: a job of another store on this database is not noticed"


class DuckDbSession(Session):
    """The `Session` of a DuckDB file."""

    def __init__(self, connection: Connection, url: str, log: int) -> None:
        """`log`: bytes of the write-ahead log before the file was opened, which may write it back."""
        self._connection = connection
        self._url = url
        self._log = log
        self._lock: socket.socket | None = None

    async def close(self) -> None:
        try:
            await self._connection.close()
        finally:
            if self._lock is not None:
                self._lock.close()

    async def lock(self) -> Sequence[str]:
        """A name that the kernel gives to one process at a time, and takes back at its end: DuckDB itself lets several
        processes read."""
        if sys.platform != "linux":
            return (_NO_LOCK,)
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._lock.bind(f"\0dbtend {files.key_of(self._connection.path)}")
        except OSError:
            raise TargetBusyError(self._connection.path, "another job of dbtend works on it") from None
        return ()

    async def contents(self) -> Contents:
        """Raises TargetError."""
        with self._telling():
            return await read_contents(self._connection)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Raises TargetError for an error of DuckDB."""
        try:
            yield
        except duckdb.Error as error:
            raise reading_error(self._connection.path, error) from error

    async def facts(self, past: TargetHistory | None = None) -> Facts:
        path, contents = self._connection.path, await self.contents()
        size = file_size(path)
        return {"size": size, "wal_size": files.log_size(path), **contents.facts, FILE: files.key_of(path)}

    async def info(self, past: TargetHistory | None = None) -> TargetInfo:
        return TargetInfo(
            url=self._url,
            engine=DUCKDB,
            version=duckdb.__version__,
            facts=await self.facts(),
            operations=operation_infos(SPECS),
            read_only=files.why_read_only(self._connection.path),
        )

    async def advise(
        self, past: TargetHistory, *, budget: float | None, limits: Thresholds = DEFAULT_THRESHOLDS
    ) -> tuple[tuple[Advice, ...], Measurement | None]:
        size = file_size(self._connection.path)
        return advise(await self.contents(), past, limits, file=size, log=self._log), None

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> DuckDbOperation:
        path, contents, problem = self._connection.path, await self.contents(), ""
        if operation is Operation.COMPACT:
            with self._telling():
                problem = await obstacle(self._connection, contents)
        plan = await asyncio.to_thread(
            planner.plan, path, contents, operation, options, log=self._log, obstacle=problem
        )
        return DuckDbOperation(plan, self._connection, contents, self._log, self.facts)

    async def recover(self, earlier: Sequence[Step], options: Options, context: StepContext) -> Recovery:
        path = self._connection.path
        for file in {path, planner.backup_name(path, options.backup_to)}:
            with suppress(OSError):  # its directory is gone
                await asyncio.to_thread(copying.remove_leftovers, path, str(Path(file).parent))
        contents = await self.contents()
        found = f"it can be opened, with {len(contents.tables):,} tables"
        return Recovery(unfinished="was rolled back", found=found, is_well=True)
