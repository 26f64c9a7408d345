"""The sizes of tables after their steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from engine.targets.limits import Limits
from engine.targets.mysql.reading.facts import size_and_rows
from engine.targets.mysql.reading.files import FileSize, table_sizes
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table

_REST: Final = 9.0
"""The pause after a query, by its own duration: so queries take a tenth of the time at most."""

_Sizes = Mapping[str, FileSize] | None


class Sizes:
    """Asks for the files of all tables at once: the server looks at each file for one table, too.

    One query answers all who ask before it begins, and there is one at a time, with a pause after it while more steps
    are to come.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turn = asyncio.Lock()
        self._begins_at = 0.0
        """When the pause after the last query ends."""
        self.last_has_run = asyncio.Event()
        """Set when the last step has run, and none begins any more: there is no pause then."""
        self._next: asyncio.Task[_Sizes] | None = None
        """A query that has not begun."""
        self._tasks: set[asyncio.Task[_Sizes]] = set()

    async def of(self, table: Table, limits: Limits) -> int | None:
        """Bytes now; None if it is gone, or has no file of its own. Raises TargetError."""
        if table.engine == "InnoDB" and (files := await self._files(limits)) is not None:
            file = files.get(self._reader.server.file_name(table.name))
            if file is None:
                return None
            return file.on_disk if table.is_page_compressed else file.length
        size, _ = await size_and_rows(self._reader, table)
        return size

    async def _files(self, limits: Limits) -> _Sizes:
        """See `table_sizes`."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask(limits))
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return await asyncio.shield(self._next)

    async def _ask(self, limits: Limits) -> _Sizes:
        async with self._turn:
            if (left := self._begins_at - time.monotonic()) > 0:
                await limits.wait(self.last_has_run, seconds=left)
            self._next, began = None, time.monotonic()
            try:
                return await table_sizes(self._reader)
            finally:
                ended = time.monotonic()
                self._begins_at = ended + _REST * (ended - began)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
