"""Backups that the job history knows."""

from __future__ import annotations

from engine.domain.frozen import frozen
from engine.domain.steps import Micros


@frozen(kw_only=True)
class RecordedBackup:
    """A backup that a job completed: its state at that time."""

    path: str
    size: int | None
    """Bytes."""
    identity: str
    """Identifies the file, unless it was written since; "" if it was not recorded."""
    source: str
    """Identifies the file of the database that was copied; "" if it was not recorded."""
    is_checked: bool
    """Whether its check found nothing."""
    started_at: Micros
    finished_at: Micros
