"""Processes that are replaced when they die and stopped together: with real processes and real signals."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tui.workers.forking import FAILED
from tui.workers.pool import PoolProcess

A_POOL = """
import os, resource, select, signal, sys
from engine.domain.events import CUT_OFF
from tui.workers.pool import STOPPED, WorkerPool
from tui.workers.signals import STOP_SIGNALS

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def serve(process, on_signal, heeded):
    wakes, wake = os.pipe()  # a read of one end alone would sleep on through a signal that came just before it
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in heeded:
        signal.signal(number, on_signal)
    say("started", process.number, os.getpid())
    while process.lifeline not in select.select([process.lifeline, wakes], [], [])[0]:
        os.read(wakes, 4096)

def patient(process):
    serve(process, lambda got, _: say("asked", process.number, signal.Signals(got).name), STOP_SIGNALS)
    say("alone", process.number)
    return 0

def obedient(process):
    serve(process, lambda *_: os._exit(0), [signal.SIGTERM])
    return 0

def polite(process):
    serve(process, lambda *_: os._exit(STOPPED), [signal.SIGTERM])
    return 0

def broken(process):
    sys.exit(3)

def mistaken(process):
    os.dup2(1, 2)
    raise RuntimeError("of its own")

def failing(process):
    process.ready()
    say("started", process.number, os.getpid())
    return 1

def cut_off(process):
    process.ready()
    say("started", process.number, os.getpid())
    return CUT_OFF

def half(process):
    # The first works, and then the others fail before they can.
    if process.number:
        os.read(have_begun, 1)
        os.write(has_begun, b"+")
        say("failed")
        return 1
    process.ready()
    os.write(has_begun, b"+")
    return obedient(process)

have_begun, has_begun = os.pipe()

class WithHelper(WorkerPool):
    # The system has no more file descriptors when the helper is started first.
    has_tried = False

    def _start(self, number):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        if number < 0 and not self.has_tried:
            self.has_tried = True
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            super()._start(number)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

def help(lifeline):
    say("helping")
    select.select([lifeline], [], [])

class Identity:
    # Of which there are as many as the third word says.
    left = int(sys.argv[3])

    def __init__(self):
        if not Identity.left:
            raise StoreError("a lock", "cannot be had")
        Identity.left -= 1

    def note_signal(self, number):
        pass

    close = lambda self: None

import tui.workers.pool
from engine.domain.errors import StoreError
tui.workers.pool.PAUSE = tui.workers.pool.RETRY_PAUSE = 0
tui.workers.pool.LIVED_LONG = float(sys.argv[4])
size, work, is_permanent = int(sys.argv[2]), globals()[sys.argv[1]], sys.argv[5:] == ["True"]
of, helper = (WithHelper, help) if sys.argv[1] == "polite" and size == 1 else (WorkerPool, None)
pool = of(size, work, doing="trying", identify=Identity, is_permanent=is_permanent, helpers=[helper])
pool.run()
say("over", pool.was_forced, pool.gave_up)
"""


class Pool:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._text = b""

    def line(self) -> str:
        """The next line that any of its processes says."""
        assert self.process.stdout is not None
        while b"\n" not in self._text:
            assert select.select([self.process.stdout], [], [], 20)[0], "nothing is said"
            more = os.read(self.process.stdout.fileno(), 4096)
            assert more, "all are gone"
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def started(self) -> dict[int, int]:
        """Two processes, by number, as they start."""
        lines = [self.line().split() for _ in range(2)]
        return {int(number): int(pid) for _, number, pid in lines}

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@contextmanager
def running(
    work: str, size: int = 2, *, identities: int = -1, lived_long: float = 3600, permanent: bool = False
) -> Iterator[Pool]:
    command = [sys.executable, "-c", A_POOL, work, str(size), str(identities), str(lived_long), str(permanent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield Pool(process)
        finally:
            process.kill()


def test_a_process_that_dies_is_replaced() -> None:
    with running("obedient") as pool:
        pids = pool.started()
        os.kill(pids[1], signal.SIGKILL)
        said, number, pid = pool.line().split()
        assert (said, number) == ("started", "1")
        assert int(pid) not in pids.values()
        pool.signal(signal.SIGTERM)
        assert pool.line() == "over False False"


def test_each_process_is_a_session_of_its_own() -> None:
    with running("obedient") as pool:
        for pid in pool.started().values():
            assert os.getsid(pid) == pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_kills(number: int) -> None:
    with running("patient") as pool:
        pids = pool.started()
        pool.signal(number)
        name = signal.Signals(number).name
        assert {pool.line(), pool.line()} == {f"asked 0 {name}", f"asked 1 {name}"}
        pool.signal(signal.SIGHUP)  # which a shell and its terminal both send
        pool.signal(signal.SIGTERM)
        assert pool.line() == "over True False"
        for pid in pids.values():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def test_processes_learn_that_the_one_that_started_them_was_killed() -> None:
    with running("patient") as pool:
        pool.started()
        pool.process.kill()
        assert {pool.line(), pool.line()} == {"alone 0", "alone 1"}


def test_who_asks_one_of_them_to_stop_asks_all() -> None:
    with running("polite") as pool:
        os.kill(pool.started()[1], signal.SIGTERM)
        assert pool.line() == "over False False"


@pytest.mark.parametrize("size", [2, 6])
def test_a_signal_that_comes_while_processes_start_counts_once(size: int) -> None:
    for _ in range(5):
        with running("polite", size) as pool:
            pool.line()
            pool.signal(signal.SIGTERM)
            while (line := pool.line()).startswith("started"):
                pass
            assert line == "over False False"


def test_a_process_that_fails_again_and_again_is_given_up() -> None:
    with running("broken") as pool:
        assert pool.line() == "over False True"


def test_failures_far_apart_are_no_reason_to_give_up() -> None:
    with running("failing", 1, lived_long=-1) as pool:
        assert {pool.line().split()[0] for _ in range(12)} == {"started"}
        pool.signal(signal.SIGTERM)


def test_a_permanent_pool_that_was_able_to_work_goes_on_trying() -> None:
    with running("failing", 1, permanent=True) as pool:
        assert {pool.line().split()[0] for _ in range(12)} == {"started"}
        pool.signal(signal.SIGTERM)
    with running("broken", 1, permanent=True) as pool:
        assert pool.line() == "over False True"


def test_a_permanent_pool_goes_on_trying_while_one_of_its_processes_works() -> None:
    with running("half", permanent=True) as pool:
        assert [pool.line().split()[0] for _ in range(12)].count("failed") == 11
        pool.signal(signal.SIGTERM)


def test_where_the_helper_cannot_be_started_the_others_work_and_it_is_tried_again() -> None:
    with running("polite", 1) as pool:
        assert {pool.line().split()[0] for _ in range(2)} == {"started", "helping"}
        pool.signal(signal.SIGTERM)
        assert pool.line() == "over False False"


def test_a_process_that_ends_by_an_error_says_which() -> None:
    with running("mistaken", size=1) as pool:
        assert pool.line().endswith(": RuntimeError: of its own")


def test_processes_that_were_cut_off_from_the_store_are_replaced_however_often() -> None:
    with running("cut_off", 2) as pool:
        assert {pool.line().split()[0] for _ in range(12)} == {"started"}
        pool.signal(signal.SIGTERM)


def test_where_a_later_process_cannot_be_started_none_is_left() -> None:
    with running("obedient", identities=1) as pool:
        line = pool.line()
        assert (line if line.startswith("over") else pool.line()) == "over False True"


def test_where_processes_that_died_together_cannot_be_replaced_the_pool_ends() -> None:
    with running("obedient", identities=2) as pool:
        pids = pool.started()
        pool.signal(signal.SIGSTOP)
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        pool.signal(signal.SIGCONT)
        assert pool.line() == "over False True"


def test_a_signal_that_its_parent_ignores_stays_ignored() -> None:
    nohup = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    command = [sys.executable, "-c", nohup, sys.executable, "-c", A_POOL, "obedient", "2", "-1", "3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        pool = Pool(process)
        pool.started()
        pool.signal(signal.SIGHUP)
        pool.signal(signal.SIGTERM)
        assert pool.line() == "over False False"


def test_what_the_system_does_not_give_is_no_internal_error() -> None:
    read, write = os.pipe()
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    assert PoolProcess(0, -1, None, write).fail(error) == FAILED
    assert json.loads(os.read(read, 4096))[2].endswith("(ulimit -n)")
    os.close(read)
    os.close(write)
