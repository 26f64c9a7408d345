"""A store with years of history, for benchmarks: python -m benchmarks.big_store PATH [--parents 1000000]

It is written past the triggers and indexes, which are made when all is there; then it is a store like any other.
The same numbers give the same store.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from engine.domain.requests import Operation
from engine.store.sqlite import connections, schema

PARENTS: Final = 1_000_000
TARGETS: Final = 200
END: Final = 1_790_000_000_000_000
"""The last job's time, in microseconds."""
SPAN: Final = 3 * 365 * 86_400 * 1_000_000
STEPS_OF_NEWEST: Final = 10_000
"""So many of the newest parents come with steps and log."""
BATCH: Final = 50
"""The parents of a batch; every fourth group of so many is one."""
SHARES: Final = {"completed": 92, "failed": 5, "cancelled": 3}

USUAL: Final = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE)
NIGHTLY: Final = (Operation.CHECK, Operation.BACKUP, Operation.ANALYZE, Operation.OPTIMIZE)
SMALL: Final = (Operation.CHECKPOINT, Operation.INCREMENTAL_VACUUM, Operation.ANALYZE, Operation.OPTIMIZE)
RARE: Final = (Operation.CHECK, Operation.FTS_OPTIMIZE, Operation.ANALYZE, Operation.OPTIMIZE)
LISTS: Final = (USUAL, NIGHTLY, SMALL, RARE)
WEIGHTS: Final = (800, 150, 45, 5)
NAMES: Final = ("sales", "orders", "billing", "warehouse", "catalog", "sessions", "metrics", "audit")
ERRORS: Final = (
    "database or disk is full",
    "database is locked: another process holds a write lock (pid {n})",
    "UNIQUE constraint failed: item_{n}.note",
    "disk I/O error while reading page {n}",
    "{n} of 9 steps failed: orders_{n}: no such collation sequence: german",
    "the file system has 1.{n} GB free, and 3.{n} GB are needed",
    "attempt to write a readonly database",
    "its process died: pid {n} on db{n}",
)
WARNING: Final = json.dumps(["the log could not be emptied: a reader is at its beginning"])
OPTIONS: Final = '{"lock_timeout": 5.0, "on_failure": "continue"}'

PARENT = """INSERT INTO parent_job (id, target, target_key, engine, operations, options, status, created_at, changed_at,
    started_at, finished_at) VALUES (?, ?, ?, 'sqlite', ?, ?, ?, ?, ?, ?, ?)"""
CHILD = """INSERT INTO child_job (parent_id, ordinal, target_key, operation, status, reason, error, warnings, attempt,
    changed_at, started_at, finished_at, fraction, object, steps_done, steps_total, before, after)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'main', 1, 1, ?, ?)"""
STEPS = """INSERT INTO step
    (parent_id, ordinal, attempt, number, object, command, status, started_at, finished_at, error)
    SELECT parent_id, ordinal, 1, 1, 'main', upper(operation), status, started_at, finished_at, error FROM child_job
    WHERE parent_id > :after AND started_at IS NOT NULL"""
BATCHES = f"""INSERT INTO batch (id, created_at)
    SELECT id / {BATCH}, min(created_at) FROM parent_job WHERE id / {BATCH} % 4 = 3 GROUP BY 1"""
OF_BATCHES = f"UPDATE parent_job SET batch_id = id / {BATCH} WHERE id / {BATCH} % 4 = 3"
LOG = """INSERT INTO log (parent_id, ordinal, attempt, number, at, level, message)
    SELECT parent_id, ordinal, 1, 1, started_at, 'info', 'main begun' FROM child_job
    WHERE parent_id > :after AND started_at IS NOT NULL"""
INDEXES = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"

Row = tuple[Any, ...]


def target_of(number: int) -> str:
    return f"sqlite:///srv/db{number % 25}/{NAMES[number % len(NAMES)]}_{number}.db"


def build(path: Path, parents: int = PARENTS) -> None:
    """Write a store of so many parents with four children each to a file that is not there yet."""
    connections.create_file(path)
    with closing(connections.connect_writer(path)) as store:
        store.execute("PRAGMA synchronous = OFF")
        store.execute("PRAGMA cache_size = -262144")
        store.execute("PRAGMA foreign_keys = OFF")
        schema.drop_triggers(store)
        indexes = store.execute(INDEXES).fetchall()
        store.execute("BEGIN")
        for name, _ in indexes:
            store.execute(f"DROP INDEX {name}")
        _fill(store, parents)
        for _, sql in indexes:
            store.execute(sql)
        for sql in schema.triggers():
            store.execute(sql)
        store.execute("COMMIT")
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill(store: sqlite3.Connection, parents: int) -> None:
    chance = random.Random(parents)
    sizes = [10 ** chance.uniform(7, 11) for _ in range(TARGETS)]
    for first in range(1, parents + 1, 10_000):
        children: list[Row] = []
        numbers = range(first, min(first + 10_000, parents + 1))
        store.executemany(PARENT, [_job(number, parents, chance, sizes, children) for number in numbers])
        store.executemany(CHILD, children)
    store.execute(BATCHES)
    store.execute(OF_BATCHES)
    for sql in (STEPS, LOG):
        store.execute(sql, {"after": parents - STEPS_OF_NEWEST})


def _job(number: int, parents: int, chance: random.Random, sizes: list[float], children: list[Row]) -> Row:
    at = chance.randrange(TARGETS)
    target, created = target_of(at), END - SPAN + SPAN // parents * number
    (status,) = chance.choices(list(SHARES), list(SHARES.values()))
    (operations,) = chance.choices(LISTS, WEIGHTS)
    sizes[at] *= 1 + chance.uniform(-0.0004, 0.0006)
    now = created + chance.randrange(1_000, 3_000_000)
    ends_at = chance.randrange(4)
    for ordinal, child in enumerate(_children(operations, status, ends_at, sizes[at], now, chance), 1):
        children.append((number, ordinal, target, *child))
        now = child[8] or now
    names = json.dumps(operations)
    return number, target, target, names, OPTIONS, status, created, now, created + 1_000, now


def _children(
    operations: tuple[Operation, ...], status: str, ends_at: int, size: float, now: int, chance: random.Random
) -> Iterator[Row]:
    """The columns of CHILD from `operation` on; `ends_at` is the child that failed or was cancelled."""
    for place, operation in enumerate(operations):
        if status == "cancelled" and place > ends_at:
            yield operation, "cancelled", "cancelled_by_user", None, "[]", 0, now, None, now, None, None, None
            continue
        ended, reason, error, warnings = "completed", None, None, "[]"
        if place == ends_at and status == "failed":
            ended, reason = "failed", "operation_error"
            error = chance.choice(ERRORS).format(n=chance.randrange(1, 500))
        elif place == ends_at and status == "cancelled":
            ended, reason = "cancelled", "cancelled_by_user"
        elif operation is Operation.FTS_OPTIMIZE:
            yield (
                operation,
                "skipped",
                "not_needed",
                "there is no full-text index (FTS5)",
                "[]",
                0,
                now,
                None,
                now,
                None,
                None,
                None,
            )
            continue
        elif chance.random() < 0.02:
            warnings = WARNING
        seconds = size / chance.uniform(5e7, 2e8) * (1 if operation is Operation.VACUUM else 0.2)
        began, now = now, now + int(seconds * 1e6) + 1_000
        freed = size * chance.uniform(0.02, 0.3) if operation is Operation.VACUUM else 0
        before, after = (f'{{"size": {int(it)}}}' for it in (size, size - freed))
        yield operation, ended, reason, error, warnings, 1, now, began, now, 1.0, before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("path", type=Path)
    parser.add_argument("--parents", type=int, default=PARENTS)
    options = parser.parse_args()
    begin = time.perf_counter()
    build(options.path, options.parents)
    size = options.path.stat().st_size
    print(f"{options.parents:,} parents in {time.perf_counter() - begin:.0f} s, {size / 1e6:,.0f} MB: {options.path}")


if __name__ == "__main__":
    main()
