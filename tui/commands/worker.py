"""`dbtend worker`: carries out jobs in the background until it is stopped, or idle for long enough."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine import Engine, Pause, Retention, StoreLocation
from engine.config.model import Config
from engine.config.watch import ConfigWatch
from engine.domain import typed_passwords
from engine.domain.errors import (
    DbtendError,
    ReadOnlyError,
    StoreError,
    StoreLostError,
    StoreUnreachableError,
    UsageError,
)
from engine.domain.frozen import frozen
from engine.domain.humanize import counted, span
from engine.domain.lazy_import import lazy
from engine.domain.value_types import ANY_HOST
from engine.execution.cancels_from_afar import cancelling_from_afar
from engine.execution.worker_identity import WorkerIdentity
from engine.execution.worker_runtime import preload_imports
from engine.system.current_user import user_at_host
from tui.commands import output
from tui.commands.notify import composing, for_runs
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.presentation.exit_codes import CANCELLED, FAILED, OK
from tui.presentation.text import plain, zoned_time
from tui.workers.detached import has_pool, serving, sole_pool
from tui.workers.pool import STOPPED, PoolProcess, WorkerPool
from tui.workers.signals import STOP_SIGNALS, has_terminal
from tui.workers.tasks import first_of, opened
from tui.workers.worker_log import log_to_stderr

if TYPE_CHECKING:
    from engine.notify.notifier import Compose
    from tui.commands import metrics
    from tui.workers import metrics_server
    from tui.workers.metrics_server import MetricsListener
else:
    metrics_server = lazy("tui.workers.metrics_server", "only --metrics needs it")
    metrics = lazy("tui.commands.metrics", "only --metrics needs it")

_LOOK_EVERY: Final = 0.25
"""Seconds between two looks whether the pool that serves the store is gone."""
UNREACHABLE_EXIT: Final = 3600.0
"""Seconds after which a worker that ends when idle no longer waits for the server of its store."""
log = logging.getLogger("dbtend")


def worker(args: argparse.Namespace, settings: Settings) -> int:
    if args.drain or args.undrain:
        run_async(_drain(args, settings))
        return OK
    if args.passwords_from_stdin:
        _take_passwords()
    config = settings.config()
    grace = config.defaults.grace if args.grace is None else args.grace
    size = args.workers or config.defaults.workers
    max_running = max(size, config.defaults.workers)
    queues = tuple(args.queue or ())
    if queues and not settings.store.is_shared:
        raise UsageError("--queue", "means nothing here: one host alone uses this store", "leave it out")
    host = _Host(settings.store, args.idle_exit, grace, config.retention, max_running, settings.config_path, queues)
    run_async(_check_store(settings.store))
    log_to_stderr()
    if args.metrics_host and args.metrics is None:
        raise UsageError("--metrics-host", "means nothing without --metrics", "give a port: --metrics 9187")
    if args.metrics is None:
        return _in_turn(host, size)
    with metrics_server.listening(args.metrics, args.metrics_host or ()) as listener:
        return _in_turn(replace(host, metrics=listener), size)


def _in_turn(host: _Host, size: int) -> int:
    """Serve the store once no other pool does."""
    while True:
        with sole_pool(host.place) as is_sole:
            if is_sole:
                return _serve(host, size)
        if not host.is_permanent:
            return OK
        log.info("another worker process serves %s already: waiting to take its place", host.store)
        pool = WorkerPool(
            1, partial(_begin, host.stand_by), doing="firing schedules", helpers=[host.answering], is_permanent=True
        )
        pool.run()
        if pool.was_asked or pool.gave_up:
            return _ended(pool)


def _serve(host: _Host, size: int) -> int:
    preload_imports()
    pool = WorkerPool(
        size,
        partial(_begin, host.work),
        doing=f"serving {host.store}",
        identify=partial(WorkerIdentity, host.store, pool=os.getpid(), size=size),
        helpers=[cancelling_from_afar(host.store, os.getpid()), host.answering],
        is_permanent=host.is_permanent,
    )
    pool.run()
    return _ended(pool)


def _ended(pool: WorkerPool) -> int:
    """The exit code of a pool that has ended."""
    log.info("ended")
    if pool.was_forced:
        return CANCELLED
    if not pool.gave_up:
        return OK
    if pool.cannot_work and pool.failure is not None:
        raise pool.failure
    output.notice(plain(str(pool.failure or "worker: its processes end right after their start")))
    return FAILED


def _take_passwords() -> None:
    """Read passwords before the first process is forked: so all processes have them, and those that replace them."""
    try:
        given = json.loads(sys.stdin.read())
        for url, password in given.items():
            typed_passwords.remember(str(url), str(password))
    except (ValueError, AttributeError):
        why = "standard input is no JSON object"
        raise UsageError("--passwords-from-stdin", why, "leave it out") from None


async def _check_store(store: StoreLocation) -> None:
    """Raise the error of a store that cannot be used, or not by this host: so this command reports it once."""
    async with Engine.open(store) as engine:
        if not engine.may_run:
            raise ReadOnlyError("the store", "your role may not run jobs", "ask for the role dbtend_worker")
        drained = await engine.drained_hosts()
        if engine.host is not None and engine.host in drained:
            raise _drained(engine.host, drained[engine.host])


async def _drain(args: argparse.Namespace, settings: Settings) -> None:
    """Let the workers of a host leave, or take jobs again. Raises UsageError."""
    async with settings.engine() as engine:
        if args.undrain:
            host = plain(args.undrain)
            was_drained = await engine.undrain_host(args.undrain)
            output.notice(f"workers of {host} take jobs again" if was_drained else f"{host} is not drained")
        if args.drain:
            await engine.drain_host(args.drain, user_at_host())
            leaving = [one for one in await engine.workers() if one.alive and one.draining and one.host == args.drain]
            running = counted(sum(len(one.running) for one in leaving), "job")
            they = f"{counted(len(leaving), 'worker process')} up, {running} running"
            output.notice(f"{plain(args.drain)} is drained: its workers take no more jobs, and leave ({they})")


def _drained(host: str, since: Pause) -> StoreError:
    why = f"this host, {host}, takes no jobs since {zoned_time(since.at)}: drained by {since.by}"
    return StoreError("worker", why, f"dbtend worker --undrain {host} lets it take jobs again")


def _begin(work: Callable[[PoolProcess], Coroutine[Any, Any, bool]], process: PoolProcess) -> int:
    """`work`: what the process does; it gives whether it was asked to stop."""
    try:
        return STOPPED if run_async(work(process)) else OK
    except StoreLostError as error:
        log.error("%s", error)
        return STOPPED  # another process in its place would begin a new store, in the way of the one that is missed
    except Exception as error:
        log.error("%s", error if isinstance(error, DbtendError) else f"{type(error).__name__}: {error}")
        return process.fail(error)


@frozen
class _Host:
    """One process of the pool: it carries out one job at a time, so that it can be killed at any time."""

    store: StoreLocation
    idle_exit: float | None
    grace: float
    """Seconds that what runs may go on for after it was asked to stop."""
    retention: Retention
    max_running: int
    """How many jobs run at once on the store, in all processes."""
    config: Path
    queues: tuple[str, ...] = ()
    """The queues of a shared store that it serves; none: that of any host."""
    metrics: MetricsListener | None = None
    """Where metrics are asked for."""

    @property
    def place(self) -> Path:
        """The path beside which the locks of its pool lie; a pool that takes no jobs for any host has its own."""
        if not self.queues or ANY_HOST in self.queues:
            return self.store.path
        return self.store.path.with_name(f"queue-{'-'.join(sorted(self.queues))}")

    @property
    def is_permanent(self) -> bool:
        """Whether it stays until it is stopped: then it fires schedules."""
        return self.idle_exit is None

    async def stand_by(self, process: PoolProcess) -> bool:
        """Fire schedules as long as another pool serves the store; whether it was asked to stop."""
        with _stopping(process.lifeline) as (stop, alone):
            async with AsyncExitStack() as stack:
                opening = partial(Engine.open, self.store, config=self.config, schedules=True)
                engine = await opened(opening, stack, stop)
                if engine is None:
                    return True
                self._leave_metrics()
                await self._tell_people(engine, stack)
                process.ready()
                await first_of(stop.wait(), alone.wait(), _pool_ended(self.place))
            return stop.is_set() or alone.is_set()

    async def work(self, process: PoolProcess) -> bool:
        """Carry out jobs; whether it was asked to stop, rather than had nothing left to do."""
        retention = self.retention if process.number == 0 else None
        patience = math.inf if self.is_permanent else UNREACHABLE_EXIT
        with _stopping(process.lifeline) as (stop, alone):
            async with AsyncExitStack() as stack:
                opening = partial(
                    Engine.open,
                    self.store,
                    workers=1,
                    max_running=self.max_running,
                    identity=process.identity,
                    retention=retention,
                    config=self.config,
                    queues=self.queues,
                    schedules=self.is_permanent and process.number == 0,
                )
                engine = await opened(opening, stack, stop, give_up_after=patience)
                if engine is None:
                    if not stop.is_set():
                        self._log_unreachable(process)
                    return stop.is_set()
                self._leave_metrics()
                if process.number == 0:
                    await self._tell_people(engine, stack)
                process.ready()
                if not await self._take_jobs(engine, process, stop, alone):
                    return False
                await engine.drain(self.grace)
        return True

    async def _take_jobs(self, engine: Engine, process: PoolProcess, stop: asyncio.Event, alone: asyncio.Event) -> bool:
        """Return when it is to end: whether it was asked to stop."""
        drained, unreachable = asyncio.Event(), asyncio.Event()
        while not stop.is_set():
            with serving(self.place):
                ends = [stop.wait(), _idle_once(alone, engine), _told(engine, drained)]
                if self.idle_exit is not None:
                    ends += [_idle(engine, self.idle_exit), _unreachable(engine, UNREACHABLE_EXIT, unreachable)]
                await first_of(*ends)
            if unreachable.is_set() and not stop.is_set():
                self._log_unreachable(process)
                return False
            if drained.is_set() and not stop.is_set():
                log.info("this host is drained: it takes no more jobs, and ends when what it runs has ended")
                await first_of(stop.wait(), engine.drain())
                if not stop.is_set():
                    return False
            # From here on no one counts on this process, so the jobs submitted before are the last ones for it.
            if not stop.is_set() and not await _may_have_jobs(engine):
                return False
        return True

    def _log_unreachable(self, process: PoolProcess) -> None:
        """The first process tells it for all of the pool."""
        if process.number == 0:
            log.warning(
                "%s: its server could not be reached for %s: this worker ends", self.store, span(UNREACHABLE_EXIT)
            )

    @property
    def answering(self) -> Callable[[int], None] | None:
        """The process that answers with metrics, if there is one: whoever asks keeps no job up. See `WorkerPool`."""
        return None if self.metrics is None else lambda lifeline: run_async(self._answer(lifeline))

    async def _answer(self, lifeline: int) -> None:
        pool_is_gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(lifeline, pool_is_gone.set)
        async with AsyncExitStack() as stack:
            engine = await opened(partial(Engine.open, self.store, read_only=True), stack, pool_is_gone)
            if engine is None or self.metrics is None:
                return
            answer = partial(metrics.metrics_of, engine, ConfigWatch(self.config), metrics.ConfiguredTargets())
            await stack.enter_async_context(metrics_server.serving_metrics(self.metrics, answer))
            await pool_is_gone.wait()

    def _leave_metrics(self) -> None:
        if self.metrics is not None:
            self.metrics.socket.close()

    async def _tell_people(self, engine: Engine, stack: AsyncExitStack) -> None:
        """Delivers messages while this process runs; a process that ends when idle does so at its end."""
        config = self._current_config()
        given = await asyncio.to_thread(config)
        try:
            names = [recipient.name for recipient in given.notify]
            await engine.register_recipients(names, since=given.changed_at)
        except StoreError as error:  # it is done again before events are collected
            log.warning("messages cannot be sent now: %s", error)
        if self.is_permanent:
            await stack.enter_async_context(engine.notifying(config, composing(self.store)))
        elif given.notify:
            stack.push_async_callback(_tell_now, engine, config, composing(self.store))

    def _current_config(self) -> Callable[[], Config]:
        """Gives the config, and reads its file again where it has changed."""
        watch = ConfigWatch(self.config)

        def current() -> Config:
            watch.look()
            return watch.config if self.is_permanent else for_runs(watch.config)

        return current


async def _tell_now(engine: Engine, config: Callable[[], Config], compose: Compose) -> None:
    """Tell people at the end, which goes on as it would without."""
    try:
        await engine.notify_now(config, compose)
    except StoreError as error:
        log.warning("messages cannot be sent now: %s; the next run or worker tries again", error)
    except Exception:  # a defect must not change how it ends
        log.exception("messages cannot be sent now")


@contextmanager
def _stopping(lifeline: int) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Events that say that this process is to stop, and that it is left alone: it ends when nothing is open.

    That is so where the terminal is gone, or the process that started this one.
    """
    loop = asyncio.get_running_loop()
    stop, alone = asyncio.Event(), asyncio.Event()

    def is_alone() -> None:
        loop.remove_reader(lifeline)
        log.info("left alone: it ends when no job is open any more")
        alone.set()

    loop.add_reader(lifeline, is_alone)
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    if has_terminal():
        loop.add_signal_handler(signal.SIGHUP, is_alone)
    yield stop, alone


async def _pool_ended(place: Path) -> None:
    while True:
        if not has_pool(place):
            return
        await asyncio.sleep(_LOOK_EVERY)


async def _told(engine: Engine, drained: asyncio.Event) -> None:
    await engine.asked_to_leave()
    drained.set()


async def _unreachable(engine: Engine, seconds: float, told: asyncio.Event) -> None:
    """Set `told` when the server of the store could not be reached for so long, and nothing runs here."""
    while True:
        while engine.lost is None:
            await engine.reach_changed()
        try:
            async with asyncio.timeout(seconds):
                await engine.reach_changed()
        except TimeoutError:
            if not engine.is_busy:
                return told.set()


async def _may_have_jobs(engine: Engine) -> bool:
    """Whether a job that a worker serves is open; True while the store cannot be asked."""
    try:
        return await engine.has_served_jobs()
    except StoreUnreachableError:
        return True


async def _idle_once(alone: asyncio.Event, engine: Engine) -> None:
    await alone.wait()
    await _idle(engine, 1.0)


async def _idle(engine: Engine, seconds: float) -> None:
    """Return when no job that a worker serves has been open, and nothing has happened, for so long."""
    moved = asyncio.Event()

    async def follow() -> None:
        async for _ in engine.changes():
            moved.set()

    async def wait() -> None:
        while True:
            try:
                async with asyncio.timeout(max(seconds, 0.1)):
                    await moved.wait()
                moved.clear()
            except TimeoutError:
                if not await _may_have_jobs(engine):
                    return

    await first_of(follow(), wait())
