"""The operations on a DuckDB file. While one process has it open for writing, no other opens it at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.requests import Operation
from engine.targets.lock_impact import Lock, LockImpact
from engine.targets.operation_specs import OperationSpec

_EVERYONE: Final = Lock(LockImpact.EVERYONE)
_WRITERS: Final = Lock(LockImpact.WRITERS)

SPECS: Final[Mapping[Operation, OperationSpec]] = {
    Operation.CHECKPOINT: OperationSpec(
        summary="writes the write-ahead log back into the file, and frees the blocks of deleted rows",
        lock=_EVERYONE,
        after_cancel="the log is written back whole, or stays as it is",
        by_object=False,
        in_turns=False,
    ),
    Operation.ANALYZE: OperationSpec(
        summary="renews the statistics of all tables",
        lock=_EVERYONE,
        after_cancel="nothing changed",
        by_object=False,
        in_turns=False,
    ),
    Operation.COMPACT: OperationSpec(
        summary="puts a compact copy in place of the file, once its content has been compared",
        lock=_EVERYONE,
        after_cancel="nothing changed",
        by_object=False,
        in_turns=False,
    ),
    Operation.CHECK: OperationSpec(
        summary="reads all of every table, and so checks each block by its checksum",
        lock=_WRITERS,
        after_cancel="a check changes nothing",
        writes=False,
    ),
    Operation.BACKUP: OperationSpec(
        summary="copies the file, byte for byte, and compares the content of the copy",
        lock=_WRITERS,
        after_cancel="nothing is left of the copy",
        writes=False,
        by_object=False,
        in_turns=False,
    ),
}
DEFAULT_OPERATIONS: Final = (Operation.CHECKPOINT, Operation.ANALYZE)
