"""The causes of advice."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """All causes. Running the operation removes its cause, or the advice explains why not."""

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
    INDEXES_REBUILT = "indexes rebuilt"
    NEVER_CHECKED = "never checked"
    NO_FULL_CHECK = "no full check"
    FULL_CHECK_OVERDUE = "full check overdue"
    QUICK_CHECK_OVERDUE = "quick check overdue"
