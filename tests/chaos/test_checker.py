"""The checker finds each kind of damage, in the record of a quiet run that was falsified."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Operation, Request
from engine.store.sqlite.schema import drop_triggers
from tests.chaos.checker import Kind, check
from tests.chaos.processes import processes
from tests.chaos.trace import Trace, What
from tests.engine.store.loosened import restore_triggers
from tests.sqlite_files import content, make_database, remove_index_entries


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run in which nothing went wrong: one parent with two children."""
    directory = tmp_path_factory.mktemp("quiet")

    async def run() -> None:
        trace = Trace(directory)
        database = make_database(directory / "sales.db", rows=100)
        with processes(trace) as all_processes:
            all_processes.host()
            async with Engine.open(trace.store) as engine, asyncio.timeout(60):
                request = Request(target=str(database), operations=(Operation.VACUUM, Operation.ANALYZE))
                (job,) = await engine.submit([request])
                trace.tell(What.SUBMITTED, job=job.id, target=job.target, operations=request.operations)
                await engine.wait([job.id])

    asyncio.run(run())
    return directory


def sql(statement: str) -> Callable[[Path], None]:
    """Change the store behind the back of its rules."""

    def tamper(directory: Path) -> None:
        with closing(sqlite3.connect(directory / "jobs.db")) as db:
            drop_triggers(db)
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute(statement)
            restore_triggers(db)
            db.commit()

    return tamper


def told(what: What, **more: object) -> Callable[[Path], None]:
    return lambda directory: Trace(directory).tell(what, **more)  # type: ignore[arg-type]


def lose_a_row(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "sales.db")) as db:
        db.execute('DELETE FROM "group" WHERE id = 1')
        db.commit()


TARGET = "sqlite://a.db"


@pytest.mark.parametrize(
    ("kind", "tamper"),
    [
        (Kind.OVERLAP, told(What.BEGAN, job="1.1", attempt=1, target=TARGET, alone=False)),
        (Kind.PARENT, sql("UPDATE parent_job SET status = 'failed'")),
        (Kind.PARENT, sql("UPDATE parent_job SET finished_at = NULL")),
        (Kind.OPEN, sql("UPDATE child_job SET status = 'running' WHERE ordinal = 2")),
        (Kind.LOST, told(What.SUBMITTED, job=2, target=TARGET)),
        (Kind.LOST, sql("DELETE FROM child_job WHERE ordinal = 2")),
        (Kind.FINISH, told(What.FINISHED, job="1.1", attempt=1, status="completed")),
        (Kind.FINISH, sql("UPDATE child_job SET pid = pid + 1 WHERE ordinal = 1")),
        (Kind.FINISH, sql("UPDATE child_job SET status = 'cancelled' WHERE ordinal = 1")),
        (Kind.ATTEMPTS, sql("UPDATE child_job SET attempt = 2 WHERE ordinal = 1")),
        (Kind.TRANSITION, sql("DELETE FROM event WHERE new = 'running' AND ordinal = 1")),
        (Kind.TRANSITION, sql("UPDATE child_job SET status = 'skipped' WHERE ordinal = 1")),
        (Kind.FAILURE, sql("UPDATE child_job SET status = 'failed', reason = 'operation_error' WHERE ordinal = 1")),
        (Kind.RECOVERY, sql("UPDATE child_job SET recovering = 1 WHERE ordinal = 1")),
        (Kind.RECOVERY, sql("UPDATE child_job SET recovering = 1, status = 'cancelled', started_at = NULL")),
        (Kind.RECOVERY, sql("UPDATE child_job SET status = 'failed', reason = 'owner_lost' WHERE ordinal = 1")),
        (Kind.CONTENT, lose_a_row),
        (Kind.DAMAGE, lambda directory: remove_index_entries(directory / "sales.db", "order")),
        (Kind.DAMAGE, sql("UPDATE step SET ordinal = 7 WHERE ordinal = 1")),
    ],
)
async def test_damage_is_found(quiet: Path, tmp_path: Path, kind: Kind, tamper: Callable[[Path], None]) -> None:
    before = {tmp_path / "sales.db": content(quiet / "sales.db")}
    shutil.copytree(quiet, tmp_path, dirs_exist_ok=True)
    trace = Trace(tmp_path)
    assert await check(trace.store, trace.told(), before) == []
    tamper(tmp_path)
    assert kind in {finding.kind for finding in await check(trace.store, trace.told(), before)}
