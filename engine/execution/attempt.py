"""One try at one child job: made once, handed on whole."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.domain.claims import Claim
from engine.domain.errors import StoreError
from engine.domain.frozen import frozen
from engine.domain.requests import Operation, Options
from engine.targets.limits import Limits

if TYPE_CHECKING:
    from engine.domain.advice import TargetHistory
    from engine.execution.knowledge import Knowledge
    from engine.execution.reporter import Reporter
    from engine.targets.session import Session
    from engine.targets.target import Target

T = TypeVar("T")
ASK_AGAIN_AFTER: Final = 0.5
"""Seconds: many short steps ask once. A process that was stopped longer asks before the next step."""


class Ownership:
    """Whether an attempt still owned its child when that was last asked."""

    def __init__(self) -> None:
        self.asked_at = float("-inf")
        """By `time.monotonic`."""


@frozen(kw_only=True)
class Attempt(Limits):
    """One try at one child job: what it is to do, what ends it early, what it may ask, and where it reports."""

    claim: Claim
    operation: Operation
    options: Options
    """Those of the claim. For a job of `--needed` they are narrowed to what the database needs now."""
    knowledge: Knowledge
    reporter: Reporter
    ownership: Ownership = field(default_factory=Ownership)

    async def until_begun(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work` before the first step. Raises NotBegunError if a cancel or the time limit is sooner.

        What a dead process left is cleaned up at any time: then the time limit does not count.
        """
        is_after_crash = self.claim.recovering is not None or self.claim.deaths > 0
        return await self.unless_cancelled(work, until_closed=not is_after_crash)

    async def require_owned(self) -> None:
        """Raises OwnershipLostError. A store that cannot be read says nothing: the lock at the target is held."""
        if (now := time.monotonic()) - self.ownership.asked_at >= ASK_AGAIN_AFTER:
            with suppress(StoreError):
                await self.knowledge.require_owned(self.claim)
                self.ownership.asked_at = now

    async def knowing_damage(self, target: Target) -> Attempt:
        """This attempt with all damage on record of its target, which is open."""
        return replace(self, claim=replace(self.claim, damage=await self.knowledge.damage(self.claim, target)))

    async def past(self) -> TargetHistory | None:
        """The history of the target; None if it is not known."""
        return await self.knowledge.past(self.claim, self.options)

    async def others_work(self) -> bool:
        """Whether other jobs work on the server. Once this one is ending, they are no reason to wait."""
        return not self.is_ending and await self.knowledge.others_work(self.claim)

    async def open(self, target: Target, stack: AsyncExitStack) -> Session:
        """A session that `stack` closes. Raises TargetError, NotBegunError."""
        connecting = target.connect(
            lock_timeout=self.options.lock_timeout,
            writing=target.operations[self.operation].writes,
            name=f"{self.knowledge.store} {self.claim.job}/{self.claim.attempt}",
            waiting=self.reporter.wait,
            server_wait=self._server_wait,
            others_work=self.others_work,
            journal_check=partial(self.knowledge.check_journal, target.url),
        )
        return await self.until_begun(stack.enter_async_context(connecting))

    @property
    def _server_wait(self) -> float:
        """Seconds to wait for a server that is down before the first step."""
        if self.claim.recovering is not None:  # a recovery cannot be cancelled
            return 0.0
        wait = self.options.server.longest_wait
        return wait if self.window.time_left is None else min(wait, max(self.window.time_left, 0.0))
