"""Signals that stop statements, without a waiting task per statement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class StopSignal:
    """Is set once, and then calls its listeners."""

    def __init__(self) -> None:
        self._is_set = False
        self._listening: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for tell in tuple(self._listening):
            tell()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` when it is set."""
        self._listening.append(listener)

    def stop_listening(self, listener: Callable[[], None]) -> None:
        self._listening.remove(listener)


class StopSignals:
    """One stop signal per event. Nearly all steps of a job share one."""

    def __init__(self) -> None:
        self._known: dict[asyncio.Event, tuple[StopSignal, asyncio.Task[None]]] = {}

    def of(self, event: asyncio.Event) -> StopSignal:
        """The signal that is set as soon as `event` is."""
        if event not in self._known:
            stop = StopSignal()
            self._known[event] = stop, asyncio.create_task(_follow(event, stop))
        return self._known[event][0]

    async def end(self) -> None:
        following = [task for _, task in self._known.values()]
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def _follow(event: asyncio.Event, stop: StopSignal) -> None:
    await event.wait()
    stop.set()
