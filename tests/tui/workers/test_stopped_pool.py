"""A stopped pool (Ctrl-Z) delays no other process: its jobs are rescued."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.sqlite_files import integrity
from tests.tui.command_line import CommandLine, workers_of, write_locked
from tests.tui.workers.test_one_pool import open_jobs, submit_to_nobody
from tests.waiting import wait_until
from tui.workers.detached import is_served


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_process_beside_takes_on_what_one_was_at_that_died(
    dbtend: CommandLine, sales: Path, number: signal.Signals
) -> None:
    with dbtend.start("worker", "--workers", "2", stderr=subprocess.DEVNULL) as pool:
        wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
        with write_locked(sales):
            submit_to_nobody(dbtend, [sales])
            wait_until(lambda: len(workers_of(dbtend.store)) == 1)
            (pid,) = workers_of(dbtend.store)
            os.kill(pool.pid, signal.SIGSTOP)
            os.kill(pid, number)
            wait_until(lambda: workers_of(dbtend.store) not in ([], [pid]))
        wait_until(lambda: not open_jobs(dbtend.store))
        os.kill(pool.pid, signal.SIGCONT)
        pool.terminate()
        assert pool.wait(timeout=30) == 0
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    (child,) = job["children"]
    assert child["status"] == "completed"
    lost, _ = child["attempts"]
    assert (lost["reason"], lost["signal"]) == ("owner_lost", number)
    assert integrity(sales) == []
