"""A server that is down, or cannot be used just now: all steps of an operation wait for it together."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import Final, Generic, TypeVar

from engine.domain.errors import (
    ServerStartingError,
    ServerTimeoutError,
    ServerUnavailableError,
    TargetError,
    TooManyConnectionsError,
)
from engine.domain.humanize import span
from engine.domain.steps import WaitsFor
from engine.system.background import end_task
from engine.targets.step_execution import StepContext, StepProgress
from engine.targets.waits import OthersLookup

_T = TypeVar("_T")
BACKOFF: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""The most seconds between the tries, the last one again and again; at least half as many. Jobs that wait for the same
connections must not take them from each other at the same moment, again and again."""
_CHANCE: Final = random.Random()  # noqa: S311 - no secret
TEMPORARY_ERRORS: Final = (ServerUnavailableError, ServerStartingError, TooManyConnectionsError)
"""Errors whose cause may be over by itself."""


class Outage(Generic[_T]):
    """Reconnects until the server is up, for all steps that wait.

    Args:
        on_connected: takes the first connection that succeeds.
        server_wait: the longest wait, in seconds.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[_T]], on_connected: Callable[[_T], None], server_wait: float
    ) -> None:
        self._connect = connect
        self._on_connected = on_connected
        self._server_wait = server_wait
        self._waiting: list[StepContext] = []
        self._trying: asyncio.Task[None] | None = None
        self._last_progress: StepProgress | None = None
        self.error: TargetError | None = None
        """Why nothing is waited for any more."""
        self.last_error: TargetError | None = None
        """Why the last try to connect failed."""
        self._left_socket: tuple[float, bool] | None = None
        """What the first try of this outage that could tell showed of the socket of the server, and when."""

    async def wait(self, error: TargetError, context: StepContext) -> None:
        """Wait until it is, or until a cancel, or the time limit of the operation.

        Raises TargetError where it does not end, at once where it did not end for another step.
        """
        if self.error is not None or not isinstance(error, TEMPORARY_ERRORS):
            self.error = self.error or error
            raise self.error
        is_first = self._trying is None or self._trying.done()
        self._keep(error, is_first=is_first)
        self._waiting.append(context)
        if is_first:
            self._trying = asyncio.create_task(self._try(error), name="dbtend-reconnect")
        elif self._last_progress is not None:
            context.report(self._last_progress)
        try:
            await context.wait(task=self._trying)
        finally:
            self._waiting.remove(context)
            if not self._waiting:
                await self.end()
        if self.error is not None:
            raise self.error

    def _keep(self, error: TargetError, *, is_first: bool = False) -> None:
        """Once it starts again, a server makes its socket a moment before it listens: what came first counts."""
        self.last_error = error
        left_socket = error.left_socket if isinstance(error, ServerUnavailableError) else None
        if left_socket is not None and (is_first or self._left_socket is None):
            self._left_socket = time.monotonic(), left_socket

    def left_socket(self, since: float) -> bool | None:
        """Whether the server left its socket behind since (by the monotonic clock), or removed it; None: not known."""
        return self._left_socket[1] if self._left_socket is not None and self._left_socket[0] >= since else None

    async def end(self) -> None:
        if self._trying is not None:
            await end_task(self._trying)

    async def _try(self, error: TargetError) -> None:
        limit = self._server_wait
        give_up = time.monotonic() + limit
        for pause in chain(BACKOFF, repeat(BACKOFF[-1])):
            if (left := give_up - time.monotonic()) <= 0 and limit and await self._may_get_of_others(error):
                left = min(limit, BACKOFF[-1])
                give_up = time.monotonic() + left
            if left <= 0:
                hint = "; ".join(filter(None, (error.hint, "--server-wait says how long it is waited for")))
                why = f"{format_state(error)}, for {span(limit)} by now: {error.why}"
                if limit and isinstance(error, TEMPORARY_ERRORS):
                    error = type(error)(error.what, why, hint, state=error.state)
                self.error = error
                return
            seconds = min(pause * _CHANCE.uniform(0.5, 1), left)
            self._report(f"{format_state(error)}; next try in {max(round(seconds), 1)} s")
            await asyncio.sleep(seconds)
            try:
                self._on_connected(await self._connect())
            except TargetError as still:
                error = still
                self._keep(still)
                if not isinstance(still, TEMPORARY_ERRORS):
                    self.error = still
                    return
            else:
                self._last_progress = None
                return

    async def _may_get_of_others(self, error: TargetError) -> bool:
        """Whether other jobs give connections back when they end."""
        return isinstance(error, TooManyConnectionsError) and await self._waiting[0].others_work()

    def _report(self, phase: str) -> None:
        self._last_progress = StepProgress(phase=phase, waits_for=WaitsFor.SERVER)
        for context in self._waiting:
            context.report(self._last_progress)


def shows_server_down(error: TargetError | None) -> bool:
    """Whether a try to connect has shown that the server does not run: a network that fails is silent."""
    return isinstance(error, ServerUnavailableError) and not isinstance(error, ServerTimeoutError)


def format_state(error: TargetError) -> str:
    """`server is down`."""
    return error.state if isinstance(error, TEMPORARY_ERRORS) else error.why


async def connect_when_up(
    connect: Callable[[], Awaitable[_T]],
    server_wait: float,
    waiting: Callable[[str, WaitsFor], None] | None,
    others_work: OthersLookup,
) -> _T:
    """What `connect` gives, once the server is there. Raises TargetError."""
    try:
        return await connect()
    except TEMPORARY_ERRORS as error:
        if not server_wait:
            raise
        opened: list[_T] = []

        def tell(progress: StepProgress) -> None:
            if waiting is not None:
                waiting(progress.phase or "", WaitsFor.SERVER)

        outage = Outage(connect, opened.append, server_wait)
        await outage.wait(error, StepContext(report=tell, others_work=others_work))
        if not opened:
            raise
        return opened[0]
