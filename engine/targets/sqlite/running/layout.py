"""The page map of a file before and after an operation that moves its pages, where it is cheap."""

from __future__ import annotations

from typing import Final

from engine.domain.errors import TargetError
from engine.domain.kept_page_map import MOVES_PAGES, packed
from engine.domain.page_map import DAMAGED, UNSEEN, NotMapped
from engine.domain.requests import Operation
from engine.domain.steps import NOT_MAPPED, PAGES_AFTER, PAGES_BEFORE, Facts
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.sqlite.system.files import file_size

LEAST: Final = 2_000_000
"""Bytes: the operation on a smaller file is over before its map would be drawn."""
PLACES: Final = 1_024
LONGEST: Final = 0.5
"""Seconds for one map."""


class Layout:
    """Takes the map before the first step, and the one after it when the facts are read. No operation waits for a lock,
    or fails, because of it."""

    def __init__(self, reader: Reader, operation: Operation) -> None:
        """`reader`: used by nothing else; from now on it waits for no lock."""
        self._reader = reader
        self._reader.lock_timeout = 0.0
        self._is_due = operation in MOVES_PAGES
        self._before: str | NotMapped | None = None

    async def before_step(self) -> None:
        """Call this before each step."""
        if not self._is_due:
            return
        self._is_due = False
        if file_size(self._reader.path) >= LEAST:
            self._before = await self._map()

    async def facts(self) -> Facts:
        """The maps before and now, if they differ, or why there are none."""
        if self._before is None:
            return {}
        after = self._before if isinstance(self._before, NotMapped) else await self._map()
        if isinstance(after, NotMapped):
            return {NOT_MAPPED: after.value}
        return {} if after == self._before else {PAGES_BEFORE: self._before, PAGES_AFTER: after}

    async def _map(self) -> str | NotMapped:
        try:
            found = await self._reader.page_map(PLACES, LONGEST)
        except TargetError:
            return NotMapped.UNREADABLE
        if isinstance(found, NotMapped):
            return found
        if UNSEEN not in found.owners:
            return packed(found)
        return NotMapped.UNREADABLE if DAMAGED in found.owners else NotMapped.SLOW
