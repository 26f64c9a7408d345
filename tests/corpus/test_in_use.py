"""A database that another process uses: busy where SQLite would be busy, completed otherwise."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from engine import Engine
from engine.domain.jobs import ChildJob
from engine.domain.requests import Operation, Options, Request
from engine.domain.statuses import Reason, Status
from tests.building import SQLITE_OPERATIONS
from tests.corpus.case import script
from tests.corpus.fingerprint import scratch
from tests.corpus.oracle import connect, verdict
from tests.corpus.storage import FREE_PAGES, ROWS
from tests.engine.targets.sqlite.another_process import another_process

HOLDERS: Final = {
    "nobody": (),
    "idle": ("SELECT count(*) FROM item",),
    "reader": ("BEGIN", "SELECT * FROM item"),
    "writer": ("BEGIN IMMEDIATE", "DELETE FROM item WHERE id = 4"),
    "exclusive": ("BEGIN EXCLUSIVE",),
    "exclusive connection": ("PRAGMA locking_mode = EXCLUSIVE", "UPDATE item SET note = '' WHERE id = 4"),
}
MODES: Final = ("delete", "wal")


def database(directory: Path, mode: str) -> Path:
    sql = f"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = {mode}; {ROWS} {FREE_PAGES}"
    return script(sql + "CREATE VIRTUAL TABLE s USING fts5(a); INSERT INTO s VALUES ('a'), ('b');")(directory)


def is_busy(path: Path, operation: Operation) -> bool:
    """Whether SQLite says so, by an error or, of a checkpoint, in a row."""
    if operation is Operation.CHECKPOINT:
        try:
            with closing(connect(path)) as db:
                return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        except sqlite3.OperationalError as error:
            return error.sqlite_errorname == "SQLITE_BUSY"
    with scratch() as elsewhere:
        return verdict(path, operation, elsewhere / "backup.db").error == "SQLITE_BUSY"


async def ended(engine: Engine, path: Path, operation: Operation) -> ChildJob:
    request = Request(target=str(path), operations=(operation,), options=Options(lock_timeout=0.05))
    (job,) = await engine.submit([request])
    ((child,),) = [parent.children for parent in await engine.wait([job.id])]
    return child


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("holder", HOLDERS)
async def test_what_is_busy_to_sqlite_ends_as_busy_and_names_who_holds_it(holder: str, mode: str) -> None:
    complaints = []
    with scratch() as directory:
        path = database(directory, mode)
        with another_process(path, *HOLDERS[holder]) as pid:
            async with Engine.open(directory / "jobs.db", workers=1) as engine:
                for operation in SQLITE_OPERATIONS:
                    child = await ended(engine, path, operation)
                    fits = child.reason is not Reason.TARGET_BUSY and child.status is not Status.FAILED
                    if is_busy(path, operation) and child.reason is not Reason.NOT_NEEDED:
                        fits = child.reason is Reason.TARGET_BUSY and str(pid) in str(child.error)
                    complaints += [] if fits else [f"{operation}: {child.status} ({child.reason}), {child.error}"]
    assert complaints == []
