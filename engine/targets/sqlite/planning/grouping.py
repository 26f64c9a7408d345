"""Steps that are tiny become one, so that many small tables take no more than their work: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.humanize import counted, listed
from engine.targets.grouping import in_groups, shortened
from engine.targets.sqlite.planning.costs import SHORTEST, Cost
from engine.targets.sqlite.planning.steps import Method, SqliteStep

FEWEST: Final = 20
"""Tiny steps; where there are fewer, each stays a step of its own."""
TINY: Final = 0.05
"""Seconds that a step takes at most to be tiny."""
MOST_SECONDS: Final = 0.25
"""Seconds of a group at most: while it runs, others cannot write."""
MOST_BYTES: Final = 16_000_000
"""Bytes that a group writes into the journal, or the log, at most."""
AFTER_CANCEL: Final = "this step is rolled back; earlier steps stay done"


@frozen
class Part:
    """What may be a step of its own, or go into one with others."""

    object: str
    command: str
    reason: str
    cost: Cost
    size: int = 0
    """Bytes that it writes into the journal, or the log."""

    def step(self, like: SqliteStep) -> SqliteStep:
        """The step of its own, of the kind of `like`."""
        return replace(
            like,
            object=self.object,
            command=self.command,
            reason=self.reason,
            estimate=self.cost.seconds,
            course=self.cost.course,
            volume=self.size,
        )


def divided(
    parts: Sequence[Part], *, usual: float, tiny: float = TINY, most: float = MOST_SECONDS
) -> tuple[list[Part], list[list[Part]]]:
    """The parts that stay alone, and groups of the tiny ones.

    Args:
        usual: seconds of a part without an estimate.
        tiny: seconds of a part that goes into a group, at most.
        most: seconds of a group, at most.
    """
    alone, small = list[Part](), list[tuple[Part, float]]()
    for part in parts:
        seconds = usual if part.cost.seconds is None else part.cost.seconds
        if seconds <= tiny:
            small.append((part, seconds))
        else:
            alone.append(part)
    if len(small) < FEWEST:
        return list(parts), []

    def costs(part: tuple[Part, float]) -> tuple[float, int]:
        return max(part[1] - SHORTEST, 0.0), part[0].size  # without its transaction, which the others share with it

    groups = in_groups(small, costs, (most, MOST_BYTES))
    return alone, [[part for part, _ in group] for group in groups]


def together(parts: Sequence[Part], noun: str, why: str, *, usual: float, like: SqliteStep) -> SqliteStep:
    """One step for all of these, whose objects are called `noun`; `why`: for its reason."""
    names = tuple(part.object for part in parts)
    takes = (usual if part.cost.seconds is None else part.cost.seconds for part in parts)
    ends = [part.cost.course[-1] for part in parts if part.cost.course]
    return replace(
        like,
        method=Method.GROUPED,
        object=counted(len(parts), f"small {noun}"),
        objects=names,
        command=shortened([part.command for part in parts], "; "),
        commands=tuple(part.command for part in parts),
        reason=f"{why}: {listed(names)}",
        after_cancel=AFTER_CANCEL,
        estimate=SHORTEST + sum(max(seconds - SHORTEST, 0.0) for seconds in takes),
        course=tuple(accumulate(ends, lambda sum_, end: (sum_[0] + end[0], sum_[1] + end[1]), initial=(0.0, 0.0))),
    )
