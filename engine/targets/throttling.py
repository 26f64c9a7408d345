"""Throttling: no step begins while the server is busy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from engine.domain.steps import PAUSED, WaitsFor
from engine.targets.step_execution import StepContext, StepProgress
from engine.targets.waits import first_of

POLL_EVERY: Final = 1.0
"""Seconds between two checks."""


async def wait_while_throttled(throttled_by: Callable[[], Awaitable[str]], context: StepContext) -> None:
    """Wait while a limit is exceeded, and report why. A cancel or the time limit ends the wait.

    `throttled_by`: says which limit is exceeded; "" for none. Raises what it raises.
    """
    stops = context.cancel, context.window.closed
    while not any(stop.is_set() for stop in stops) and (why := await throttled_by()):
        context.report(StepProgress(phase=f"{PAUSED}: {why}", waits_for=WaitsFor.LOAD))
        await first_of(*stops, timeout=POLL_EVERY)
