"""What needs which operation, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.jobs import CheckLevel, Facts, Micros, Operation


class Level(StrEnum):
    """How urgent an operation is."""

    NOW = "now"
    SOON = "soon"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Whether a database needs an operation."""

    operation: Operation
    level: Level
    reason: str
    """One line, with the numbers that it goes by."""
    gain: str = ""
    """What it is expected to bring, in words; empty where that cannot be said, or is nothing."""
    facts: Facts = field(default_factory=dict)
    """The numbers, by name."""

    @property
    def is_needed(self) -> bool:
        return self.level is not Level.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What our own history says of a database."""

    now: Micros
    checked_at: Mapping[CheckLevel, Micros] = field(default_factory=dict)
    """When a check of that level last found nothing wrong. A full one counts as a quick one, too."""
    damaged_indexes: tuple[str, ...] = ()
    """Those that the last check found to differ from their tables, unless they were rebuilt since."""
    damage: str | None = None
    """What else the last check found."""
