"""Which objects come first when an operation on many of them does not get through: pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.requests import Operation

ObjectWork = tuple[Operation, str]
"""A kind of work, and the table or index that it was done to."""


@frozen(kw_only=True)
class Turns:
    """When the objects of a database were last worked on, by the ids of jobs: these grow whatever the clock does."""

    done: Mapping[ObjectWork, int] = field(default_factory=dict)
    """By object and work: the id of the newest job in which the work completed."""
    begun: Mapping[ObjectWork, int] = field(default_factory=dict)
    """By object and work: the id of the newest job in which the work began."""
    unfinished: Mapping[Operation, int] = field(default_factory=dict)
    """By operation: its newest finished job, if that left steps that it did not begin."""

    def rank(self, operation: Operation, kind: Operation, objects: Collection[str]) -> tuple[bool, int]:
        """The place of a step of `operation`: the lowest rank comes first.

        First the objects that the last run did not begin, then those done longest ago. All that one job completed has
        the same rank.

        Args:
            kind: the kind of work of the step.
            objects: what it works on.
        """
        last, works = self.unfinished.get(operation), [(kind, name) for name in objects]
        is_left = last is not None and any(self.begun.get(work, 0) < last for work in works)
        return not is_left, min((self.done.get(work, 0) for work in works), default=0)


NO_TURNS: Final = Turns()
