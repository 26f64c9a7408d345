"""A job that `submit` has returned is stored, even if the process dies right after."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from engine import Engine, Status
from tests.building import SQLITE_OPERATIONS
from tests.sqlite_files import make_database

SUBMIT_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from engine import Engine, Request
from tests.building import SQLITE_OPERATIONS

async def main(store, target):
    async with Engine.open(Path(store)) as engine:
        (job,) = await engine.submit([Request(target=target, operations=SQLITE_OPERATIONS)])
        os.write(1, str(job.id).encode())
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_job_is_there_after_kill_9_right_after_its_submit(tmp_path: Path) -> None:
    sales = make_database(tmp_path / "sales.db", rows=100)
    store = tmp_path / "jobs.db"
    command = [sys.executable, "-c", SUBMIT_AND_DIE, str(store), str(sales)]
    submitter = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    assert submitter.returncode == -signal.SIGKILL
    async with Engine.open(store) as engine:
        job = await engine.job(int(submitter.stdout))
        assert job.status is Status.PENDING
        assert tuple(child.operation for child in job.children) == job.request.operations == SQLITE_OPERATIONS
