"""Several processes that do the same work, as one: started together, replaced when they die, stopped together."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from engine.domain.errors import DbtendError, StoreError, SystemLimitError, internal_error
from engine.domain.events import CUT_OFF
from engine.execution.worker_identity import WorkerIdentity
from tui.presentation.text import counted
from tui.workers.forking import FAILED, cannot_start, fork
from tui.workers.signals import STOP_SIGNALS, heeded_signals

PAUSE = 2.0
"""Seconds until a process is replaced that failed before it was ready, if another failed before it."""
EARLY_FAILURES: Final = 5
"""After so many failures in a row no process is replaced any more."""
RETRY_PAUSE: Final = 30.0
"""Seconds until a process is replaced after so many failures, in a pool that goes on trying."""
LIVED_LONG: Final = 3600.0
"""Seconds: a failure after that begins a new row."""

STOPPED: Final = 10
"""The exit code of a process that was asked to stop: the pool stops all others, too."""
CANNOT_WORK: Final = 11
"""The exit code of a process that found a reason why no process of the pool can work."""

_READY: Final = b"+"
log = logging.getLogger("dbtend")


@dataclass(frozen=True, slots=True)
class PoolProcess:
    """What a process of a pool knows of itself."""

    number: int
    """From 0."""
    lifeline: int
    """A file descriptor that becomes readable when the pool's own process has died: then no one manages this one."""
    identity: WorkerIdentity | None
    _words: int

    def ready(self) -> None:
        """Tell the pool that this process can work: if it dies from now on, that is due to its work."""
        os.write(self._words, _READY)

    def fail(self, error: Exception) -> int:
        """Tell the pool why this process cannot go on; the exit code to end with."""
        problem = error if isinstance(error, DbtendError) else SystemLimitError.of(error) or internal_error(error)
        with suppress(OSError):
            os.write(self._words, json.dumps([problem.what, problem.why, problem.hint]).encode())
        is_transient = not isinstance(error, DbtendError) or (isinstance(error, StoreError) and error.is_transient)
        return FAILED if is_transient else CANNOT_WORK


Work = Callable[[PoolProcess], int]


@dataclass(slots=True)
class _Running:
    """A process of the pool, seen by the pool."""

    pid: int
    words: int
    """From which can be read what it tells the pool; their end is its end."""
    identity: WorkerIdentity | None
    output: bytes = b""
    started_at: float = field(default_factory=time.monotonic)

    @property
    def was_ready(self) -> bool:
        return self.output.startswith(_READY)

    def listen(self) -> bool:
        """Take what it tells, which is there; whether it goes on."""
        more = os.read(self.words, 65_536)
        self.output += more
        return bool(more)

    def end(self) -> int:
        """See to it after it ended: its exit code, or minus the signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if self.identity is not None and code < 0:
            self.identity.note_signal(-code)
        self.let_go()
        return code

    def let_go(self) -> None:
        os.close(self.words)
        if self.identity is not None:
            self.identity.close()


class WorkerPool:
    """Runs `work` in `size` processes until all of them have ended by themselves, or a signal asks them to.

    Each is a fork of this process, which must have no thread and no database open, in a session of its own: a key at
    the terminal is for this process alone. `work` returns the exit code. `STOPPED`: a signal from outside
    asked it to stop, so the pool stops all. `CANNOT_WORK` stops all, too.
    """

    def __init__(
        self,
        size: int,
        work: Work,
        *,
        doing: str,
        identify: Callable[[], WorkerIdentity] | None = None,
        leash: int | None = None,
        helpers: Sequence[Callable[[int], None] | None] = (),
        is_permanent: bool = False,
    ) -> None:
        """
        Args:
            doing: what it does, for the log, such as `serving jobs.db`.
            identify: makes the identity of a process that is to be started; may raise StoreError.
            leash: a file descriptor that becomes readable when the pool is no longer needed: then all are killed.
            helpers: each runs in one more process, from a moment after the others on until all of those have ended;
                it gets the lifeline.
            is_permanent: whether it goes on trying, with pauses, once one of its processes was able to work.
        """
        self._size = size
        self._doing = doing
        self._work = work
        self._identify = identify
        self._leash = leash
        self._helpers = {-number: helper for number, helper in enumerate(filter(None, helpers), start=1)}
        """By the numbers of their processes."""
        self._is_permanent = is_permanent
        self._has_worked = False
        self._processes: dict[int, _Running] = {}
        """By number."""
        self._to_start: dict[int, float] = {}
        """When a process with this number is to be started, by the monotonic clock."""
        self.was_asked = self.was_forced = False
        """Whether a signal asked it to stop; whether a second one did."""
        self._early_failures = 0
        self.cannot_work = False
        """Whether one of its processes found a reason for which none can work, which stays."""
        self.failure: StoreError | None = None
        """Why the last process that failed did, where it could tell."""

    @property
    def gave_up(self) -> bool:
        """Whether its processes failed again and again, or for a reason that stays."""
        goes_on = self._is_permanent and self._has_worked
        return self.cannot_work or (self._fails_often and not goes_on)

    @property
    def _fails_often(self) -> bool:
        return self._early_failures >= EARLY_FAILURES

    def run(self) -> None:
        """Return when no process is left. The first signal is passed on to them, the second kills them."""
        self._alive = os.pipe()
        with self._listening() as wake:
            log.info("%s with %s", self._doing, counted(self._size, "process"))
            self._to_start = dict.fromkeys(range(self._size), 0.0)
            self._start_due_processes()
            for helper in self._helpers:
                self._start_helper_later(helper)
            while (self._processes.keys() | self._to_start.keys()) - self._helpers.keys():
                self._wait_for_news(wake)
                self._heed_signals(wake)
                self._start_due_processes()
            self._end_helpers()
        for end in self._alive:
            os.close(end)

    def _wait_for_news(self, wake: int) -> None:
        """Return when a signal came, a process ended, or one is to be started; see to those that ended."""
        leash = [] if self._leash is None else [self._leash]
        due = min(self._to_start.values(), default=None)
        timeout = None if due is None else max(due - time.monotonic(), 0)
        words = {process.words: number for number, process in self._processes.items()}
        readable, _, _ = select.select([wake, *leash, *words], [], [], timeout)
        if self._leash in readable:
            self._kill_all()
        for number in [words[descriptor] for descriptor in readable if descriptor in words]:
            process = self._processes[number]
            goes_on = process.listen()
            self._has_worked |= process.was_ready
            if not goes_on:
                self._handle_exit(number)

    def _start_helper_later(self, number: int) -> None:
        if not self.was_asked:
            self._to_start[number] = time.monotonic() + PAUSE

    def _end_helpers(self) -> None:
        self._to_start.clear()
        for helper in self._processes.values():
            os.kill(helper.pid, signal.SIGKILL)
            helper.end()
        self._processes.clear()

    def _start(self, number: int) -> None:
        try:
            read_end, write_end = os.pipe()
        except OSError as error:
            raise cannot_start(error) from error
        try:
            identity = self._identify() if self._identify and number not in self._helpers else None
            self._processes[number] = _Running(self._fork(number, identity, read_end, write_end), read_end, identity)
        except StoreError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)

    def _fork(self, number: int, identity: WorkerIdentity | None, read_end: int, write_end: int) -> int:
        process = PoolProcess(number, self._alive[0], identity, write_end)
        # Until it has its own ways with signals it must get none: it would take them for ours.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            return fork(lambda: self._begin(process, read_end))
        except StoreError:
            if identity is not None:
                identity.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _begin(self, process: PoolProcess, read_end: int) -> int:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for signal_number in STOP_SIGNALS:
            signal.signal(signal_number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        os.close(self._alive[1])
        os.close(read_end)
        for other in self._processes.values():
            other.let_go()
        if helper := self._helpers.get(process.number):
            helper(process.lifeline)
            return 0
        return self._work(process)

    def _handle_exit(self, number: int) -> None:
        process = self._processes.pop(number)
        code = process.end()
        if number in self._helpers:
            self._start_helper_later(number)
            return
        if reason := process.output.removeprefix(_READY):
            self.failure = StoreError(*json.loads(reason))
        if code == STOPPED:
            log.info("process %s was asked to stop: so all do", process.pid)
        if code == CANNOT_WORK:
            self.cannot_work = True
        if code in {STOPPED, CANNOT_WORK}:
            self._ask(signal.SIGTERM)
        if code in {0, STOPPED} or self.was_asked:
            return
        if code == CUT_OFF:
            log.warning("process %s was cut off from the store: another one takes its place", process.pid)
            self._to_start[number] = 0.0
            return
        log.warning("process %s ended with %s", process.pid, code)
        lived_long = time.monotonic() - process.started_at > LIVED_LONG
        # A signal that ends a working process comes from its work, and attempts of that are limited.
        self._early_failures = 0 if process.was_ready and code < 0 else 1 if lived_long else self._early_failures + 1
        if self.gave_up:
            self._to_start.clear()
            return
        if self._early_failures == EARLY_FAILURES:
            log.warning("processes fail again and again: each is tried again after %.0f s", RETRY_PAUSE)
        pause = RETRY_PAUSE if self._fails_often else PAUSE if self._early_failures > 1 else 0
        self._to_start[number] = time.monotonic() + pause

    def _start_due_processes(self) -> None:
        for number in [number for number, due in self._to_start.items() if due <= time.monotonic()]:
            if self._to_start.pop(number, None) is None:
                return  # another one could not be started: none is any more
            try:
                self._start(number)
            except StoreError as error:
                if number in self._helpers:  # the others work without it
                    self._start_helper_later(number)
                    continue
                self.failure, self.cannot_work = error, True
                log.error("%s", error)
                self._ask(signal.SIGTERM)

    def _heed_signals(self, wake: int) -> None:
        for number in os.read(wake, 4096) if select.select([wake], [], [], 0)[0] else b"":
            if self.was_asked and number == signal.SIGHUP:
                continue  # it is no second request: a shell and the terminal both send it
            self.was_forced = self.was_asked
            self._ask(signal.SIGKILL if self.was_forced else number)

    def _ask(self, number: int) -> None:
        if not self.was_asked or number == signal.SIGKILL:
            log.info("killed" if self.was_asked else "stopping: waiting for what runs; once more to leave at once")
        self.was_asked = True
        self._to_start.clear()
        for place, process in self._processes.items():
            if place not in self._helpers:
                os.kill(process.pid, number)

    def _kill_all(self) -> None:
        for process in self._processes.values():
            os.kill(process.pid, signal.SIGKILL)
        os._exit(FAILED)

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
