"""The real processes of a chaos test: all that it starts, and all that those start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.chaos.instruments import DIRECTORY, PLANTS, Plant
from tests.chaos.trace import Trace, What
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
AT_START = Path(__file__).with_name("at_start")


class Processes:
    """Starts processes that tell what they do, and finds them again by their environment."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._started: list[subprocess.Popen[bytes]] = []

    def environment(self, plants: Iterable[Plant] = ()) -> Mapping[str, str]:
        home = self.trace.directory
        return {
            **os.environ,
            "PYTHONPATH": f"{AT_START}{os.pathsep}{ROOT}",
            "XDG_CONFIG_HOME": str(home / "config-home"),
            "XDG_STATE_HOME": str(home / "state-home"),
            DIRECTORY: str(home),
            PLANTS: " ".join(plants),
        }

    def start(self, *arguments: object, plants: Iterable[Plant] = ()) -> subprocess.Popen[bytes]:
        """Run Python with these arguments; what it writes goes to the file `output`."""
        with (self.trace.directory / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env=self.environment(plants),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._started.append(process)
        return process

    def host(self, *, workers: int = 2, plants: Iterable[Plant] = ()) -> subprocess.Popen[bytes]:
        return self.start("-m", "tests.chaos.host", self.trace.store, workers, plants=plants)

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start("-m", "tui.cli", "worker", "--store", self.trace.store)

    def submitter(self, seed: int, databases: Sequence[Path]) -> subprocess.Popen[bytes]:
        return self.start("-m", "tests.chaos.submitter", seed, *databases)

    def living(self) -> list[int]:
        """Those that have been started and have not ended, whoever started them."""
        mark = f"{DIRECTORY}={self.trace.directory}\0".encode()
        return [int(process.name) for process in Path("/proc").glob("[0-9]*") if mark in _environment_of(process)]

    def kill(self, pid: int) -> None:
        self.trace.tell(What.KILLED, pid=pid)
        _send(pid, signal.SIGKILL)

    def stop(self, pid: int) -> None:
        self.trace.tell(What.STOPPED, pid=pid)
        _send(pid, signal.SIGSTOP)

    def go_on(self, pid: int) -> None:
        _send(pid, signal.SIGCONT)

    def kill_all(self, first: int = 0) -> None:
        """Leave none alive, nor any that one of them has just started. `first`: the process that is killed first."""

        def none_is_left() -> bool:
            pids = self.living()
            for pid in pids:  # before the first is killed: the workers of a run end with it
                self.trace.tell(What.KILLED, pid=pid)
            for pid in sorted(pids, key=lambda pid: pid != first):
                _send(pid, signal.SIGKILL)
            return not pids

        wait_until(none_is_left)
        for process in self._started:
            process.wait()


@contextmanager
def processes(trace: Trace) -> Iterator[Processes]:
    """Processes that are all gone in the end."""
    started = Processes(trace)
    try:
        yield started
    finally:
        started.kill_all()


def _environment_of(process: Path) -> bytes:
    with suppress(OSError):  # it has ended meanwhile, or is another user's
        return (process / "environ").read_bytes()
    return b""


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
