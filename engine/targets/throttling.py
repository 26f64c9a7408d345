"""Throttling: no step begins while the server is busy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

from engine.domain.steps import PAUSED, WaitsFor
from engine.targets.step_execution import StepContext, StepProgress

POLL_EVERY: Final = 1.0
"""Seconds between two checks."""
_LONGEST_ANSWER: Final = 40
"""Characters of the answer to a load query that are shown."""


async def wait_while_throttled(throttled_by: Callable[[], Awaitable[str]], context: StepContext) -> None:
    """Wait while a limit is exceeded, and report why. A cancel or the time limit ends the wait.

    `throttled_by`: says which limit is exceeded; "" for none. Raises what it raises.
    """
    while not context.is_ending and (why := await throttled_by()):
        context.report(StepProgress(phase=f"{PAUSED}: {why}", waits_for=WaitsFor.LOAD))
        await context.wait(seconds=POLL_EVERY)


def exceeded(load: float | Decimal | None) -> str:
    """What a load query returned, as text, if it stops steps from beginning; else ""."""
    return f"the load query returned {answer_text(load)}" if load is not None and load > 0 else ""


def answer_text(value: object) -> str:
    """The answer of a load query as printable text."""
    return "".join(filter(str.isprintable, str(value)))[:_LONGEST_ANSWER]
