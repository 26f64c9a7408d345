"""The measurements of a full inspection, kept until the database is written: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.domain.frozen import frozen
from engine.targets.sqlite.advising import thresholds
from engine.targets.sqlite.advising.condition import Condition, Packing, Statistics
from engine.targets.sqlite.advising.space_advice import packing_of
from engine.targets.sqlite.advising.statistics_advice import change
from engine.targets.sqlite.reading.catalog import Table


@frozen(kw_only=True)
class KeptMeasurements:
    """`tables`: tables with wrong or missing statistics, each with its rows and its indexes without statistics."""

    packing: Packing
    tables: Mapping[str, tuple[int | None, tuple[str, ...]]]

    def statistics_of(self, tables: Sequence[Table]) -> list[Statistics]:
        """The statistics as measured; those of all other tables are right."""
        found = []
        for table in tables:
            if table.indexes or table.known_rows is not None:
                rows, missing = self.tables.get(table.name, (table.known_rows, ()))
                found.append(Statistics(table=table.name, known_rows=table.known_rows, rows=rows, missing=missing))
        return found


def found_in(condition: Condition) -> dict[str, Any] | None:
    """The measurements as JSON values; None after a partial inspection."""
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
    """Parse what `found_in` returned; None for the format of another version."""
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
