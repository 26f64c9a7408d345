"""Schedules: when which operations run on which targets, and what became of each due time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Final

from engine.domain.batches import Batch, BatchOptions, Order
from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.domain.steps import Micros

NEEDED: Final = "needed"
"""What stands in the config file for the operations that advice calls for."""


@frozen(kw_only=True)
class Schedule:
    """A section `[schedules.NAME]` of the config file. What its keys mean is in `config/keys.py`."""

    name: str
    targets: tuple[str, ...]
    start: str
    timezone: str = ""
    until: str | None = None
    exclude: tuple[str, ...] = ()
    operations: tuple[Operation, ...] | None = None
    """None: those that advice calls for."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The options that are set for its jobs, by name."""
    stagger: float = 0.0
    """Seconds over which the starts of its targets are spread, the same way each time."""
    order: Order | None = None
    max_failures: int | None = None
    canary: int | None = None
    max_per_host: int | None = None
    catch_up: float = 0.0
    """Seconds after a due time within which it still fires if no worker ran at that time."""
    notify: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """When it is due, as text."""
        return f"{self.start} {self.timezone}".rstrip()

    @property
    def batch(self) -> BatchOptions:
        return BatchOptions(max_failures=self.max_failures, canary=self.canary, max_per_host=self.max_per_host)


class FiringStatus(StrEnum):
    """What became of a due time."""

    FIRED = "fired"
    MISSED = "missed"
    """Nothing ran, and something should have."""
    SKIPPED = "skipped"
    """Nothing ran, as it should be."""


class FiringReason(StrEnum):
    """Why a due time did not plainly fire."""

    NO_WORKER = "no_worker"
    """No worker ran at that time, or none could write to the store."""
    CLOCK_CHANGED = "clock_changed"
    """The clock was set forward over it, or the machine slept."""
    WINDOW_CLOSED = "window_closed"
    """A worker came after its window had closed."""
    NOT_STARTED = "not_started"
    """Its jobs could not be submitted; the error says why."""
    STILL_RUNNING = "still_running"
    """Jobs of an earlier due time had not ended."""
    NOT_NEEDED = "not_needed"
    """It fired, and no target needed anything."""
    BY_HAND = "by_hand"
    """A person started it."""


@frozen(kw_only=True)
class Firing:
    """What became of a due time of a schedule. There is one for each at most."""

    schedule: str
    due_at: Micros
    status: FiringStatus
    recorded_at: Micros
    reason: FiringReason | None = None
    error: str | None = None
    """Why it did not fire; of one that fired, what a person must put right before anything runs on some targets."""
    batch: int | None = None
    """The id of the batch of its jobs; None if there are none, or they have been removed."""
    jobs: int | None = None
    """How many jobs it started; None: it did not fire."""


@frozen(kw_only=True)
class Night:
    """A firing with its jobs as a whole."""

    firing: Firing
    batch: Batch | None = None
    """None if there is none, or its jobs have been removed."""
    started_at: Micros | None = None
    """When the first of its jobs started."""
    finished_at: Micros | None = None
    """When the last of its jobs ended; None while one is open."""


@frozen(kw_only=True)
class ScheduleState:
    """What the store knows of a schedule, besides its firings."""

    name: str
    start: str
    """The cron expression and time zone that a worker has read last."""
    config: str
    """The config file that it stands in: its path, in a shared store after the host; "": no worker has read it."""
    since: Micros
    """Only due times after this count: from then on it is known, enabled and unchanged."""
    disabled_at: Micros | None = None
    disabled_by: str = ""


def other_config(state: ScheduleState | None, config: str) -> str:
    """The config file that a schedule was known from, if that is another than `config`; else "".

    One without a host is from a store that was copied.
    """
    known = "" if state is None else state.config
    return "" if known in {config, config.partition(":")[2]} else known


def disabled_ones(states: Mapping[str, ScheduleState]) -> set[str]:
    """The names of those that a person has disabled."""
    return {name for name, state in states.items() if state.disabled_at is not None}
