"""The lock that an attempt holds at a database on a server: until it ends no other attempt begins, of any store.

The attempt has it in the session that reads the catalog. Each session that runs steps shares it, so that the server
still holds it for a command whose client is gone. A session joins while its attempt has the lock.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, Generic

from engine.domain.errors import TargetBusyError
from engine.domain.humanize import listed
from engine.targets.catalog_reader import C, CatalogReader, S
from engine.targets.target import Waiting

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


class AttemptLock(ABC, Generic[C, S]):
    """The lock of one attempt. Each engine says how its server holds it."""

    def __init__(self, reader: CatalogReader[C, S], timeout: float, waiting: Waiting | None) -> None:
        """`timeout`: seconds that it is waited for. `waiting`: called with those who work on the database."""
        self._reader = reader
        self._timeout = timeout
        self._waiting = waiting
        self._holder: C | None = None
        """The connection on which the attempt has the lock."""
        self._holders: set[int] = set()
        """The connections of the reader that have had it: the server may not know yet that one is gone."""
        self._joined: set[int] = set()
        """The connections that share it."""
        self._started = reader.server.started
        """The start of the server that gave them their numbers."""

    @abstractmethod
    async def try_to_take(self, connection: C) -> bool:
        """Take the lock, if no other attempt has it. Raises an error of the driver."""

    @abstractmethod
    async def share(self, connection: C) -> None:
        """Share the lock of the attempt. Raises TargetBusyError, and an error of the driver."""

    @abstractmethod
    async def others(self, connection: C) -> Mapping[int, str]:
        """The connections, besides this one and those that joined, that hold or share it: who each is, as text.

        Raises an error of the driver.
        """

    @abstractmethod
    async def end(self, connection: C, number: int) -> None:
        """End another connection. Raises an error of the driver."""

    async def take(self) -> None:
        """Wait for the lock; where its session was lost, take it again. Raises TargetError."""
        give_up, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
        while found := await self._keeping():
            who = f"is being worked on by {listed(found)}"
            if (left := give_up - time.monotonic()) <= 0:
                raise TargetBusyError(self._reader.what, f"no lock within {self._timeout:g} s: it {who}")
            if self._waiting is not None:
                self._waiting(f"it {who}")
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def join(self, connection: C, server: S) -> None:
        """Share it with a connection that will run steps. Raises TargetError."""
        self._forget_before(server)
        self._joined.add(server.connection_id)  # before it shares: others that join now must not wait for it
        with self._reader.telling():
            await self.share(connection)
        await self.take()

    async def _keeping(self) -> list[str]:
        """Who keeps this attempt from working, as text; empty while it has the lock."""
        with self._reader.telling():
            async with self._reader.alone() as connection:
                self._forget_before(self._reader.server)
                if self._holder is not connection and await self.try_to_take(connection):
                    self._holder = connection
                    self._holders.add(self._reader.server.connection_id)
                found = await self.others(connection)
                others = {number: who for number, who in found.items() if number not in self._joined}
                for lost in others.keys() & self._holders:  # a lost session of our own
                    await self.end(connection, lost)
                if self._holder is not connection and not others:
                    return ["another session"]  # it has just ended, or may not be seen
                return list(others.values())

    def _forget_before(self, server: S) -> None:
        """After a restart of the server, other sessions get the numbers that were known."""
        if server.started != self._started:
            self._started = server.started
            self._holders.clear()
            self._joined.clear()
