"""The page map of a file before and after an operation that moves its pages, if it is cheap."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import aiosqlite

from engine.domain.errors import TargetError
from engine.domain.kept_page_map import packed
from engine.domain.page_map import DAMAGED, UNSEEN, NotMapped, PageMap, with_named
from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.domain.steps import FREED_PAGES, MOVES_PAGES, NOT_MAPPED, PAGES_AFTER, PAGES_BEFORE, Facts
from engine.system.background import wait_uncancelled
from engine.targets.database_files import file_size
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.reading import page_map
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.step_execution import StepResult

LEAST: Final = 2_000_000
"""Bytes: the operation on a smaller file is over before its map would be drawn."""
PLACES: Final = 1_024
LONGEST: Final = 0.5
"""Seconds for one map."""


class Layout:
    """Takes the map before the first step, and the one after it when the facts are read. No operation waits for a lock,
    or fails, because of it. An exchange maps the file while it is copied, and the copy while it is checked."""

    def __init__(
        self, reader: Reader, operation: Operation, named_by_check: Collection[int] = (), *, steps: int = 0
    ) -> None:
        """`reader`: used by nothing else; from now on it waits for no lock. `named_by_check`: damaged pages, until all
        `steps` are done."""
        self._reader = reader
        self._reader.lock_timeout = 0.0
        self._named = named_by_check
        self._steps_left = steps
        self._is_due = operation in MOVES_PAGES
        self._before: str | NotMapped | None = None
        self._of_copy: str | NotMapped | None = None
        self._after: str | NotMapped | None = None

    async def before_step(self) -> None:
        """Call this before the first step or earlier, and before each other one, but for an exchange."""
        self._after = None
        if self._begins():
            self._before = await self._map(self._named)

    @asynccontextmanager
    async def before_exchange(self, connection: aiosqlite.Connection, file: int) -> AsyncIterator[None]:
        """Map the file of `connection`, open as `file`, while nothing but that reads it inside."""
        if not self._begins():
            yield
            return
        async with _mapping(connection, file) as found:
            yield
        self._before = found.result()

    @asynccontextmanager
    async def of_copy(self, connection: aiosqlite.Connection, file: int) -> AsyncIterator[None]:
        """Likewise the copy that is to replace the file."""
        if self._before is None or isinstance(self._before, NotMapped):
            yield
            return
        async with _mapping(connection, file) as found:
            yield
        self._of_copy = found.result()

    def exchanged(self) -> None:
        """Call this once the copy has replaced the file."""
        self._after = self._of_copy

    def _begins(self) -> bool:
        is_due, self._is_due = self._is_due, False
        return is_due and file_size(self._reader.path) >= LEAST

    def step_over(self, result: StepResult) -> None:
        """Call this after each step. Once pages were freed, others have their numbers."""
        if (result.effect or {}).get(FREED_PAGES):
            self._steps_left = 0
        elif result.status in {Status.COMPLETED, Status.SKIPPED}:
            self._steps_left -= 1

    async def facts(self) -> Facts:
        """The maps before and now, if they differ, or why there are none."""
        if self._before is None:
            return {}
        after = self._before if isinstance(self._before, NotMapped) else self._after or await self._map_after()
        if isinstance(after, NotMapped):
            return {NOT_MAPPED: after.value}
        return {} if after == self._before else {PAGES_BEFORE: self._before, PAGES_AFTER: after}

    async def _map_after(self) -> str | NotMapped:
        return await self._map(self._named if self._steps_left > 0 else ())

    async def _map(self, named: Collection[int]) -> str | NotMapped:
        try:
            return _kept(await self._reader.page_map(PLACES, LONGEST), named)
        except TargetError:
            return NotMapped.UNREADABLE


@asynccontextmanager
async def _mapping(connection: aiosqlite.Connection, file: int) -> AsyncIterator[asyncio.Future[str | NotMapped]]:
    """The map, which is taken in a thread of its own; it is there at the end."""

    def take() -> str | NotMapped:
        return _kept(page_map.map_of(file, roots, most_places=PLACES, in_all=LONGEST))

    taking: asyncio.Future[str | NotMapped] = asyncio.get_running_loop().create_future()
    try:
        roots = await statement.read_by(connection, page_map.roots_of, statement.LockWait(0.0, asyncio.Event()))
    except sqlite3.Error:
        taking.set_result(NotMapped.UNREADABLE)
    else:
        taking = asyncio.ensure_future(asyncio.to_thread(take))
    try:
        yield taking
    finally:
        await wait_uncancelled(taking)  # it reads a descriptor that is closed with the connection


def _kept(found: PageMap | NotMapped, named: Collection[int] = ()) -> str | NotMapped:
    if isinstance(found, NotMapped):
        return found
    if UNSEEN not in found.owners:
        return packed(with_named(found, named))
    return NotMapped.UNREADABLE if DAMAGED in found.owners else NotMapped.SLOW
