"""The operations on MariaDB and MySQL: summary, lock and the effect of a cancel."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from engine.domain.requests import Operation
from engine.targets.lock_impact import (
    BLOCKS_EVERYONE,
    BLOCKS_EVERYONE_BRIEFLY,
    BLOCKS_MAINTENANCE,
    BLOCKS_NOBODY,
    NO_LOCK,
    Lock,
    LockImpact,
    LockScope,
)
from engine.targets.mysql.connection.server import RECOVERY
from engine.targets.operation_specs import OperationSpec

BLOCKS_WRITERS: Final = Lock(LockImpact.WRITERS, LockScope.TABLE, momentary=LockImpact.EVERYONE)
_OFFLINE: Final = "with --offline blocks writers of each table that cannot be rebuilt online"

SPECS: Final[Mapping[Operation, OperationSpec]] = {
    Operation.ANALYZE: OperationSpec(
        summary="collects statistics and histograms for the query optimizer",
        lock=BLOCKS_MAINTENANCE,
        after_cancel="the old statistics stay",
    ),
    Operation.OPTIMIZE: OperationSpec(
        summary="does exactly what the advice calls for: ANALYZE and rebuilds",
        lock=BLOCKS_EVERYONE_BRIEFLY,
        after_cancel="completed steps stay",
        needs_confirmation_offline=_OFFLINE,
    ),
    Operation.REBUILD: OperationSpec(
        summary="rebuilds tables with their indexes, online, and gives their free space back",
        lock=BLOCKS_EVERYONE_BRIEFLY,
        after_cancel="nothing changed",
        needs_confirmation_offline=_OFFLINE,
        stands_for=(
            Operation.VACUUM,
            Operation.VACUUM_FULL,
            Operation.INCREMENTAL_VACUUM,
            Operation.REINDEX,
            Operation.CLUSTER,
        ),
    ),
    Operation.CHECK: OperationSpec(
        summary="looks for damage in tables and indexes, and for rows without their parent",
        lock=BLOCKS_NOBODY,
        after_cancel="nothing changed, except that damaged tables of MyISAM and Aria are marked as crashed",
        writes=False,
    ),
    Operation.REPAIR: OperationSpec(
        summary="repairs damaged tables of MyISAM and Aria",
        lock=BLOCKS_EVERYONE,
        after_cancel="it is not stopped: that would leave the table crashed",
        is_repeatable=False,
        needs_confirmation="rewrites each table in place, without the rows that cannot be read, and blocks all access"
        " until it ends; copy the files of the table first",
    ),
    Operation.PURGE_UNDO: OperationSpec(
        summary="MySQL only: empties undo tablespaces and gives their space back",
        lock=NO_LOCK,
        after_cancel="the undo tablespaces stay unchanged",
        is_repeatable=False,
        by_object=False,
        in_turns=False,
    ),
}
DEFAULT_OPERATIONS: Final = (Operation.CHECK, Operation.ANALYZE, Operation.OPTIMIZE)


def recovery(engine: str, how: str) -> str:
    """What the server does to a crashed table. `how`: see `Server.recovers`."""
    what = f"When a crashed table of {engine} is opened, the server repairs it by itself"
    return f"{what} ({RECOVERY[engine]}={how})"


ENDS_SERVER: Final = "a damaged page of an InnoDB table ends mysqld, and with it all sessions"
"""What a check may lead to on MySQL."""


def recovery_remarks(engines: Collection[str], recovers: Mapping[str, str]) -> tuple[str, ...]:
    """What a check of tables of these engines may lead to."""
    marks = "a check marks a table that it finds damaged as crashed"
    return tuple(f"{marks}. {recovery(engine, how)}" for engine, how in recovers.items() if engine in engines)
