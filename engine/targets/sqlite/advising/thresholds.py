"""From when on a SQLite database needs something."""

from __future__ import annotations

from typing import Final

from engine.domain.advice import Level

MB: Final = 1_000_000
HOUR: Final = 3_600 * 1_000_000
DAY: Final = 24 * HOUR
"""In microseconds."""

URGENT: Final = frozenset({Level.NOW, Level.SOON})

VACUUM_SOON: Final = (0.25, 16 * MB)
"""The share of the file that is wasted, and the bytes: from both on. Inserts in random order leave about a tenth."""
VACUUM_NOW: Final = (0.50, 256 * MB)
MOSTLY_FREE_PAGES: Final = 0.80
"""Where free pages are so much of what is wasted, incremental vacuum is enough."""

ROWS_THAT_MATTER: Final = 1_000
"""A smaller table is read quickly, whatever the statistics say."""
STALE_FACTOR: Final = 2
"""Between the rows of a table and what its statistics say: soon,"""
WRONG_FACTOR: Final = 10
"""and now."""
SMALL: Final = 100 * MB
"""Of a database up to this size complete statistics take a fraction of a second."""

LOG_SIZE: Final = 64 * MB
"""The length of a write-ahead log from which it is to be emptied, where it is"""
LOG_SHARE: Final = 0.25
"""so much of the database, too."""

SEGMENTS: Final = 8
"""A full-text index with more of them is to be merged."""

FULL_CHECK_EVERY: Final = 30 * DAY
QUICK_CHECK_EVERY: Final = 7 * DAY
