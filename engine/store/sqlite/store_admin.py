"""The writes on the store as a whole: worker processes, pause, measurements, retention."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from itertools import takewhile
from typing import Final

from engine.domain.advice import Measurement
from engine.domain.errors import no_such_job
from engine.domain.events import ChangeKind
from engine.domain.jobs import JobId
from engine.domain.steps import Micros
from engine.store.row_checks import checked
from engine.store.rows import storable
from engine.store.sqlite.queries import BATCH_IS_OVER, RUNNING_CHILD

MEASURED_KEPT: Final = 365 * 86_400 * 1_000_000
"""Microseconds."""


def register_worker(
    connection: sqlite3.Connection,
    owner: str,
    pid: int,
    host: str,
    serves_all: bool,
    at: Micros,
    pool: tuple[int, int] | None = None,
    own_jobs: Collection[int] | None = None,
) -> None:
    """`pool`: its number and its size."""
    jobs = None if own_jobs is None else json.dumps(sorted(own_jobs))
    connection.execute(
        "INSERT INTO worker (id, pid, host, serves_all, pool, pool_size, own_jobs, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (owner, pid, host, serves_all, *(pool or (None, None)), jobs, at),
    )


def forget_worker(connection: sqlite3.Connection, owner: str) -> bool:
    """Whether it is fully removed: a child that it could not hand back is left for rescue."""
    connection.execute("DELETE FROM worker WHERE id = ?", (owner,))
    return connection.execute(f"SELECT 1 FROM {RUNNING_CHILD} AND owner = ?", (owner,)).fetchone() is None


def pause(connection: sqlite3.Connection, by: str, at: Micros) -> None:
    """Let nothing start any more."""
    paused = connection.execute("INSERT OR IGNORE INTO pause (id, at, by) VALUES (1, ?, ?)", (at, storable(by)))
    _tell_about_store(connection, ChangeKind.PAUSED, at, happened=bool(paused.rowcount))


def resume(connection: sqlite3.Connection, at: Micros) -> None:
    """Let jobs start again."""
    resumed = connection.execute("DELETE FROM pause")
    _tell_about_store(connection, ChangeKind.RESUMED, at, happened=bool(resumed.rowcount))


def _tell_about_store(connection: sqlite3.Connection, kind: ChangeKind, at: Micros, *, happened: bool) -> None:
    if happened:
        connection.execute("INSERT INTO event (at, kind, attempt) VALUES (?, ?, 0)", (at, kind))


def save_measurement(connection: sqlite3.Connection, target: str, measured: Measurement, at: Micros) -> None:
    """Replace the measurement of a database, and remove those of databases not seen for long."""
    connection.execute("DELETE FROM measured WHERE at < ?", (at - MEASURED_KEPT,))
    connection.execute(
        "INSERT OR REPLACE INTO measured (target, state, at, found) VALUES (?, ?, ?, ?)",
        (storable(target), measured.state, at, json.dumps(dict(measured.found))),
    )


def pin(connection: sqlite3.Connection, parent_id: int, pinned: bool) -> None:
    """Keep a parent from retention, or no longer."""
    if not connection.execute("UPDATE parent_job SET pinned = ? WHERE id = ?", (pinned, parent_id)).rowcount:
        raise no_such_job(JobId(parent_id))


def prune(connection: sqlite3.Connection, parent_ids: Collection[int]) -> int:
    """Remove these parents with all that belongs to them, unless they or their batch are open, or pinned by now."""
    return connection.execute(
        "DELETE FROM parent_job AS p WHERE id IN (SELECT value FROM json_each(?))"
        f" AND finished_at IS NOT NULL AND pinned = 0 AND {BATCH_IS_OVER}",
        (json.dumps(sorted(parent_ids)),),
    ).rowcount


def prune_changes(connection: sqlite3.Connection, before: Micros, limit: int) -> int:
    """Forget the oldest changes; between those that stay there is no gap, and the newest always stays."""
    oldest = connection.execute("SELECT seq, at FROM event ORDER BY seq LIMIT ?", (limit,)).fetchall()
    for _, at in oldest:
        checked({"at": at})
    old = [seq for seq, _ in takewhile(lambda event: event[1] < before, oldest)]
    return connection.execute(
        "DELETE FROM event WHERE seq <= ? AND seq < (SELECT max(seq) FROM event)", (max(old, default=0),)
    ).rowcount
