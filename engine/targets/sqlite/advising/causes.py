"""The causes of advice."""

from __future__ import annotations

from enum import StrEnum


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
