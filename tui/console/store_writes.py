"""Changes to the store: one thing at a time, and a store that others keep locked is waited for in sight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from engine import Engine
from engine.domain.errors import DbtendError, StoreBusyError
from tui.console.views.line import Role
from tui.console.views.standing import not_stored, waiting_for_the_store

SAY_EVERY = 1.0
"""Seconds between two words on a store that is locked."""
LEFT_OUT: Final = 3
"""How many of these words are left out after another one, so that it can be read."""


class Say(Protocol):
    """Says a sentence to whoever sits there."""

    def __call__(self, sentence: str, role: Role = ...) -> None: ...


class StoreWrites:
    """What the console stores."""

    def __init__(
        self, engine: Engine, say: Say, unsay: Callable[[str], None], failed: Callable[[DbtendError], None]
    ) -> None:
        """
        Args:
            unsay: takes a sentence away that is so no longer.
            failed: is told what could not be done, unless the store was locked: that is said.
        """
        self._engine, self._say, self._unsay, self._failed = engine, say, unsay, failed
        self._is_under_way = False
        self._silent_for = 0

    async def write(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do it, or in vain; what is asked for while something else is being stored is not done, and that is said."""
        if self._is_under_way:
            self._say("A moment: what was asked for before is not stored yet. This was not done.", Role.WARNING)
            self._silent_for = LEFT_OUT
            return
        self._is_under_way = True
        writing = asyncio.ensure_future(do())
        waited, busy = 0, ""
        try:
            while not (await asyncio.wait({writing}, timeout=SAY_EVERY))[0]:
                waited += 1
                left = max(round(Engine.STORE_BUSY_TIMEOUT - waited * SAY_EVERY), 1)
                if self._silent_for:
                    self._silent_for -= 1
                elif locked_by := await self._engine.store_locked_by():
                    busy = waiting_for_the_store(locked_by, left)
                    self._say(busy, Role.WARNING)
            await writing
        except StoreBusyError as error:
            self._say(not_stored(error, await self._engine.store_locked_by()), Role.FAILED)
        except DbtendError as error:
            self._failed(error)
        finally:
            if busy:
                self._unsay(busy)
            writing.cancel()
            self._is_under_way = False
