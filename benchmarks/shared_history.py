"""A long history in a shared store, and how long its pages take."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import psycopg

from engine.domain.events import HistoryFilter
from engine.domain.job_outcomes import JobOutcome
from engine.store.postgres.store import PostgresStore

PAGE: Final = 50
_INDEXES: Final = """SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN ('parent_job'::regclass, 'child_job'::regclass) AND NOT indisprimary"""
_ROWS: Final = """INSERT INTO parent_job (target, target_key, queue, engine, operations, options, status, created_at,
    changed_at, started_at, finished_at)
SELECT 'sqlite://h/t' || n % 1000, 't' || n % 1000, 'any', 'sqlite', '["vacuum"]', '{{}}',
    CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END, n * 1000000, n * 1000000,
    n * 1000000, n * 1000000 + 500000
FROM generate_series(1::bigint, {parents}) AS n;
INSERT INTO child_job (parent_id, ordinal, target_key, queue, operation, status, attempt, max_attempts, changed_at,
    started_at, finished_at)
SELECT id, 1, target_key, queue, 'vacuum', status, 1, 3, changed_at, started_at, finished_at FROM parent_job"""
FILTERS: Final[Mapping[str, HistoryFilter]] = {
    "all": HistoryFilter(),
    "of a target": HistoryFilter(target="sqlite://h/t7"),
    "failed": HistoryFilter(status=JobOutcome.FAILED),
}


def fill(admin: psycopg.Connection[Any], parents: int) -> None:
    """Of a thousand targets; each fiftieth has failed."""
    admin.execute("SET statement_timeout = 0")
    admin.execute("SET session_replication_role = replica")  # no triggers
    indexes = admin.execute(_INDEXES).fetchall()
    for drop, _ in indexes:
        admin.execute(drop)
    admin.execute(_ROWS.format(parents=parents).encode())
    for _, create in indexes:
        admin.execute(create)
    admin.execute("SET session_replication_role = origin")
    admin.execute("VACUUM ANALYZE parent_job, child_job")


async def history_pages(
    store: PostgresStore, parents: int
) -> AsyncIterator[tuple[str, Sequence[float], Sequence[float]]]:
    """By filter, the milliseconds of pages from all over the history, and those of a processor in this process."""
    for name, where in FILTERS.items():
        times, at_work = [], []
        for before in [None, *range(parents, parents // 10, -(parents // 20))]:
            begin, used = time.perf_counter(), time.process_time()
            await store.history(where, before=before, limit=PAGE)
            times.append((time.perf_counter() - begin) * 1e3)
            at_work.append((time.process_time() - used) * 1e3)
        yield name, times, at_work
