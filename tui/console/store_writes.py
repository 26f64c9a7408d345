"""Writes to the store: one at a time; while another process locks the store, a message says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from engine import Engine
from engine.domain.errors import DbtendError, StoreBusyError
from tui.console.views.line import Role
from tui.console.views.status_banner import not_stored, waiting_for_the_store

MESSAGE_EVERY = 1.0
"""Seconds between two messages about a locked store."""
SKIPPED: Final = 3
"""Messages about the lock that are skipped after another message, so that it can be read."""


class Say(Protocol):
    def __call__(self, sentence: str, role: Role = ...) -> None: ...


class StoreWrites:
    def __init__(
        self, engine: Engine, say: Say, unsay: Callable[[str], None], failed: Callable[[DbtendError], None]
    ) -> None:
        """
        Args:
            unsay: removes a message that is no longer true.
            failed: called with the error of a write, unless the store was locked: a message says that.
        """
        self._engine, self._say, self._unsay, self._failed = engine, say, unsay, failed
        self._is_under_way = False
        self._messages_to_skip = 0

    async def write(self, do: Callable[[], Awaitable[None]]) -> None:
        """Run a write; refuse it, with a message, while another one runs."""
        if self._is_under_way:
            self._say("Not done: the previous change is still being stored. Try again in a moment.", Role.WARNING)
            self._messages_to_skip = SKIPPED
            return
        self._is_under_way = True
        writing = asyncio.ensure_future(do())
        waited, busy = 0, ""
        try:
            while not (await asyncio.wait({writing}, timeout=MESSAGE_EVERY))[0]:
                waited += 1
                left = max(round(Engine.STORE_BUSY_TIMEOUT - waited * MESSAGE_EVERY), 1)
                if self._messages_to_skip:
                    self._messages_to_skip -= 1
                # Another message may have come since.
                elif (locked_by := await self._engine.store_locked_by()) and not self._messages_to_skip:
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
