"""A DuckDB file as a target."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.targets.database_files import status_of
from engine.targets.duckdb import DUCKDB, files
from engine.targets.duckdb import operation_specs as specs
from engine.targets.duckdb.connection import Connection
from engine.targets.duckdb.planner import require
from engine.targets.duckdb.session import DuckDbSession
from engine.targets.file_target import FileTarget
from engine.targets.target import JournalCheck, Waiting
from engine.targets.waits import OthersLookup, no_others


class DuckDbTarget(FileTarget):
    """The database file at `path`, which does not have to exist."""

    engine = DUCKDB
    scheme = "duckdb"
    operations = specs.SPECS
    default_operations = specs.DEFAULT_OPERATIONS

    def fingerprint(self) -> str:
        files.check(self.path)
        return files.key_of(self.path)

    def state(self) -> str:
        status = status_of(self.path)
        return f"{status.st_ino}:{status.st_size}:{status.st_ctime_ns}:{files.log_size(self.path)}"

    async def identify(self) -> str:
        return await asyncio.to_thread(files.key_of, self.path)

    @asynccontextmanager
    async def connect(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        planning: bool = False,
        read_only: bool = False,
        name: str = "",
        waiting: Waiting | None = None,
        server_wait: float = 0.0,  # there is none
        others_work: OthersLookup = no_others,
        journal_check: JournalCheck | None = None,  # DuckDB compares its log with the file itself
    ) -> AsyncIterator[DuckDbSession]:
        log = await asyncio.to_thread(self._check, writing=writing and not read_only)
        opens_to_write = writing and not (planning or read_only)
        connection = await Connection.open(self.path, writing=opens_to_write, timeout=lock_timeout, waiting=waiting)
        session = DuckDbSession(connection, self.url, log)
        try:
            yield session
        finally:
            await session.close()

    def _check(self, *, writing: bool) -> int:
        """The bytes of the log. Raises TargetError."""
        files.check(self.path, writing=writing)
        return files.log_size(self.path)

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> str:
        async with self.connect(lock_timeout=lock_timeout, writing=writing, planning=True) as session:
            require(await session.contents(), options.objects_for(Operation.CHECK))
        return await self.identify()
