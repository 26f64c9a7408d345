"""Tasks that run beside a block and log their errors; waiting for what must end, also while this is being cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

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
            await end_task(task)


async def end_task(task: asyncio.Future[Any]) -> None:
    """Cancel a task, and wait until it has ended. Its result is not looked at."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not report it as lost


async def pause_loop(seconds: float) -> None:
    """Pause between two rounds of a loop of this process, whose task is cancelled at its end.

    What belongs to an attempt waits by `engine.targets.limits.Limits`.
    """
    await asyncio.sleep(seconds)


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s has ended", task.get_name(), exc_info=error)


_T = TypeVar("_T")


async def wait_postponing_cancel(running: Coroutine[Any, Any, _T]) -> _T:
    """The result of `running`, even if the awaiting task is cancelled: that is raised at the next wait of the task."""
    task, waiting = asyncio.ensure_future(running), asyncio.current_task()
    was_cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            was_cancelled = True
    if was_cancelled and waiting is not None:
        # Once it waits again, if it does: where it ends now, its result is not lost.
        asyncio.get_running_loop().call_soon(_cancel_again, waiting)
    return task.result()


def _cancel_again(task: asyncio.Task[Any]) -> None:
    """Raise a cancel that was swallowed, unless who asked for it has withdrawn it since, as `asyncio.timeout` does."""
    if task.cancelling() and not task.done():
        task.uncancel()  # it counts once
        task.cancel()


T = TypeVar("T")
_NUDGE_INTERVAL: Final = 0.02


async def wait_uncancelled(future: asyncio.Future[T], nudge: Callable[[], Awaitable[None]] | None = None) -> T:
    """The result of `future`, which is waited for even when cancelled, with a `nudge` now and then.

    Raises asyncio.CancelledError at the end if it was cancelled while it waited.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            if nudge is not None:
                await nudge()
            await asyncio.wait({future}, timeout=_NUDGE_INTERVAL if nudge else None)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # retrieved here, so that asyncio does not report it as lost
        raise cancelled
    return future.result()
