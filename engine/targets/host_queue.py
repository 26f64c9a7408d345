"""Works on many targets: several at once, few on one server, and a server that does not answer only once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from threading import Event
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from engine.domain.errors import ServerTimeoutError, TargetError

if TYPE_CHECKING:
    from engine.targets.target import Target

AT_ONCE: Final = 8
PER_HOST: Final = 2
MOMENT: Final = 0.002
"""Seconds without an end after which another one begins: threads that all have work for the processor only hold each
other up."""
FIRST_MOMENTS: Final = 50
"""The moments in which none of the first has to end: one is slow now and then."""

_S = TypeVar("_S")
_T = TypeVar("_T")


class _Waiting(Generic[_S]):
    """The waiting items in order; an item on a server starts only while the server has room."""

    def __init__(self, items: Sequence[_S], host_of: Callable[[_S], str | None], per_host: int) -> None:
        self._host_of, self._per_host = host_of, per_host
        self._by_host: dict[str | None, deque[_S]] = {}
        self._running: dict[str | None, int] = {}
        for item in items:
            self._by_host.setdefault(host_of(item), deque()).append(item)

    def __bool__(self) -> bool:
        return bool(self._by_host)

    def take(self) -> list[_S]:
        """The next one that may begin, or none; the servers take turns."""
        for host in self._by_host:
            if host is None or self._running.get(host, 0) < self._per_host:
                queue = self._by_host.pop(host)
                item = queue.popleft()
                if queue:
                    self._by_host[host] = queue
                self._running[host] = self._running.get(host, 0) + 1
                return [item]
        return []

    def release(self, item: _S) -> None:
        self._running[self._host_of(item)] -= 1


async def as_they_end(
    items: Sequence[_S],
    host_of: Callable[[_S], str | None],
    do: Callable[[_S], Coroutine[Any, Any, _T]],
    *,
    at_once: int = AT_ONCE,
    per_host: int = PER_HOST,
) -> AsyncGenerator[Sequence[tuple[_S, _T]]]:
    """The items with the results of `do`, in groups that have just ended. Raises what `do` raises.

    `host_of`: the server that an item is on; None: on none. Once closed, nothing runs any more.
    """
    waiting = _Waiting(items, host_of, per_host)
    running: dict[asyncio.Task[_T], _S] = {}
    ended: list[tuple[_S, _T]] = []
    try:
        while waiting or running:
            begun = waiting.take() if not running or (not ended and len(running) < at_once) else []
            running |= {asyncio.create_task(do(item)): item for item in begun}
            pause = MOMENT if waiting and (begun or ended) and len(running) < at_once else None
            done, _ = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            ended = [(running[task], task.result()) for task in done]
            for task in done:
                waiting.release(running.pop(task))
            if ended:
                yield ended
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def found_at_once(number: int, find: Callable[[int], _T | None]) -> dict[int, _T]:
    """What `find` returns for the places from 0 to `number`, in one thread: no change of threads for each.

    It stops where they do not take a moment each, so that the others can be looked at several at once.
    """
    found: dict[int, _T] = {}
    stop = Event()

    def find_each() -> None:
        began = time.monotonic()
        for place in range(number):
            if stop.is_set() or time.monotonic() - began > MOMENT * (FIRST_MOMENTS + place):
                return
            if (one := find(place)) is not None:
                found[place] = one

    try:
        await asyncio.to_thread(find_each)
    finally:
        stop.set()
    return found


async def open_each(targets: Sequence[Target], open_target: Callable[[int], Awaitable[_T]]) -> list[_T | TargetError]:
    """The results of `open_target` for the place of each target, or the TargetError that it raised.

    A server that does not answer in time is not asked for its other databases. Raises any other error at once.
    """
    silent: dict[str | None, ServerTimeoutError] = {}
    results: dict[int, _T | TargetError] = {}

    async def opened(place: int) -> _T | TargetError:
        target = targets[place]
        if (known := silent.get(target.host_key)) is not None:
            return ServerTimeoutError(target.url, known.why, known.hint)
        try:
            return await open_target(place)
        except TargetError as error:
            if isinstance(error, ServerTimeoutError) and target.host_key is not None:
                silent[target.host_key] = error
            return error

    ending = as_they_end(range(len(targets)), lambda place: targets[place].host_key, opened)
    async with aclosing(ending):
        async for ended in ending:
            results.update(ended)
    return [results[place] for place in range(len(targets))]
