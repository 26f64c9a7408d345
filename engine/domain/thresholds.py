"""The thresholds from which on a database needs an operation, and from which on that is urgent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from engine.domain.frozen import frozen

MB: Final = 1_000_000
GB: Final = 1_000 * MB
DAY: Final = 86_400.0
"""Seconds."""
MOST_IDS: Final = 2**31
"""Transaction ids and multixacts of PostgreSQL between which it can tell older from newer."""

CRITICAL_DAYS: Final = 3.0
"""A server whose transaction ids are old and last for fewer days is critical."""


@frozen(kw_only=True)
class Thresholds:
    """Bytes, shares from 0 to 1, and seconds. What they mean is in `config/keys.py`.

    Of bytes and their share both must be reached.
    """

    reclaim_soon: int = 16 * MB
    reclaim_soon_share: float = 0.25
    """Random inserts alone leave about a tenth."""
    reclaim_now: int = 256 * MB
    """Bytes that VACUUM gives back, or that an index of a server wastes, when it is urgent."""
    reclaim_now_share: float = 0.50
    log_size: int = 64 * MB
    log_share: float = 0.25
    full_check_every: float = 30 * DAY
    quick_check_every: float = 7 * DAY
    index_bloat: int = 10 * MB
    index_bloat_share: float = 0.40
    table_bloat: int = 100 * MB
    table_bloat_share: float = 0.50
    pending_list: int = MB
    uncovered: int = 100 * MB
    dead_rows_now: float = 5.0
    age_now: float = 2.0
    age_critical: float = 0.75
    disk_critical: int = GB
    disk_critical_share: float = 0.05
    small: int = 10 * MB


DEFAULT_THRESHOLDS: Final = Thresholds()


def with_settings(settings: Mapping[str, Any]) -> Thresholds:
    """The thresholds with some of them set by name."""
    return replace(DEFAULT_THRESHOLDS, **settings) if settings else DEFAULT_THRESHOLDS
