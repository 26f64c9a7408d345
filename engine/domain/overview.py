"""The state of all that a store knows, at one time: for metrics and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from engine.domain.frozen import frozen
from engine.domain.notifications import RecipientState
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.domain.surveys import Survey


@frozen(kw_only=True)
class LastRun:
    """The newest end of an operation on a target, skipped ones apart."""

    target: str
    operation: Operation
    status: Status
    reason: Reason | None
    finished_at: Micros
    seconds: float | None = None
    """How long it took; None if it never began."""
    completed_at: Micros | None = None
    """When it completed in full last; None if never."""


@frozen(kw_only=True)
class ScheduleCounts:
    """The record of a schedule."""

    name: str
    fired: int = 0
    missed: int = 0
    skipped: int = 0
    fired_at: Micros | None = None
    """The newest due time that fired."""
    missed_at: Micros | None = None
    """The newest due time that was missed."""


@frozen(kw_only=True)
class Overview:
    at: Micros
    surveys: tuple[Survey, ...] = ()
    damaged: frozenset[str] = frozenset()
    """The targets that are known to be damaged."""
    runs: tuple[LastRun, ...] = ()
    open_jobs: Mapping[Status, int] = field(default_factory=dict)
    """How many jobs are pending, and how many run."""
    schedules: tuple[ScheduleCounts, ...] = ()
    recipients: tuple[RecipientState, ...] = ()
    workers: int = 0
    """Processes that carry out jobs."""
    stalled: int = 0
    """Processes that carry out jobs, and make no progress."""
    is_paused: bool = False
