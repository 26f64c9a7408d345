"""The operations on PostgreSQL: summary, lock and the effect of a cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.domain.requests import Operation, ServerOptions
from engine.targets.lock_impact import (
    BLOCKS_EVERYONE,
    BLOCKS_EVERYONE_BRIEFLY,
    BLOCKS_MAINTENANCE,
    BLOCKS_NOBODY,
    Lock,
    LockImpact,
    LockScope,
)
from engine.targets.operation_specs import OperationSpec

BLOCKS_WRITERS: Final = Lock(LockImpact.MOST_READERS, LockScope.TABLE)
_OFFLINE: Final = "with --offline blocks writers, and nearly all readers, of each table"

SPECS: Final[Mapping[Operation, OperationSpec]] = {
    Operation.VACUUM: OperationSpec(
        summary="removes dead rows, and keeps transaction ids from running out",
        lock=BLOCKS_EVERYONE_BRIEFLY,
        after_cancel="the pages done so far stay clean",
    ),
    Operation.ANALYZE: OperationSpec(
        summary="collects statistics for the query planner",
        lock=BLOCKS_MAINTENANCE,
        after_cancel="the old statistics stay",
    ),
    Operation.REINDEX: OperationSpec(
        summary="rebuilds every index, one by one, concurrently",
        lock=BLOCKS_MAINTENANCE,
        after_cancel="the old index stays; the unfinished copy is dropped",
        needs_confirmation_offline=_OFFLINE,
    ),
    Operation.OPTIMIZE: OperationSpec(
        summary="does exactly what the advice calls for: VACUUM, ANALYZE, REINDEX, leftovers",
        lock=BLOCKS_EVERYONE_BRIEFLY,
        after_cancel="completed steps stay",
        needs_confirmation_offline=_OFFLINE,
    ),
    Operation.CHECK: OperationSpec(
        summary="looks for damage in tables and B-trees (amcheck)",
        lock=BLOCKS_NOBODY,
        after_cancel="nothing is ever changed",
        writes=False,
    ),
    Operation.CLEAN_LEFTOVERS: OperationSpec(
        summary="drops what an interrupted REINDEX CONCURRENTLY or pg_repack left behind",
        lock=BLOCKS_MAINTENANCE,
        after_cancel="the invalid index stays",
    ),
    Operation.REPACK: OperationSpec(
        summary="rewrites tables without their dead space while they are in use, and analyzes them",
        lock=BLOCKS_EVERYONE_BRIEFLY,
        after_cancel="nothing changed",
    ),
    Operation.VACUUM_FULL: OperationSpec(
        summary="rewrites tables without their dead space, and all their indexes, and analyzes them",
        lock=BLOCKS_EVERYONE,
        after_cancel="nothing changed",
        is_repeatable=False,
        needs_confirmation="blocks all access to each table while it is rewritten",
    ),
    Operation.CLUSTER: OperationSpec(
        summary="rewrites tables in the order of the index they are clustered on, and analyzes them",
        lock=BLOCKS_EVERYONE,
        after_cancel="nothing changed",
        is_repeatable=False,
        needs_confirmation="blocks all access to each table while it is rewritten",
    ),
}
DEFAULT_OPERATIONS: Final = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE)
REWRITES: Final = frozenset({Operation.VACUUM_FULL, Operation.CLUSTER, Operation.REPACK})
OF_CATALOGS: Final = frozenset({Operation.REINDEX, Operation.VACUUM_FULL})
"""The operations that can work on the catalog itself."""
LOCKS_CATALOG: Final = "with --system locks each table of the catalog: all sessions of the database may have to wait"


def conflict_level(operation: Operation, options: ServerOptions) -> str:
    """The sessions that an operation conflicts with: a key of `reading.locks.CONFLICTS`."""
    if operation in {Operation.REINDEX, Operation.OPTIMIZE} and not options.is_concurrent:
        return "writers"
    return "everybody" if SPECS[operation].lock.impact is LockImpact.EVERYONE else "maintenance"


def remarks(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Remarks on a list of operations: redundant ones."""
    warnings = []
    rewrites = [name for name in operations if name in REWRITES]
    if rewrites and Operation.REINDEX in operations:
        warnings.append(f"{rewrites[0]} also rebuilds the indexes of its tables; reindex would repeat that")
    if rewrites and Operation.ANALYZE in operations:
        warnings.append(f"{rewrites[0]} also analyzes its tables; analyze would repeat that")
    return tuple(warnings)
