"""Which steps a backup takes: pure functions of what the database says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.jobs import Operation
from engine.targets.sqlite.connection.names import literal
from engine.targets.sqlite.planning import costs
from engine.targets.sqlite.planning.offer import BLOCKS_NOBODY, OFFERS
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.system.space import Need
from engine.words import size

if TYPE_CHECKING:
    from engine.targets.sqlite.reading.catalog import Summary


def backup_steps(summary: Summary, destination: str, unfinished: str) -> list[SqliteStep]:
    """`unfinished`: what the copy is called until it has been checked."""
    offer = OFFERS[Operation.BACKUP]
    need = Need(str(Path(destination).parent), summary.used, "the copy")
    copy = SqliteStep(
        method=Method.COPY,
        object="main",
        command=f"VACUUM main INTO {literal(unfinished)}",
        reason=f"copies {size(summary.used)}, without free pages",
        lock=offer.lock(wal=summary.is_wal),
        after_cancel=offer.after_cancel,
        disk_needed=need.bytes,
        estimate=costs.copy(summary.used).seconds,
        needs=(need,),
        volume=summary.used,
        destination=destination,
    )
    check = replace(
        copy,
        method=Method.COPY_CHECK,
        object=Path(destination).name,
        command="PRAGMA main.quick_check",
        reason=f"checks the copy, which is called {Path(destination).name} from then on",
        lock=BLOCKS_NOBODY,
        disk_needed=None,
        estimate=costs.copy_check(summary.used).seconds,
        needs=(),
        volume=0,
    )
    return [copy, check]
