"""Tasks that run beside a block and log their errors, and tasks that no cancel stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

log = logging.getLogger("dbtend")


@asynccontextmanager
async def in_background(work: Coroutine[None, None, None], name: str, *, after: float = 0.0) -> AsyncIterator[None]:
    """Run `work` while inside. An error that ends it is logged at once.

    `after`: seconds until it begins. If the block ends before that, no task is made.
    """
    task: asyncio.Task[None] | None = None

    def begin() -> None:
        nonlocal task
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_log_error)

    loop = asyncio.get_running_loop()
    beginning = loop.call_later(after, begin) if after else loop.call_soon(begin)
    try:
        yield
    finally:
        beginning.cancel()
        if task is None:
            work.close()
        else:
            task.cancel()
            await asyncio.wait({task})


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s has ended", task.get_name(), exc_info=error)


_T = TypeVar("_T")


async def wait_ignoring_cancel(running: Coroutine[Any, Any, _T]) -> _T:
    """The result of `running`, even if the awaiting task is cancelled.

    That cancel is never raised: a loop that waits here ends by `Task.cancelling`.
    """
    task = asyncio.ensure_future(running)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()
