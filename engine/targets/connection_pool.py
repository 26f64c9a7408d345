"""The connections on which steps run, each with one after another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from engine.domain.errors import TargetError, TooManyConnectionsError
from engine.domain.requests import SERVER_WAIT
from engine.domain.steps import WaitsFor
from engine.system.background import wait_postponing_cancel
from engine.targets.catalog_reader import C, S
from engine.targets.limits import NotBegunError
from engine.targets.outage import Outage, shows_server_down
from engine.targets.step_execution import StepContext, StepProgress

GROW_AGAIN_AFTER: Final = 60.0
"""Seconds until the pool tries to grow again after the server refused a connection."""
ASSUMED_ALIVE: Final = 0.02
"""Seconds after its last use during which a connection counts as alive."""
ALIVE_WITHIN: Final = 10.0
"""Seconds within which an idle connection must answer."""


async def _nothing() -> None:
    pass


class PooledConnection(ABC, Generic[C, S]):
    """One of its connections."""

    driver_error: type[Exception]

    def __init__(self, connection: C, server: S) -> None:
        self.connection, self.server = connection, server
        self._used_at = 0.0

    @property
    @abstractmethod
    def has_heard_nothing(self) -> bool:
        """Whether the server sent nothing since the last command: what it sends then is mostly that it ends."""

    @property
    def closed(self) -> bool:
        return self.connection.closed

    def was_used(self) -> None:
        """Called when a step has ended on it."""
        self._used_at = time.monotonic()

    async def answers(self) -> bool:
        """Whether it is still alive."""
        if self.closed:
            return False
        if time.monotonic() - self._used_at < ASSUMED_ALIVE and self.has_heard_nothing:
            return True
        with contextlib.suppress(self.driver_error, TimeoutError):
            async with asyncio.timeout(ALIVE_WITHIN):
                await self.connection.row("SELECT 1", row=(int,))
            return True
        return False

    async def close(self) -> None:
        await self.connection.close()


_P = TypeVar("_P", bound=PooledConnection[Any, Any])


async def _undone(opening: asyncio.Future[_P]) -> None:
    """Stop opening a connection; if it opens nevertheless, it is closed."""
    opening.cancel()
    with contextlib.suppress(TargetError, asyncio.CancelledError):
        await (await opening).close()


class ConnectionPool(Generic[_P]):
    """The connections of one session."""

    pooled_class: type[_P]

    def __init__(
        self,
        connect: Callable[[], Awaitable[tuple[Any, Any]]],
        server_wait: float = SERVER_WAIT,
        give_back: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """
        Args:
            connect: opens one more, and says who answers. Raises TargetError.
            give_back: closes what else the operation has open, while it has no connection for steps: otherwise jobs
                that have one each would wait for each other.
        """
        self._connect_one = connect
        self._give_back = give_back
        self._outage = Outage(self._connect_again, self._take, server_wait)
        self._idle: list[_P] = []
        self._open = 0
        """How many connections are open or being opened."""
        self._full_until = 0.0
        """Until then the pool does not grow: the server refused a connection."""
        self._refused: TooManyConnectionsError | None = None
        """A refusal that is not reported yet."""
        self._changed = asyncio.Event()

    async def _connect(self) -> _P:
        return self.pooled_class(*await self._connect_one())

    async def _connect_again(self) -> _P:
        """For the outage."""
        try:
            return await self._connect()
        except TooManyConnectionsError:
            if not self._open:
                await self._give_back()
            raise

    @contextlib.asynccontextmanager
    async def connection(self, context: StepContext | None = None) -> AsyncIterator[_P]:
        """A live connection for one step. With a context, waits for a server that is down.

        Raises NotBegunError after a cancel or the time limit, and TargetError.
        """
        pooled = await self._get(context)
        try:
            yield pooled
        finally:
            if pooled.closed:
                await self._drop(pooled)
            else:
                pooled.was_used()
                self._idle.append(pooled)
            self._notify()

    async def reconnect(self, context: StepContext) -> _P:
        """Wait until the server is up again, and return a connection to it. Raises as `connection`.

        Idle connections are closed: a server that shuts down ends them one by one.
        """
        while self._idle:
            await self._drop(self._idle.pop())
        async with self.connection(context) as pooled:
            return pooled

    @property
    def error(self) -> TargetError | None:
        """Why the pool has given up; None if it has not."""
        return self._outage.error

    @property
    def found_server_down(self) -> bool:
        """See `shows_server_down`."""
        return shows_server_down(self._outage.last_error)

    def left_socket(self, since: float) -> bool | None:
        """See `Outage.left_socket`."""
        return self._outage.left_socket(since)

    def take_refusal(self) -> str:
        """Why there are fewer connections than requested; reported once, else ""."""
        error, self._refused = self._refused, None
        return f"fewer steps run at once than --jobs allows: {error.why} ({error.hint})" if error is not None else ""

    async def close(self) -> None:
        await self._outage.end()
        for pooled in self._idle:
            await pooled.close()

    async def _get(self, context: StepContext | None) -> _P:
        while True:
            if self._outage.error is not None:
                raise self._outage.error
            if (pooled := await self._idle_connection()) is not None:
                return pooled
            if context is not None and context.is_ending:
                raise NotBegunError
            if context is not None and self._open and time.monotonic() < self._full_until:
                await self._wait_for_change(context)
                continue
            self._open += 1
            try:
                return await self._opened(context)
            except TargetError as error:
                self._open -= 1
                self._notify()
                if context is None:
                    raise
                if isinstance(error, TooManyConnectionsError) and self._open:
                    if not self._full_until:
                        self._refused = error
                    self._full_until = time.monotonic() + GROW_AGAIN_AFTER
                else:
                    if isinstance(error, TooManyConnectionsError):
                        await self._give_back()
                    await self._outage.wait(error, context)
            except BaseException:
                self._open -= 1
                self._notify()
                raise

    async def _opened(self, context: StepContext | None) -> _P:
        """Open one more. A cancel or the time limit ends the wait with NotBegunError."""
        if context is None:
            return await self._connect()
        opening = asyncio.ensure_future(self._connect())
        try:
            await context.wait(task=opening)
            if not opening.done():
                raise NotBegunError
            return opening.result()
        except (NotBegunError, asyncio.CancelledError):
            await wait_postponing_cancel(_undone(opening))
            raise

    async def _wait_for_change(self, context: StepContext) -> None:
        """Wait until a connection is given back, or until the pool may grow again."""
        context.report(StepProgress(phase="waiting for a connection", waits_for=WaitsFor.SERVER))
        left = max(self._full_until - time.monotonic(), 0.0)
        await context.wait(self._changed, seconds=left)

    def _take(self, opened: _P) -> None:
        """Add a new connection for the step that needs it first."""
        self._open += 1
        self._idle.append(opened)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _drop(self, pooled: _P) -> None:
        self._open -= 1
        await pooled.close()

    async def _idle_connection(self) -> _P | None:
        while self._idle:
            pooled, answers = self._idle.pop(), False
            try:
                if answers := await pooled.answers():
                    return pooled
            finally:
                if not answers:
                    await self._drop(pooled)
        return None
