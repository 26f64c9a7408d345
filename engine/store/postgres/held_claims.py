"""What the workers of this process have claimed: so that a claim whose answer was lost is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.domain.claims import Claim
from engine.domain.jobs import JobId

Held = tuple[str, JobId, int]
"""The owner, the child and the attempt of a claim."""


class HeldClaims:
    """The server may carry out a claim whose answer is lost: the child then reads running, without a process."""

    def __init__(self) -> None:
        self._held: set[Held] = set()
        self._asked: set[asyncio.Event] = set()
        """Claims on their way; each is set when it has its answer, or never gets one."""
        self.may_be_unknown = False
        """Whether an answer was lost since the owner looked for such children."""

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a claim, until it is taken."""
        answered = asyncio.Event()
        self._asked.add(answered)
        try:
            yield
        except BaseException:
            self.may_be_unknown = True
            raise
        finally:
            self._asked.discard(answered)
            answered.set()

    def take(self, claim: Claim | None) -> Claim | None:
        if claim is not None:
            self._held.add(_of(claim))
        return claim

    def drop(self, claim: Claim) -> None:
        """Forget a claim: its child has ended, or belongs to another process."""
        self._held.discard(_of(claim))

    async def knows(self, held: Held) -> bool:
        """Whether a child that this process owned by the store a moment ago was claimed with an answer."""
        for answered in list(self._asked):
            await answered.wait()
        return held in self._held


def _of(claim: Claim) -> Held:
    return claim.owner, claim.job, claim.attempt
