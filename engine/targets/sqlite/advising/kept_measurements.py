"""What a look at everything finds out of a database, kept as long as nobody writes to it: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.domain.frozen import frozen
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.condition import Packing, Statistics
from engine.targets.sqlite.advising.space_advice import packing_of
from engine.targets.sqlite.advising.statistics_advice import change

if TYPE_CHECKING:
    from engine.targets.sqlite.advising.condition import Condition
    from engine.targets.sqlite.reading.catalog import Table


@frozen(kw_only=True)
class KeptMeasurements:
    """`tables`: those whose statistics do not fit, with their rows and the indexes that have none."""

    packing: Packing
    tables: Mapping[str, tuple[int | None, tuple[str, ...]]]

    def statistics_of(self, tables: Sequence[Table]) -> list[Statistics]:
        """As they were found; those of all other tables fit."""
        found = []
        for table in tables:
            if table.indexes or table.known_rows is not None:
                rows, missing = self.tables.get(table.name, (table.known_rows, ()))
                found.append(Statistics(table=table.name, known_rows=table.known_rows, rows=rows, missing=missing))
        return found


def found_in(condition: Condition) -> dict[str, Any] | None:
    """What is worth keeping, JSON-able; None where not everything was looked at."""
    packing = packing_of(condition)
    if packing is None or any(statistics.unseen for statistics in condition.statistics):
        return None
    odd = [s for s in condition.statistics if s.missing or change(s) >= thresholds.STALE_FACTOR]
    return {
        "packable": packing.packable,
        "unused": packing.unused,
        "tables": [[s.table, s.rows, list(s.missing)] for s in odd],
    }


def kept_in(found: Mapping[str, Any]) -> KeptMeasurements | None:
    """The same as it was; None of what was not kept by this version."""
    try:
        return KeptMeasurements(
            packing=Packing(packable=int(found["packable"]), unused=int(found["unused"])),
            tables={
                str(name): (None if rows is None else int(rows), tuple(map(str, missing)))
                for name, rows, missing in found["tables"]
            },
        )
    except (KeyError, TypeError, ValueError):
        return None
