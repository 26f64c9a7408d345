"""Whether the worker that runs a child still owns it: asked again before steps."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from engine.domain.claims import Claim
from engine.domain.errors import StoreError

ASK_AGAIN_AFTER: Final = 0.5
"""Seconds: many short steps ask once. A process that was stopped longer asks before the next step."""

RequireOwned = Callable[[Claim], Awaitable[None]]


async def never_lost(_: Claim) -> None:
    """A `RequireOwned` that is content."""


class Ownership:
    """Whether one attempt still owns its child."""

    def __init__(self, claim: Claim, ask: RequireOwned) -> None:
        """`ask`: raises OwnershipLostError if the claim no longer owns its child."""
        self._claim = claim
        self._ask = ask
        self._asked_at = float("-inf")

    async def require(self) -> None:
        """Raises OwnershipLostError. A store that cannot be read says nothing: the lock at the target is held."""
        if (now := time.monotonic()) - self._asked_at >= ASK_AGAIN_AFTER:
            with suppress(StoreError):
                await self._ask(self._claim)
                self._asked_at = now
