"""Hands hints out to worker processes by procrastinate: which of them looks for work, and when.

Only its public interface is used. What a hint says may be wrong: who gets one looks whether there is something to
claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import procrastinate
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

from engine.domain.errors import StoreBusyError
from engine.store.postgres.change_watch import ChangeWatch
from engine.store.postgres.connections import CancellablePool, Pool, parameters
from engine.system.background import pause_loop

SWEEP_EVERY: Final = 5.0
"""Seconds between two looks at what waits without a hint, while something does."""
SWEEP_AFTER: Final = 0.25
"""Seconds from a change to such a look."""
FORGET_EVERY: Final = 60.0
"""Seconds between two removals of what dead workers of procrastinate left."""
RESTART_AFTER: Final = 1.0
CONNECTS_WITHIN: Final = 5.0
"""Seconds: who is asked to stop while the server is away does not wait longer."""
_STALLED: Final = 3600.0
"""Seconds after which procrastinate forgets a worker: that it is dead is found out in another way."""
_OPTIONS: Final[dict[str, Any]] = {
    "delete_jobs": "always",
    "fetch_job_polling_interval": 60.0,
    "update_heartbeat_interval": 30.0,
    "stalled_worker_timeout": _STALLED,
    "install_signal_handlers": False,
}

Look = Callable[[], Awaitable[object]]

log = logging.getLogger("dbtend")
logging.getLogger("procrastinate").setLevel(logging.CRITICAL)


class _LostConnections(logging.Filter):
    """Hides messages of asyncio about tasks of procrastinate that ended with the connection and are not awaited."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or not isinstance(record.exc_info[1], ConnectorException)


logging.getLogger("asyncio").addFilter(_LostConnections())


async def serve(
    url: str,
    pool: Pool,
    watch: ChangeWatch,
    queues: Sequence[str],
    *,
    name: str,
    concurrency: int,
    look: Look,
    until: asyncio.Event,
) -> None:
    """Call `look` for each hint in these queues, up to `concurrency` at once, until `until` is set and all returned.

    Args:
        name: of this worker process.
        look: looks for work and carries it out. What it raises ends this.
    """
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    turns = asyncio.Semaphore(concurrency)
    by_sweep: set[asyncio.Task[None]] = set()

    async def work(queue: str) -> None:
        async with turns:
            if until.is_set() or failed.done():
                return
            try:
                await look()
            except Exception as error:
                if not failed.done():
                    failed.set_exception(error)

    async def sweep() -> None:
        """Look for waiting jobs while there is room here: a hint was lost or is late, or a table of procrastinate is
        damaged."""
        while True:
            seen = watch.last_change
            await pause_loop(SWEEP_AFTER)
            offered = None if turns.locked() else await _offered(pool, queues)
            for _ in range(min(offered or 0, concurrency - len(by_sweep))):
                task = asyncio.create_task(work(""))
                by_sweep.add(task)
                task.add_done_callback(by_sweep.discard)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if offered == 0 else SWEEP_EVERY):
                    await watch.wait_beyond(seen)

    stopping, sweeping = asyncio.create_task(until.wait()), asyncio.create_task(sweep())
    end: set[asyncio.Future[Any]] = {stopping, failed}
    try:
        while not until.is_set() and not failed.done():
            with suppress(ConnectorException, OSError):  # the server is away: hints come when it is back
                await _serve_once(url, queues, name, concurrency, work, end)
            await asyncio.wait(end, timeout=RESTART_AFTER, return_when=asyncio.FIRST_COMPLETED)
        await _take_all(turns, concurrency)  # what runs ends first
    finally:
        stopping.cancel()
        sweeping.cancel()
    if failed.done():
        failed.result()


async def _take_all(turns: asyncio.Semaphore, number: int) -> None:
    async with asyncio.TaskGroup() as waiting:
        for _ in range(number):
            waiting.create_task(turns.acquire())


async def _offered(pool: Pool, queues: Sequence[str]) -> int | None:
    """How much waits in these queues; None: the server does not say."""
    try:
        ((number,),) = await pool.rows("SELECT sum(number) FROM offered_in(%s)", (list(queues),))
        return int(number or 0)
    except StoreBusyError:
        return None


async def _serve_once(
    url: str,
    queues: Sequence[str],
    name: str,
    concurrency: int,
    work: Callable[[str], Awaitable[None]],
    end: set[asyncio.Future[Any]],
) -> None:
    asked = parameters(url, "dbtend queue")
    asked["options"] += " -c synchronous_commit=off"  # a hint that a crash loses is given again
    # With a least number of connections it would wait half a minute for a server that is away, and fail.
    connector = procrastinate.PsycopgConnector(
        kwargs=asked, min_size=0, max_size=2, timeout=CONNECTS_WITHIN, pool_factory=CancellablePool
    )
    app = procrastinate.App(connector=connector)
    app.task(name="work")(work)
    # Without any periodic task the watch over its listener ends at once, and a lost one would mean endless polling.
    app.periodic(cron="0 0 29 2 *")(app.task(name="leap_day", queue=queues[0])(_nothing))
    async with app.open_async():
        running: list[asyncio.Future[Any]] = [
            asyncio.create_task(
                app.run_worker_async(queues=list(queues), concurrency=concurrency, name=name, **_OPTIONS)
            ),
            asyncio.create_task(_forget_dead(app)),
        ]
        try:
            await asyncio.wait(set(running) | end, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()  # what runs ends first
            await asyncio.gather(*running, return_exceptions=True)


async def _nothing(timestamp: int) -> None:
    """A periodic task that is never due."""


async def _forget_dead(app: procrastinate.App) -> None:
    """Remove what dead workers left."""
    while True:
        await pause_loop(FORGET_EVERY)
        await app.job_manager.prune_stalled_workers(_STALLED)
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED):
            with suppress(ConnectorException):  # another one was faster
                await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
