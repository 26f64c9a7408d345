"""Signals that stop commands of a server, and waiting for the end of one: without a waiting task per command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

CANCEL_AGAIN_AFTER: Final = 2.0
"""Seconds until the cancel is repeated: the first may come before the command starts."""
CANCEL_TIMEOUT: Final = 5.0
CANCEL_GIVES_UP_AFTER: Final = 60.0
"""Seconds until an unanswered cancel gives the connection up."""


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


async def until_over(
    over: StopSignal,
    stops: tuple[StopSignal, ...],
    ask_to_stop: Callable[[], Awaitable[None]],
    give_up: Callable[[str], None],
    gives_up_after: float | None = None,
) -> tuple[bool, bool]:
    """Wait until `over` is set. Returns whether the command was asked to stop, and whether the task was cancelled.

    It is asked, again and again, from when one of `stops` is set, or the task is cancelled. `give_up`, called with the
    reason, must end the wait.
    """
    wake, was_asked, is_cancelled, asked_at = asyncio.Event(), False, False, 0.0
    loop, patience = asyncio.get_running_loop(), CANCEL_GIVES_UP_AFTER if gives_up_after is None else gives_up_after
    for signal in (over, *stops):
        signal.listen(wake.set)
    try:
        while not over.is_set():
            wake.clear()
            was_asked = is_cancelled or any(stop.is_set() for stop in stops)
            try:
                if not was_asked:
                    await wake.wait()
                    continue
                asked_at = asked_at or loop.time()
                if loop.time() - asked_at > patience:
                    give_up(f"no answer to the cancel within {patience:g} s: the command may still run on the server")
                else:
                    await ask_to_stop()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL_AGAIN_AFTER):
                        await wake.wait()
            except asyncio.CancelledError:
                is_cancelled = True
    finally:
        for signal in (over, *stops):
            signal.stop_listening(wake.set)
    return was_asked, is_cancelled


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
