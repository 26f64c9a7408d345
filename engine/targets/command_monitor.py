"""Asks a server about the commands that run there, several times a second; one that keeps others waiting gives way."""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from engine.domain.errors import TargetError
from engine.domain.statuses import Reason, Status
from engine.domain.steps import GAVE_WAY
from engine.system.background import end_task
from engine.targets.catalog_reader import CatalogReader
from engine.targets.step_execution import StepProgress, StepResult
from engine.targets.stop_signal import StopSignal

INTERVAL: Final = 0.2
FIRST_POLL_AFTER: Final = 0.1
"""Seconds before a command is polled first. Most are over by then."""
RETRY_AFTER: Final = 1.0
LAST_WAIT: Final = 5.0
"""Seconds past its window that a command that has begun waits for a lock, also where it may wait longer before."""
MOST_ATTEMPTS: Final = 3
"""How often a step begins that gives way to others."""


@dataclass(slots=True, kw_only=True)
class WatchedCommand:
    """A command that runs."""

    report: Callable[[StepProgress], None]
    only_waited: bool = False
    """Whether every poll so far saw it wait for a lock."""
    has_begun: bool = False
    yield_after: float | None = None
    """Seconds that sessions may wait behind it before it stops."""
    must_yield: StopSignal = field(default_factory=StopSignal)
    """Set when it must stop for sessions that wait behind it."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its window has closed."""
    is_late: StopSignal = field(default_factory=StopSignal)
    """Set when it waits for a lock past its window, or for too long: it does not begin, or its work is in vain."""
    most_wait: float = math.inf
    """Seconds that it may wait for a lock, where its server does not end that."""
    waits_since: float | None = None
    """When it was first seen to wait for the lock that it waits for now; None: it does not wait."""
    holders: str = ""
    """Who held the lock that it waited for last, as text."""
    waited_behind_since: float | None = None
    began: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Called before each command of a step: it may have to wait for its lock."""
        self.has_begun = self.only_waited = False
        self.waits_since = None

    def note_wait(self, now: float, holders: str, *, waits: bool) -> None:
        """Record whether it waits for a lock. `holders`: who holds that lock, as text; "": not known."""
        self.waits_since = (self.waits_since or now) if waits else None
        self.holders = holders or self.holders

    def wait_behind(self, now: float, *, waits: bool) -> None:
        """Record whether sessions wait behind it."""
        if not waits or self.yield_after is None:
            self.waited_behind_since = None
            return
        self.waited_behind_since = self.waited_behind_since or now
        if now - self.waited_behind_since >= self.yield_after:
            self.must_yield.set()


_W = TypeVar("_W", bound=WatchedCommand)


class CommandMonitor(ABC, Generic[_W]):
    """Polls the server while commands run, and reports their progress. A failed poll fails no command."""

    def __init__(self, reader: CatalogReader[Any, Any]) -> None:
        """`reader`: asks the server."""
        self._errors = reader.driver_error, TargetError, OSError, LookupError, TypeError, ValueError, ArithmeticError
        self.watched: dict[int, _W] = {}
        """By the number of the connection."""
        self._polling: asyncio.Task[None] | None = None

    def watch(self, number: int, watched: _W) -> None:
        """Report the progress of the command on this connection from now on."""
        self.watched[number] = watched
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), name="dbtend-progress")

    def unwatch(self, number: int) -> None:
        self.watched.pop(number, None)

    async def end(self) -> None:
        if self._polling is not None:
            await end_task(self._polling)

    async def _poll(self) -> None:
        pause = INTERVAL
        while self.watched:
            await asyncio.sleep(pause)
            if all(time.monotonic() - watched.began < FIRST_POLL_AFTER for watched in self.watched.values()):
                pause = FIRST_POLL_AFTER / 5
                continue
            pause = INTERVAL
            try:
                await self.poll()
                self._stop_what_is_late()
            except self._errors:
                await asyncio.sleep(RETRY_AFTER)

    def _stop_what_is_late(self) -> None:
        now = time.monotonic()
        for watched in self.watched.values():
            waited = 0.0 if watched.waits_since is None else now - watched.waits_since
            has_closed = watched.closed.is_set() and (watched.only_waited or waited >= LAST_WAIT)
            if has_closed or waited >= watched.most_wait:
                watched.is_late.set()

    @abstractmethod
    async def poll(self) -> None:
        """Poll once, and report. Raises an error of the driver, TargetError."""


def gave_way(name: str, result: StepResult, times: int) -> StepResult:
    """The result of a step that stopped for others. `times`: how often by now."""
    result = replace(result, effect={**(result.effect or {}), GAVE_WAY: 1})
    if times < MOST_ATTEMPTS:
        why = "sessions waited behind it, so it gave way; it runs again after the other steps"
        return replace(result, status=Status.SKIPPED, error=why, requeue=True)
    why = f"sessions waited behind it each time, so it gave way {MOST_ATTEMPTS} times"
    return replace(result, status=Status.SKIPPED, reason=Reason.TARGET_BUSY, error=why, warnings=(f"{name}: {why}",))
