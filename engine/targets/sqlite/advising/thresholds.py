"""Causes of advice on a SQLite database, and its thresholds besides those that users set."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.domain.advice import Level

MB: Final = 1_000_000
HOUR: Final = 3_600 * 1_000_000
"""In microseconds."""

URGENT: Final = frozenset({Level.NOW, Level.SOON})

MOSTLY_FREE_PAGES: Final = 0.80
"""From this share of free pages in the reclaimable space, incremental vacuum is enough."""

ROWS_THAT_MATTER: Final = 1_000
"""Smaller tables are fast with any statistics."""
STALE_FACTOR: Final = 2
"""Rows of a table against its statistics: from this factor ANALYZE is needed soon."""
WRONG_FACTOR: Final = 10
"""From this factor it is needed now."""
SMALL: Final = 100 * MB
"""Bytes of database up to which complete statistics take a fraction of a second."""

SEGMENTS: Final = 8
"""A full-text index with more segments needs a merge."""


class Cause(StrEnum):
    """The causes but those of `CheckCause`. Running the operation removes one, or the advice explains why not."""

    DAMAGED_INDEXES = "damaged indexes"
    WASTED_SPACE = "wasted space"
    FREE_PAGES = "free pages"
    STALE_STATISTICS = "stale statistics"
    MISSING_STATISTICS = "missing statistics"
    MISSING_STATISTICS_OF_MUCH = "missing statistics of a large database"
    MANY_SEGMENTS = "many segments"
    LONG_LOG = "long log"
    DAMAGE = "damage"
    INDEXES_FOUND_DAMAGED = "indexes found damaged"
    BROKEN_RULE = "broken rule"
