"""Thresholds from which a SQLite database needs an operation."""

from __future__ import annotations

from typing import Final

from engine.domain.advice import Level

MB: Final = 1_000_000
HOUR: Final = 3_600 * 1_000_000
"""In microseconds."""

URGENT: Final = frozenset({Level.NOW, Level.SOON})

VACUUM_SOON: Final = (0.25, 16 * MB)
"""The reclaimable share of the file, and bytes: both must be reached. Random inserts alone leave about a tenth."""
VACUUM_NOW: Final = (0.50, 256 * MB)
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

LOG_SIZE: Final = 64 * MB
"""Bytes of write-ahead log from which it needs a checkpoint; LOG_SHARE must be reached too."""
LOG_SHARE: Final = 0.25
"""The size of the log relative to the database."""

SEGMENTS: Final = 8
"""A full-text index with more segments needs a merge."""
