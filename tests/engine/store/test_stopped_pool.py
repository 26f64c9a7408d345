"""A process that dies while its parent is stopped is found dead, though it is still a zombie."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.store.sqlite import liveness
from tests.engine.processes import python
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is left of a process")
HERE = os.uname().nodename
A_POOL = """
    from engine.execution.worker_identity import WorkerIdentity

    identity = WorkerIdentity(Path(sys.argv[1]), pool=os.getpid(), size=1)
    worker = os.fork()
    if not worker:
        signal.pause()
    print(identity.owner, worker, flush=True)
    sys.stdin.readline()
    _, status = os.waitpid(worker, 0)
    identity.note_signal(os.WTERMSIG(status))
    identity.close()
    print("seen", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) == "T")
    yield
    os.kill(pid, signal.SIGCONT)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGBUS, signal.SIGSEGV])
async def test_its_death_and_the_signal_are_known_before_its_pool_goes_on(tmp_path: Path, number: int) -> None:
    store = tmp_path / "jobs.db"
    with python(A_POOL, store) as pool:
        owner, worker = (await pool.says()).split()
        with stopped(pool.pid):
            assert liveness.death_of(store, owner, int(worker), HERE) is None
            os.kill(int(worker), number)
            wait_until(lambda: state_of(int(worker)) == "Z")
            assert liveness.death_of(store, owner, int(worker), HERE) == liveness.Death(number)
            assert liveness.death_of(store, owner, int(worker), "another host") is None
            assert liveness.death_of(store, owner, None, HERE) is None
        pool.tell()
        assert await pool.says() == "seen"
        assert liveness.death_of(store, owner, int(worker), HERE) == liveness.Death(number)


async def test_a_pool_that_is_not_stopped_tells_it_itself(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    with python(A_POOL, store) as pool:
        owner, worker = (await pool.says()).split()
        os.kill(int(worker), signal.SIGKILL)
        wait_until(lambda: state_of(int(worker)) == "Z")
        assert liveness.death_of(store, owner, int(worker), HERE) is None


async def test_who_is_stopped_is_not_dead(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    with python(A_POOL, store) as pool:
        owner, worker = (await pool.says()).split()
        with stopped(pool.pid), stopped(int(worker)):
            assert liveness.death_of(store, owner, int(worker), HERE) is None
        os.kill(int(worker), signal.SIGKILL)


async def test_what_is_left_of_a_process_proves_nothing_of_the_owner_of_another_lock(tmp_path: Path) -> None:
    store, other = tmp_path / "jobs.db", tmp_path / "other" / "jobs.db"
    other.parent.mkdir()
    with python(A_POOL, store) as pool, python(A_POOL, other) as another:
        (owner, worker), (_, dead) = (await pool.says()).split(), (await another.says()).split()
        with stopped(another.pid):
            os.kill(int(dead), signal.SIGKILL)
            wait_until(lambda: state_of(int(dead)) == "Z")
            assert liveness.death_of(store, owner, int(dead), HERE) is None
        os.kill(int(worker), signal.SIGKILL)
