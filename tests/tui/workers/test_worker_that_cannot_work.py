"""A worker that can never work ends with the reason, and is not started again and again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Operation, Request
from engine.domain.errors import StoreError
from tests.tui.command_line import CommandLine, err_line
from tests.waiting import wait_until
from tui.commands import worker
from tui.workers.detached import DetachedWorker, is_served
from tui.workers.pool import PoolProcess


def submitted(store: Path, target: Path) -> None:
    async def submit() -> None:
        async with Engine.open(store) as engine:
            await engine.submit([Request(target=str(target), operations=(Operation.ANALYZE,))])

    asyncio.run(submit())


def make_newer(store: Path) -> None:
    with closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA user_version = 1000")


def damage_jobs(store: Path) -> None:
    """Every page of the table of children is nonsense: what is open cannot be claimed."""
    with closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'child_job' AND rootpage > 0"
        ).fetchall()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with store.open("r+b") as file:
        for (page,) in roots:
            file.seek((page - 1) * size)
            file.write(b"\x07" * size)


def put_a_file_in_the_way(store: Path) -> None:
    directory = store.with_name(f"{store.name}.d")
    for path in directory.iterdir() if directory.exists() else ():
        path.unlink()
    if directory.exists():
        directory.rmdir()
    directory.touch()


Spoil = Callable[[Path], None]
SPOILT: list[tuple[Spoil, str]] = [
    (make_newer, "newer dbtend"),
    (damage_jobs, "damaged"),
    (put_a_file_in_the_way, "jobs.db.d"),
]


def test_the_log_has_the_sentence_of_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_: PoolProcess) -> bool:
        raise StoreError("jobs.db", "is damaged")

    told, tells = os.pipe()
    worker._begin(fails, PoolProcess(0, -1, None, tells))
    os.close(tells)
    os.close(told)
    assert caplog.messages == ["jobs.db: is damaged"]


@pytest.mark.parametrize(("spoil", "why"), SPOILT)
def test_a_worker_says_why_once_and_ends(dbtend: CommandLine, sales: Path, spoil: Spoil, why: str) -> None:
    submitted(dbtend.store, sales)
    spoil(dbtend.store)
    result = dbtend.process("worker")
    assert result.code == 2
    (said,) = [line for line in result.err.splitlines() if line.startswith("dbtend: ")]
    assert why in said
    assert "Traceback" not in result.err
    assert result.err.count("ended with") <= 2


def ensures_nothing(worker: DetachedWorker) -> bool:
    worker.ensure()
    return False


@pytest.mark.parametrize(("spoil", "why"), SPOILT)
def test_a_console_is_told_why(dbtend: CommandLine, sales: Path, spoil: Spoil, why: str) -> None:
    submitted(dbtend.store, sales)
    spoil(dbtend.store)
    worker = DetachedWorker(dbtend.store)

    with pytest.raises(StoreError, match=why):
        wait_until(lambda: ensures_nothing(worker))
    worker.stop()


def test_a_worker_whose_store_is_upgraded_meanwhile_ends_with_that(dbtend: CommandLine, sales: Path) -> None:
    with dbtend.start("worker", "--workers", "2") as worker:
        try:
            wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
            assert "serving" in err_line(worker)
            make_newer(dbtend.store)
            for process in processes_of(worker.pid):
                os.kill(process, 9)
            _, err = worker.communicate(timeout=30)
        finally:
            worker.kill()
    assert worker.returncode == 2
    (said,) = [line for line in err.splitlines() if line.startswith("dbtend: ")]
    assert "newer dbtend" in said


def processes_of(pool: int) -> list[int]:
    """The processes that a pool has forked."""
    return [int(pid) for pid in Path(f"/proc/{pool}/task/{pool}/children").read_text().split()]
