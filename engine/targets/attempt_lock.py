"""Waiting for the lock that an attempt holds at a database on a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from engine.domain.errors import TargetBusyError
from engine.domain.humanize import listed
from engine.targets.protocol import Waiting

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


async def wait_for_attempt_lock(
    others: Callable[[], Awaitable[Sequence[str]]], what: str, timeout: float, waiting: Waiting | None
) -> None:
    """Wait until `others` finds none. Raises TargetBusyError after `timeout` seconds, and what `others` raises.

    Args:
        others: tries to take the lock, and gives those who work on the database, as text.
        what: the database, for errors.
        waiting: called with those who work on it.
    """
    give_up, pause = time.monotonic() + timeout, _FIRST_PAUSE
    while found := await others():
        who = f"is being worked on by {listed(found)}"
        if (left := give_up - time.monotonic()) <= 0:
            raise TargetBusyError(what, f"no lock within {timeout:g} s: it {who}")
        if waiting is not None:
            waiting(f"it {who}")
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)
