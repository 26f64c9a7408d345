"""Opens many targets: several at once, few on one server, and a server that does not answer only once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final, TypeVar

from engine.domain.errors import ServerTimeoutError

AT_ONCE: Final = 8
PER_HOST: Final = 2

_T = TypeVar("_T")


class _Host:
    def __init__(self) -> None:
        self.free = asyncio.Semaphore(PER_HOST)
        self.failure: ServerTimeoutError | None = None


class HostQueue:
    """Limits how many targets are opened at once. A server that did not answer in time is not asked again."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._hosts: defaultdict[str, _Host] = defaultdict(_Host)

    async def run(self, host_key: str | None, url: str, open_target: Callable[[], Awaitable[_T]]) -> _T:
        """Raises what `open_target` raises; ServerTimeoutError at once if the server kept another target waiting."""
        if host_key is None:
            async with self._free:
                return await open_target()
        host = self._hosts[host_key]
        async with host.free:  # before a place of all: targets of one server do not take every place
            if host.failure is not None:
                raise ServerTimeoutError(url, host.failure.why, host.failure.hint)
            async with self._free:
                try:
                    return await open_target()
                except ServerTimeoutError as error:
                    host.failure = error
                    raise


async def all_results(running: Sequence[Coroutine[object, object, _T]]) -> list[_T]:
    """The results in order. A cancel returns only after all have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in running]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
