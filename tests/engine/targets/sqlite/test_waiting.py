"""The wait for a lock: a cancel ends it, it happens once, and it gets its turn among busy readers."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import TargetBusyError
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.running.operation import SqliteOperation
from engine.targets.step_execution import StepContext, StepResult
from tests.engine.execution.test_worker import carried_out
from tests.engine.targets.sqlite.a_session import connected, execute
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import content, integrity, make_database

if TYPE_CHECKING:
    from engine.targets.plans import PlannedStep

EXCLUSIVE = ("BEGIN EXCLUSIVE",)
# Two of these are never both without a lock, unless one is shut out for half a second while the other has one.
READS_UNTIL_THE_OTHER_DOES = """
import os, pathlib, sqlite3, sys, threading, time
path, mine, others = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
connection = sqlite3.connect(path, isolation_level=None, timeout=0)

def read():
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT count(*) FROM item").fetchone()
    except sqlite3.OperationalError:
        connection.execute("ROLLBACK")
        time.sleep(0.001)
        return False
    mine.touch()
    return True

def relay():
    while True:
        if read():
            let_go = time.monotonic() + 0.5
            while not others.exists() and time.monotonic() < let_go:
                time.sleep(0.001)
            mine.unlink()
            connection.execute("COMMIT")

while not read():
    pass
connection.execute("COMMIT")
print("ready", flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
relay()
"""


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.INCREMENTAL_VACUUM])
async def test_what_needs_the_file_for_itself_gets_it_although_its_readers_overlap(
    tmp_path: Path, operation: Operation
) -> None:
    """SQLite lets in no new reader while it waits itself; between two tries of ours they slip in."""
    path = make_database(tmp_path / "a.db", rows=200, auto_vacuum="incremental")
    before, size = content(path), path.stat().st_size
    flags = [str(tmp_path / name) for name in ("one", "two")]
    async with connected(path, lock_timeout=20) as (session, _):
        step = (await session.plan(operation, Options())).steps[0]
        with (
            another_process(path, *flags, program=READS_UNTIL_THE_OTHER_DOES),
            another_process(path, *reversed(flags), program=READS_UNTIL_THE_OTHER_DOES),
        ):
            result = await execute(session, step)
    assert (result.status, result.error) == (Status.COMPLETED, None)
    assert path.stat().st_size < size
    assert (content(path), integrity(path)) == (before, [])


@pytest.mark.parametrize(
    ("operation", "jobs"),
    [
        (Operation.VACUUM, None),
        (Operation.ANALYZE, None),
        (Operation.INCREMENTAL_VACUUM, None),
        (Operation.CHECK, None),
        (Operation.CHECK, 2),
        (Operation.BACKUP, None),
    ],
)
async def test_a_cancel_ends_every_wait_for_one_who_has_locked_the_database_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, jobs: int | None
) -> None:
    """That in the look afterwards, too, and that of a connection more."""
    path = make_database(tmp_path / "a.db", rows=200, auto_vacuum="incremental")
    cancel, really_execute = asyncio.Event(), SqliteOperation.execute
    with ExitStack() as other:

        async def locked_from_the_first_step_on(
            self: SqliteOperation, step: PlannedStep, context: StepContext
        ) -> StepResult:
            if not holder:
                holder.append(other.enter_context(another_process(path, *EXCLUSIVE)))
            return await really_execute(self, step, replace(context, report=lambda _: cancel.set()))

        holder: list[int] = []
        monkeypatch.setattr(SqliteOperation, "execute", locked_from_the_first_step_on)
        async with asyncio.timeout(60):
            outcome, report = await carried_out(path, operation, cancel, lock_timeout=86_400, jobs=jobs)
        assert (outcome.status, outcome.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
        assert outcome.after is None
        assert f"process {holder[0]} (" in report.log[-1].message
    assert integrity(path) == []


async def test_the_look_afterwards_does_not_wait_again_for_one_who_was_waited_for_in_vain(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    async with connected(path, lock_timeout=0.3) as (session, connection):
        step = (await session.plan(Operation.VACUUM, Options())).steps[0]
        tried: list[str] = []
        with another_process(path, *EXCLUSIVE):
            result = await execute(session, step)
            assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
            await connection.set_trace_callback(tried.append)
            with pytest.raises(TargetBusyError, match="no lock"):
                await session.facts(Operation.VACUUM)
        assert tried.count(catalog.SUMMARY[0]) == 1
        assert await session.facts(Operation.VACUUM)
