"""Which steps an operation takes, and why: pure functions of what the database says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.jobs import Operation
from engine.targets.base import OperationInfo, PlannedStep
from engine.targets.sqlite.catalog import Index, Summary, Table
from engine.targets.sqlite.names import quote
from engine.words import counted, size

CHECKPOINT: Final = "PRAGMA main.wal_checkpoint(TRUNCATE)"
# All tables, analysed with a limit so that it stays short on big ones.
OPTIMIZE: Final = "PRAGMA optimize=0x10012"

DEFAULT_OPERATIONS: Final = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE)

_SUMMARIES: Final = {
    Operation.VACUUM: "rewrites the file without free pages, so that it shrinks",
    Operation.ANALYZE: "collects statistics on tables and indexes for the query planner",
    Operation.REINDEX: "rebuilds every index from its table",
    Operation.OPTIMIZE: "renews the statistics of the tables that need it",
}
_ROLLBACK_LOCKS: Final = {
    Operation.VACUUM: "blocks everyone",
    Operation.ANALYZE: "blocks writers, and readers at the end",
    Operation.REINDEX: "blocks everyone",
    Operation.OPTIMIZE: "blocks writers, and readers at the end",
}


def operation_infos(wal: bool) -> tuple[OperationInfo, ...]:
    return tuple(
        OperationInfo(operation=operation, summary=_SUMMARIES[operation], lock=_lock(operation, wal))
        for operation in DEFAULT_OPERATIONS
    )


def vacuum_steps(summary: Summary, *, shared_file_system: bool) -> tuple[PlannedStep, ...]:
    """`shared_file_system`: temporary files go where the database is, so both copies need space there."""
    used = (summary.pages - summary.free_pages) * summary.page_size
    vacuum = PlannedStep(
        object="main",
        command="VACUUM",
        reason=_free_pages(summary),
        lock=_lock(Operation.VACUUM, summary.is_wal),
        disk_needed=used * (2 if shared_file_system else 1),
    )
    if not summary.is_wal:
        return (vacuum,)
    checkpoint = PlannedStep(
        object="main",
        command=CHECKPOINT,
        reason="in WAL mode the file shrinks when the log has been written back to it",
        lock="blocks writers",
        completes_previous=True,
    )
    return (vacuum, checkpoint)


def analyze_steps(tables: Sequence[Table], *, wal: bool) -> tuple[PlannedStep, ...]:
    lock = _lock(Operation.ANALYZE, wal)
    if not tables:
        reason = "there is no table, so there is nothing to collect"
        return (PlannedStep(object="main", command="ANALYZE main", reason=reason, lock=lock),)
    return tuple(
        PlannedStep(
            object=table.name, command=f"ANALYZE main.{quote(table.name)}", reason=_statistics(table), lock=lock
        )
        for table in tables
    )


def reindex_steps(indexes: Sequence[Index], *, wal: bool) -> tuple[PlannedStep, ...]:
    """One step per index, so that each has its own outcome. The schema is named because a bare
    `REINDEX "nocase"` would rebuild by collation and leave an index of that name alone."""
    lock = _lock(Operation.REINDEX, wal)
    if not indexes:
        reason = "there is no index, so there is nothing to rebuild"
        return (PlannedStep(object="main", command="REINDEX", reason=reason, lock=lock),)
    return tuple(
        PlannedStep(
            object=index.name,
            command=f"REINDEX main.{quote(index.name)}",
            reason=f"{'PRIMARY KEY or UNIQUE' if index.automatic else 'index'} of table {index.table}",
            lock=lock,
        )
        for index in indexes
    )


def optimize_steps(tables: Sequence[Table], *, wal: bool) -> tuple[PlannedStep, ...]:
    unknown = sum(table.rows is None for table in tables)
    reason = f"{unknown:,} of {counted(len(tables), 'table')} without statistics; renews what is missing or stale"
    return (PlannedStep(object="main", command=OPTIMIZE, reason=reason, lock=_lock(Operation.OPTIMIZE, wal)),)


def _lock(operation: Operation, wal: bool) -> str:
    return "blocks writers" if wal else _ROLLBACK_LOCKS[operation]


def _free_pages(summary: Summary) -> str:
    if not summary.free_pages:
        return "no page is free; only partly filled pages can be packed"
    share = summary.free_pages / summary.pages
    percent = "less than 1%" if share < 0.01 else f"{share:.0%}"
    return f"{percent} of the pages are free ({size(summary.free_pages * summary.page_size)})"


def _statistics(table: Table) -> str:
    known = "no statistics yet" if table.rows is None else f"statistics from when it had {table.rows:,} rows"
    return f"{counted(table.indexes, 'index')}, {known}"
