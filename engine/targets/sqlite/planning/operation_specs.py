"""The operations on SQLite, as a DBA reads them before choosing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.domain.requests import Operation
from engine.targets.lock_impact import NO_LOCK, Lock, LockImpact
from engine.targets.operation_specs import OperationSpec

BLOCKS_NOBODY: Final = NO_LOCK
BLOCKS_WRITERS: Final = Lock(LockImpact.WRITERS)
BLOCKS_WRITERS_AND_THOSE_BEHIND: Final = Lock(LockImpact.READERS_BEHIND_A_WRITER)
BLOCKS_EVERYONE: Final = Lock(LockImpact.EVERYONE)
BLOCKS_READERS_AT_END: Final = Lock(LockImpact.READERS_AT_THE_END)
BLOCKS_WRITERS_BRIEFLY: Final = Lock(LockImpact.NONE, momentary=LockImpact.WRITERS)
BLOCKS_READERS_BRIEFLY: Final = Lock(LockImpact.NONE, momentary=LockImpact.READERS_AT_THE_END)
CHECKED_IN_PARTS: Final = 32_000_000
"""Bytes of database: below that one check of the whole is over in a moment."""
SPECS: Final[Mapping[Operation, OperationSpec]] = {
    Operation.VACUUM: OperationSpec(
        summary="rewrites the file without free pages, so that it shrinks",
        lock=BLOCKS_WRITERS,
        after_cancel="nothing changed while it copies; once it writes back, it cannot stop",
        after_cancel_of_swap="nothing changed; the unfinished copy is removed",
        by_object=False,
        in_turns=False,
    ),
    Operation.ANALYZE: OperationSpec(
        summary="collects statistics on tables and indexes for the query planner",
        lock=BLOCKS_WRITERS,
        after_cancel="the tables done so far have new statistics, the others their old ones",
    ),
    Operation.REINDEX: OperationSpec(
        summary="rebuilds every index from its table",
        lock=BLOCKS_WRITERS,
        after_cancel="the indexes rebuilt so far stay rebuilt, the others are unchanged",
    ),
    Operation.OPTIMIZE: OperationSpec(
        summary="renews the statistics of the tables that need it",
        lock=BLOCKS_WRITERS,
        after_cancel="the old statistics stay",
        by_object=False,
        in_turns=False,
    ),
    Operation.CHECK: OperationSpec(
        summary="looks for damage: in the file, in indexes, in constraints and foreign keys",
        lock=BLOCKS_NOBODY,
        after_cancel="a check changes nothing",
        writes=False,
    ),
    Operation.CHECKPOINT: OperationSpec(
        summary="writes the write-ahead log back into the file, and empties it",
        lock=BLOCKS_WRITERS,
        after_cancel="pages written back so far stay written back",
        by_object=False,
        in_turns=False,
    ),
    Operation.INCREMENTAL_VACUUM: OperationSpec(
        summary="gives free pages back little by little, where auto_vacuum is incremental",
        lock=BLOCKS_WRITERS_BRIEFLY,
        after_cancel="the pages given back so far stay given back",
        by_object=False,
        in_turns=False,
    ),
    Operation.FTS_OPTIMIZE: OperationSpec(
        summary="merges the segments of full-text indexes (FTS5), step by step",
        lock=BLOCKS_WRITERS_BRIEFLY,
        after_cancel="the merges done so far stay done",
        by_object=False,
    ),
    Operation.BACKUP: OperationSpec(
        summary="writes a compact, checked copy into a new file",
        lock=BLOCKS_NOBODY,
        after_cancel="the unfinished copy is removed",
        writes=False,
        by_object=False,
        in_turns=False,
    ),
}
"""With the lock in WAL mode."""
ROLLBACK_JOURNAL_LOCKS: Final[Mapping[Operation, Lock]] = {
    Operation.VACUUM: BLOCKS_EVERYONE,
    Operation.ANALYZE: BLOCKS_READERS_AT_END,
    Operation.REINDEX: BLOCKS_READERS_AT_END,
    Operation.OPTIMIZE: BLOCKS_READERS_AT_END,
    Operation.CHECK: BLOCKS_WRITERS_AND_THOSE_BEHIND,
    Operation.CHECKPOINT: BLOCKS_NOBODY,
    Operation.INCREMENTAL_VACUUM: BLOCKS_READERS_BRIEFLY,
    Operation.FTS_OPTIMIZE: BLOCKS_READERS_BRIEFLY,
    Operation.BACKUP: BLOCKS_WRITERS_AND_THOSE_BEHIND,
}
"""The locks where the database is not in WAL mode."""
DEFAULT_OPERATIONS: Final = (Operation.VACUUM, Operation.ANALYZE)
"""No REINDEX, as VACUUM packs indexes too; no optimize, as ANALYZE renews all statistics."""


def lock_of(operation: Operation, *, wal: bool) -> Lock:
    return SPECS[operation].lock if wal else ROLLBACK_JOURNAL_LOCKS[operation]


def remarks(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Warnings about the order of these operations."""
    return (*_on_reindex(operations), *_on_optimize(operations))


def _on_reindex(operations: Sequence[Operation]) -> tuple[str, ...]:
    if not {Operation.VACUUM, Operation.REINDEX} <= set(operations):
        return ()
    first = operations.index(Operation.REINDEX) < operations.index(Operation.VACUUM)
    if first:
        return ("VACUUM packs the indexes too: REINDEX before it helps only if a check found a damaged index",)
    return (
        "REINDEX after VACUUM repeats work: VACUUM packs the indexes already. "
        "If a check found a damaged index, run REINDEX first",
    )


def _on_optimize(operations: Sequence[Operation]) -> tuple[str, ...]:
    if not {Operation.ANALYZE, Operation.OPTIMIZE} <= set(operations):
        return ()
    if operations.index(Operation.ANALYZE) < operations.index(Operation.OPTIMIZE):
        return ("optimize after ANALYZE has nothing to do: ANALYZE renews all statistics",)
    return ("ANALYZE renews all statistics: optimize before it repeats work",)
