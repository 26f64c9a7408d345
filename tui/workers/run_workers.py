"""The worker processes of one `dbtend run`: they carry out its jobs and no others, and end with it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import signal
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine import Engine, StoreLocation, WorkerProcess
from engine.domain.errors import StoreError
from engine.domain.lazy_import import lazy
from engine.execution.cancels_from_afar import cancelling_from_afar
from engine.execution.worker_identity import WorkerIdentity
from engine.system.host import host_name
from tui.presentation.exit_codes import FAILED, OK
from tui.workers.forking import cannot_start, fork
from tui.workers.pool import STOPPED, PoolProcess, WorkerPool
from tui.workers.signals import STOP_SIGNALS
from tui.workers.tasks import first_of, opened

if TYPE_CHECKING:
    from engine.execution import worker_runtime
else:
    worker_runtime = lazy("engine.execution.worker_runtime", "the run itself runs no jobs")

_CRASHED: Final = StoreError(
    "worker processes", "they end right after their start", "run dbtend doctor to find the cause"
)
log = logging.getLogger("dbtend")


class Flag:
    """An event that one process sets, at its death if not before, and that all which are forked from it can see."""

    def __init__(self) -> None:
        self._seen, self._write = os.pipe()

    def fileno(self) -> int:
        """A descriptor that becomes readable when the event is set."""
        return self._seen

    def set(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    def close_write_end(self) -> None:
        """Close the write end in a forked process: it is not the one that sets the event."""
        self.set()

    def close(self) -> None:
        self.set()
        os.close(self._seen)


class RunWorkers:
    """To be made, which forks, before there is another thread and before any database is open.

    Only a process in between has them as its children: it can replace one that dies, as it opens nothing itself.
    """

    def __init__(self, store: StoreLocation, *, workers: int, max_running: int, config: Path | None) -> None:
        """
        Args:
            workers: how many processes there are at most, each with one job at a time.
            max_running: how many jobs run at once on the store, in all processes.
            config: the config file.
        """
        self._store, self._workers, self._at_most = store, workers, max_running
        self._config = config
        self.pool = os.getpid()
        """The pid that the worker processes give as their pool."""
        self.run = uuid.uuid4().hex
        """For which jobs can be reserved that no other processes are to carry out."""
        self._host = host_name()
        try:
            self._drained, self._stopped, self._gone = Flag(), Flag(), Flag()
            self._orders, self._order = os.pipe()
            self._reports, self._report = os.pipe()
            os.set_blocking(self._report, False)  # no worker waits for a run whose own output is not read
        except OSError as error:
            raise cannot_start(error) from error
        self._has_begun = False
        self._keeper = fork(self._keep)
        os.close(self._orders)
        os.close(self._report)

    def include(self, process: WorkerProcess) -> bool:
        return process.pool == self.pool and process.host == self._host

    def begin(self, jobs: Sequence[int]) -> None:
        self._has_begun = True
        with suppress(BrokenPipeError), os.fdopen(self._order, "w", closefd=False) as pipe:
            pipe.write(f"{json.dumps(list(jobs))}\n")

    def drain(self) -> None:
        """Let them begin nothing more."""
        self._drained.set()

    def stop(self) -> None:
        """Let them end: what runs is stopped safely, and handed back."""
        self._stopped.set()

    async def ended(self, announce: Callable[[str], None]) -> StoreError | None:
        """Wait until none is left. Returns why they could not work, if so.

        Args:
            announce: gets their messages during the wait, each only once.
        """
        loop, over, received = asyncio.get_running_loop(), asyncio.Event(), bytearray()
        failure: StoreError | None = None
        announced = ""

        def listen() -> None:
            nonlocal failure, announced
            more = os.read(self._reports, 65_536)
            received.extend(more)
            *whole, rest = received.split(b"\n")
            received[:] = rest
            for message in map(json.loads, whole):
                if isinstance(message, str):
                    if message != announced:
                        announce(message)
                    announced = message
                else:
                    failure = StoreError(*message) if message else _CRASHED
            if not more:
                loop.remove_reader(self._reports)
                over.set()

        loop.add_reader(self._reports, listen)
        try:
            await over.wait()
        finally:
            loop.remove_reader(self._reports)
        return failure

    def close(self) -> None:
        """Leave none behind: any that is left ends at once, and where it stands."""
        if not self._has_begun:
            os.kill(self._keeper, signal.SIGKILL)  # it would get ready first
        for flag in (self._drained, self._stopped, self._gone):
            flag.close()
        os.close(self._order)
        os.close(self._reports)
        os.waitpid(self._keeper, 0)

    def _keep(self) -> int:
        """What the process does that has the workers as its children."""
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for flag in (self._drained, self._stopped, self._gone):
            flag.close_write_end()
        os.close(self._order)
        os.close(self._reports)
        log.addHandler(logging.NullHandler())  # the run itself reports problems

        worker_runtime.preload_imports()  # here, while the jobs are being submitted
        with os.fdopen(self._orders) as orders:
            jobs = json.loads(orders.readline() or "[]")
        if not jobs:
            return OK
        size = min(self._workers, len(jobs))
        pool = WorkerPool(
            size,
            self._work_on(jobs),
            doing=f"running {len(jobs)}",
            identify=lambda: WorkerIdentity(self._store, pool=self.pool, size=size, run=self.run),
            leash=self._gone.fileno(),
            helpers=[cancelling_from_afar(self._store, self.pool)],
        )
        pool.run()
        if pool.gave_up:
            failure = pool.failure
            self._tell([] if failure is None else [failure.what, failure.why, failure.hint])
        return OK

    def _tell(self, what: str | Sequence[str]) -> None:
        """Tell the run something to say, or why its workers cannot work, as far as that is known."""
        with suppress(OSError):
            os.write(self._report, f"{json.dumps(what)}\n".encode())

    def _work_on(self, jobs: Sequence[int]) -> Callable[[PoolProcess], int]:
        def work(process: PoolProcess) -> int:
            worker_runtime.report_store_errors(self._tell)
            try:
                return asyncio.run(self._serve(process, jobs))
            except Exception as error:
                return process.fail(error)

        return work

    async def _serve(self, process: PoolProcess, jobs: Sequence[int]) -> int:
        loop, stop, drain, asked = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop.add_reader(self._gone, os._exit, FAILED)
        loop.add_reader(self._stopped, _once(loop, self._stopped, stop))
        loop.add_reader(self._drained, _once(loop, self._drained, drain))
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, asked.set)
        own_jobs = [] if select.select([self._drained], [], [], 0)[0] else jobs
        opening = partial(
            Engine.open,
            self._store,
            workers=1,
            own_jobs=own_jobs,
            max_running=self._at_most,
            identity=process.identity,
            config=self._config,
        )
        async with AsyncExitStack() as stack:
            engine = await opened(opening, stack, stop, asked)
            if engine is None:
                return STOPPED if asked.is_set() else OK
            process.ready()
            await first_of(stop.wait(), asked.wait(), drain.wait())
            await engine.drain(0)
            await first_of(stop.wait(), asked.wait())
        return STOPPED if asked.is_set() else OK


def _once(loop: asyncio.AbstractEventLoop, flag: Flag, event: asyncio.Event) -> Callable[[], None]:
    def seen() -> None:
        loop.remove_reader(flag)
        event.set()

    return seen
