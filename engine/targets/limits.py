"""How long work may go on: no wait outlasts a cancel or the time limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.domain.frozen import frozen
from engine.domain.time_limits import Window
from engine.system.background import in_background
from engine.targets.waits import MOMENT, first_of

if TYPE_CHECKING:
    from engine.targets.plans import PlannedStep

T = TypeVar("T")
FOLLOW_UP_BEGINS_WITHIN: Final = 5.0
"""Seconds after a cancel or the time limit within which a mandatory follow-up must have begun, or is left out."""
NEEDED_FOLLOW_UP_BEGINS_WITHIN: Final = 60.0
"""The same for one without which the database is wrong."""

ENDS_ITSELF_WITHIN: Final = 0.5
"""Seconds from the end of the window, in which a wait that knows it tells what it waited for."""


class NotBegunError(Exception):
    """Cancelled, or past the time limit, before it began."""


@frozen(kw_only=True)
class Limits:
    """What ends work early. Everything that it waits for goes through `wait`."""

    cancel: asyncio.Event
    """Set to ask what runs to stop as soon as that is safe."""
    window: Window
    """What still waits to begin when the window closes does not begin."""

    @property
    def is_ending(self) -> bool:
        """Whether nothing more begins: it is cancelled, or past its time limit."""
        return self.cancel.is_set() or self.window.closed.is_set()

    async def wait(
        self, *events: asyncio.Event, task: asyncio.Future[Any] | None = None, seconds: float | None = None
    ) -> None:
        """Wait for the first of the events or the end of the task, at most `seconds`, and only until it is ending."""
        await first_of(self.cancel, self.window.closed, *events, task=task, timeout=seconds)

    async def pause(self, seconds: float) -> None:
        """Pause in the midst of work, which goes on past the time limit; a cancel that comes ends the pause."""
        if self.cancel.is_set():
            await asyncio.sleep(seconds)  # what stops only now looks again and again, too
        else:
            await first_of(self.cancel, timeout=seconds)

    async def unless_cancelled(self, work: Coroutine[Any, Any, T], *, until_closed: bool = False) -> T:
        """The result of `work`, which may wait for a lock. Raises NotBegunError if it is cancelled first.

        `until_closed`: or if the window closes first.
        """
        if self.cancel.is_set():
            work.close()
            raise NotBegunError
        limit = asyncio.timeout(None)

        async def stop() -> None:
            await first_of(self.cancel, *([self.window.closed] if until_closed else []))
            if not self.cancel.is_set():
                await first_of(self.cancel, timeout=ENDS_ITSELF_WITHIN)
            limit.reschedule(0.0)

        try:
            async with limit, in_background(stop(), "the watch for a cancel", after=MOMENT):
                return await work
        except Exception:
            if limit.expired():
                raise NotBegunError from None
            raise

    @asynccontextmanager
    async def for_step(self, step: PlannedStep) -> AsyncIterator[Limits]:
        """The limits as a step sees them: a cancel and the end of the window reach a mandatory follow-up some seconds
        late.

        One without which the database is wrong is never stopped in its work; only its waits end.
        """
        if not step.mandatory_follow_up:
            yield self
            return
        late = Limits(cancel=asyncio.Event(), window=Window())

        async def follow() -> None:
            await self.wait()
            await asyncio.sleep(NEEDED_FOLLOW_UP_BEGINS_WITHIN if step.missing_effect else FOLLOW_UP_BEGINS_WITHIN)
            if step.missing_effect or not self.cancel.is_set():
                late.window.closed.set()
            if not step.missing_effect:
                await first_of(self.cancel)
                late.cancel.set()

        async with in_background(follow(), "the end of a follow-up", after=MOMENT):
            yield late
