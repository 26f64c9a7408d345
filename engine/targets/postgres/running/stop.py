"""What asks statements to stop. No task waits for it in each of them: thousands are over in a moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator


class Stop:
    """Is set once, and tells those who listen at that moment."""

    def __init__(self) -> None:
        self.is_set = False
        self._told: list[Callable[[], None]] = []

    def set(self) -> None:
        self.is_set = True
        for tell in tuple(self._told):
            tell()

    @contextlib.contextmanager
    def telling(self, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell` when it is set meanwhile."""
        self._told.append(tell)
        try:
            yield
        finally:
            self._told.remove(tell)


class Stops:
    """One for each event that is set to stop steps: most steps share theirs."""

    def __init__(self) -> None:
        self._known: dict[asyncio.Event, tuple[Stop, asyncio.Task[None]]] = {}

    def of(self, event: asyncio.Event) -> Stop:
        """What is set as `event` is."""
        if event not in self._known:
            stop = Stop()
            self._known[event] = stop, asyncio.create_task(_follow(event, stop))
        stop, _ = self._known[event]
        if event.is_set() and not stop.is_set:
            stop.set()
        return stop

    async def end(self) -> None:
        following = [task for _, task in self._known.values()]
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def _follow(event: asyncio.Event, stop: Stop) -> None:
    await event.wait()
    stop.set()
