"""Tiny tables share a command, so that many of them take no more than their work: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from engine.domain.humanize import counted, listed
from engine.targets.grouping import in_groups, shortened
from engine.targets.postgres.planning.costs import STEP_OVERHEAD
from engine.targets.postgres.planning.steps import Model, PgStep

MOST: Final = 50
"""Tables of a group at most."""
MOST_WORK: Final = 5_000.0
"""The work of a group at most, by the sizes of its tables, in the units of `costs`."""
OVERHEAD: Final = STEP_OVERHEAD / 10
"""What each table of a group adds to its work, instead of the overhead of a step."""


def grouped(steps: Sequence[PgStep]) -> list[PgStep]:
    """The steps, with those of tiny tables in groups, each at the place of its first table."""
    steps_of = Counter(step.conflict for step in steps)
    tiny: dict[tuple[object, ...], list[int]] = {}
    for place, step in enumerate(steps):
        if step.group_command and steps_of[step.conflict] == 1:
            tiny.setdefault((step.group_command, step.settings), []).append(place)
    grouped_steps = dict(enumerate(steps))
    for places in tiny.values():
        for group in in_groups(places, lambda place: (1, _work(steps[place])), (MOST, MOST_WORK)):
            if len(group) > 1:
                members = [grouped_steps.pop(place) for place in group]
                grouped_steps[group[0]] = _together(members)
    return [step for _, step in sorted(grouped_steps.items(), key=lambda item: item[0])]


def _work(step: PgStep) -> float:
    return max((step.weight or 0.0) - STEP_OVERHEAD, 0.0)


def _together(members: Sequence[PgStep]) -> PgStep:
    """One step for all of these. A table that is locked is left out of its command: it gets its own step afterwards."""
    first, names = members[0], tuple(step.object for step in members)
    tables = [step.subject.sql for step in members if step.subject is not None]
    reasons = listed(list(dict.fromkeys(step.reason for step in members)), most=2)
    settings = first.command.removesuffix(first.first_command) if first.first_command else ""
    return replace(
        first,
        object=counted(len(members), "small table"),
        objects=names,
        members=tuple(members),
        command=f"{settings}{first.group_command} {shortened(tables, ', ')}",
        first_command=f"{first.group_command} {', '.join(tables)}",
        verbose_command="",
        reason=f"{reasons}: {listed(names)}",
        conflict="",
        weight=STEP_OVERHEAD + sum(OVERHEAD + _work(step) for step in members),
        model=Model.NONE,
        subject=None,
    )
