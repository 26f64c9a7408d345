"""Several processes that do the same work, as one: started together, replaced when they die, stopped together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Final

from tui.commands.signals import STOP_SIGNALS, heeded_signals
from tui.text import counted

FAILS_EARLY: Final = 2.0
"""Seconds; a process that fails sooner is replaced only after a pause,"""
PAUSE = 2.0
EARLY_FAILURES: Final = 5
"""and no more after so many in a row."""

STOPPED: Final = 10
"""The exit code of a process that was asked to stop: then all of them are."""

Work = Callable[[int, int], None]
log = logging.getLogger("dbtend")


class WorkerPool:
    """Runs `work` in `size` processes until all of them have ended by themselves, or a signal asks them to.

    Each is a fork of this process, which must have no thread and no database open, in a session of its own: a key at
    the terminal is for this process alone. `work` is called with its number, from 0, and with a file descriptor that
    can be read when this process has died: nobody replaces or stops it then any more. One that exits with `STOPPED`
    was asked to stop by somebody else; so all are.
    """

    def __init__(self, size: int, work: Work, *, doing: str) -> None:
        """`doing`: what it does, for the log, such as `serving jobs.db`."""
        self._size = size
        self._doing = doing
        self._work = work
        self._processes: dict[int, tuple[BaseProcess, float]] = {}
        """By number, with when it was started."""
        self._asked = self._forced = False
        self._early_failures = 0

    @property
    def stopped_by_force(self) -> bool:
        return self._forced

    @property
    def gave_up(self) -> bool:
        """Whether its processes failed again and again."""
        return self._early_failures >= EARLY_FAILURES

    def run(self) -> None:
        """Return when no process is left. The first signal is passed on to them, the second kills them."""
        self._alive = os.pipe()
        with self._listening() as wake:
            log.info("%s with %s", self._doing, counted(self._size, "process"))
            for number in range(self._size):
                self._start(number)
            while self._processes:
                wait([wake, *(process.sentinel for process, _ in self._processes.values())])
                self._heed_signals(wake)
                for number, (process, started_at) in list(self._processes.items()):
                    if process.exitcode is not None:
                        del self._processes[number]
                        self._see_how_it_ended(number, process, started_at, wake)

    def _start(self, number: int) -> None:
        # Forked, so that it is there at once, and shares what this process has imported.
        process = multiprocessing.get_context("fork").Process(target=self._begin, args=(number,))
        # Until it has its own ways with signals it must get none: it would take them for ours.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        self._processes[number] = process, time.monotonic()

    def _begin(self, number: int) -> None:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for signal_number in STOP_SIGNALS:
            signal.signal(signal_number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        read_end, write_end = self._alive
        os.close(write_end)
        self._work(number, read_end)

    def _see_how_it_ended(self, number: int, process: BaseProcess, started_at: float, wake: int) -> None:
        if process.exitcode == STOPPED:
            log.info("process %s was asked to stop: so all do", process.pid)
            self._ask(signal.SIGTERM)
        if process.exitcode in {0, STOPPED} or self._asked:
            return
        log.warning("process %s ended with %s", process.pid, process.exitcode)
        lived = time.monotonic() - started_at
        self._early_failures = self._early_failures + 1 if lived < FAILS_EARLY else 0
        if self.gave_up:
            return
        if self._early_failures > 1:
            wait([wake], PAUSE)
            self._heed_signals(wake)
        if not self._asked:
            self._start(number)

    def _heed_signals(self, wake: int) -> None:
        for number in os.read(wake, 4096) if wait([wake], timeout=0) else b"":
            if self._asked and number == signal.SIGHUP:
                continue  # nobody insists with it: a shell and the terminal both send it
            self._forced = self._asked
            self._ask(signal.SIGKILL if self._forced else number)

    def _ask(self, number: int) -> None:
        if not self._asked or number == signal.SIGKILL:
            log.info("killed" if self._asked else "stopping: waiting for what runs; once more to leave at once")
        self._asked = True
        for process, _ in self._processes.values():
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)

    @contextmanager
    def _listening(self) -> Iterator[int]:
        """A file descriptor from which the number of each signal can be read as a byte."""
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        heeded = {number: signal.getsignal(number) for number in heeded_signals()}
        for number in heeded:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(write_end)
        try:
            yield read_end
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in heeded.items():
                signal.signal(number, handler)
            os.close(read_end)
            os.close(write_end)
