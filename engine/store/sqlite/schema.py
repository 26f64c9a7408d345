"""The shape of the store's file: migrations by `user_version`, and the triggers made from the vocabulary.

To change the schema, or the vocabulary in engine/domain, add the next `migrations/NNN_name.sql` (it may be
empty: every migration ends by creating the triggers again). Before the first release change the one file instead, and
raise FIRST_VERSION.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path

from engine.domain.errors import StoreError
from engine.domain.requests import Operation
from engine.domain.schedules import FiringReason, FiringStatus
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason, Transitions

APPLICATION_ID = 0x6474656E  # "dten": marks a SQLite file as a store of dbtend


FIRST_VERSION = 103
"""That of the first file. Stores of a lower one, made before the first release, are refused."""


@cache
def migrations() -> Sequence[str]:
    """The SQL of every migration, in order, from that of the first version on."""
    files = sorted((Path(__file__).parent / "migrations").glob("*.sql"))
    return [file.read_text(encoding="utf-8") for file in files]


def newest_version() -> int:
    return FIRST_VERSION + len(migrations()) - 1


def is_current(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file needs no migration. Raises StoreError if it is no store of dbtend, or of a newer version."""
    known = newest_version()
    # Another process may create the store between two of these: its tables come with its mark.
    has_tables = connection.execute("SELECT 1 FROM main.sqlite_schema LIMIT 1").fetchone() is not None
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if has_tables and application_id != APPLICATION_ID:
        raise StoreError(path, "is a database, but not a store of dbtend", "give another path with --store")
    if has_tables and version < FIRST_VERSION:
        why = f"was made by a dbtend before the first release (store version {version}, not {FIRST_VERSION} or later)"
        raise StoreError(path, why, "move it away to start a new one, or give another path with --store")
    if version > known:
        raise StoreError(
            path,
            f"was written by a newer dbtend (store version {version}, this one knows {known})",
            "upgrade dbtend, or give another path with --store",
        )
    if version != known:
        return False
    there = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'trigger'")}
    if missing := sorted(_names_of_triggers() - there):
        why = f"is damaged, or was changed by hand: its trigger {missing[0]} is missing"
        raise StoreError(path, why, "move it away to start a new one, or restore it from a backup")
    return True


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Upgrade the file to the current schema; the caller begins and commits the transaction.

    Does nothing if another process has upgraded it. Raises as `is_current` does.
    """
    if is_current(connection, path):
        return
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    drop_triggers(connection)  # they would block replacing a table that they write to
    for sql in migrations()[max(version - FIRST_VERSION + 1, 0) :]:
        for statement in statements(sql):
            connection.execute(statement)
    for sql in triggers():
        connection.execute(sql)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {newest_version()}")


def statements(script: str) -> Iterator[str]:
    """Split a script into statements: `executescript` would commit the transaction it runs in."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def drop_triggers(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")


def triggers() -> list[str]:
    """The rules for all code paths: closed vocabulary, legal transitions, one event for each transition."""
    return [
        *_rules("parent_job", {"engine": "NEW.engine NOT GLOB '[a-z]*'"}, PARENT_TRANSITIONS),
        *_rules("child_job", _unknown({"operation": Operation, "reason": Reason}), CHILD_TRANSITIONS),
        *_rules("firing", _unknown({"status": FiringStatus, "reason": FiringReason})),
        _event("parent_job", "created", "INSERT", "1", old="NULL"),
        _event("child_job", "created", "INSERT", "1", old="NULL"),
        _event("parent_job", "moved", "UPDATE OF status", "OLD.status <> NEW.status", old="OLD.status"),
        _event("child_job", "moved", "UPDATE OF status", "OLD.status <> NEW.status", old="OLD.status"),
        _event(
            "child_job",
            "cancel_requested",
            "UPDATE OF cancel_requested_at",
            "OLD.cancel_requested_at IS NULL AND NEW.cancel_requested_at IS NOT NULL AND NEW.status = 'running'",
            old="OLD.status",
            kind="cancel_requested",
        ),
        _event(
            "child_job",
            "released",
            "UPDATE OF reserved_by",
            "OLD.reserved_by IS NOT NULL AND NEW.reserved_by IS NULL AND NEW.status = 'pending'",
            old="OLD.status",
            kind="released",
        ),
        _event(
            "child_job",
            "let_go",
            "UPDATE OF held",
            "OLD.held = 1 AND NEW.held = 0 AND NEW.status = 'pending'",
            old="OLD.status",
            kind="released",
        ),
        "CREATE TRIGGER child_job_ran AFTER UPDATE OF finished_at ON child_job"
        " WHEN OLD.status <> NEW.status AND NEW.finished_at IS NOT NULL AND NEW.status <> 'skipped' BEGIN"
        " INSERT INTO last_run (target, operation, status, reason, started_at, finished_at, completed_at, ran_at)"
        " SELECT target, NEW.operation, NEW.status, NEW.reason, NEW.started_at, NEW.finished_at,"
        " iif(NEW.status = 'completed' AND NEW.reason IS NULL, NEW.finished_at, NULL),"
        " iif(NEW.attempt > 0, NEW.finished_at, NULL)"
        " FROM parent_job WHERE id = NEW.parent_id"
        " ON CONFLICT DO UPDATE SET status = excluded.status, reason = excluded.reason,"
        " started_at = excluded.started_at, finished_at = excluded.finished_at,"
        " completed_at = coalesce(excluded.completed_at, completed_at),"
        " ran_at = coalesce(excluded.ran_at, ran_at); END",
        # With the last job of a target its last runs are removed,
        "CREATE TRIGGER parent_job_forgotten AFTER DELETE ON parent_job BEGIN"
        " DELETE FROM last_run WHERE target = OLD.target"
        " AND NOT EXISTS (SELECT 1 FROM parent_job WHERE target = OLD.target); END",
        # and with the last job of a batch the batch.
        "CREATE TRIGGER parent_job_removed AFTER DELETE ON parent_job WHEN OLD.batch_id IS NOT NULL BEGIN"
        " DELETE FROM batch WHERE id = OLD.batch_id"
        " AND NOT EXISTS (SELECT 1 FROM parent_job WHERE batch_id = OLD.batch_id); END",
    ]


def _names_of_triggers() -> set[str]:
    return {sql.split()[2] for sql in triggers()}


def _rules(table: str, wrong: Mapping[str, str], transitions: Transitions | None = None) -> Iterator[str]:
    """What a column may hold, and the life of a job: one trigger for each kind of write, as each costs time.

    `wrong`: the condition for a value that a column may not have.
    """
    closed = {f"unknown {column}": condition for column, condition in wrong.items()}
    born = {} if transitions is None else {"a job begins pending": "NEW.status <> 'pending'"}
    moves = {} if transitions is None else {"illegal transition": _is_illegal(transitions)}
    yield _refusal(f"{table}_begins", f"INSERT ON {table}", born | closed)
    columns = dict.fromkeys([*wrong, *(["status"] if transitions else [])])
    yield _refusal(f"{table}_changes", f"UPDATE OF {', '.join(columns)} ON {table}", moves | closed)


def _refusal(name: str, on: str, errors: Mapping[str, str]) -> str:
    raised = " ".join(f"WHEN {condition} THEN RAISE(ABORT, '{error}')" for error, condition in errors.items())
    return f"CREATE TRIGGER {name} AFTER {on} WHEN {' OR '.join(errors.values())} BEGIN SELECT CASE {raised} END; END"


def _unknown(vocabularies: Mapping[str, type[StrEnum]]) -> dict[str, str]:
    return {column: _is_unknown(column, words) for column, words in vocabularies.items()}


def _is_unknown(column: str, vocabulary: type[StrEnum]) -> str:
    # For an IN list SQLite would build a temporary b-tree at every write.
    differs = " AND ".join(f"NEW.{column} <> '{word}'" for word in vocabulary)
    return f"(NEW.{column} IS NOT NULL AND {differs})"


def _is_illegal(transitions: Transitions) -> str:
    legal = " OR ".join(
        f"OLD.status = '{old}' AND NEW.status = '{new}'" for old, news in transitions.items() for new in sorted(news)
    )
    return f"(OLD.status <> NEW.status AND NOT ({legal}))"


def _event(table: str, name: str, on: str, when: str, *, old: str, kind: str = "status") -> str:
    job = "NEW.id, NULL" if table == "parent_job" else "NEW.parent_id, NEW.ordinal"
    attempt = "0" if table == "parent_job" else "NEW.attempt"
    return (
        f"CREATE TRIGGER {table}_{name} AFTER {on} ON {table} WHEN {when} BEGIN"
        f" INSERT INTO event (at, parent_id, ordinal, kind, old, new, attempt)"
        f" VALUES (NEW.changed_at, {job}, '{kind}', {old}, NEW.status, {attempt}); END"
    )
