"""Steps that are tiny become one, so that many small tables take no more than their work: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

from engine.targets.sqlite.planning.costs import SHORTEST
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.system.space import Need
from engine.words import counted, listed

FEWEST: Final = 20
"""Tiny steps; where there are fewer, each stays a step of its own."""
TINY: Final = 0.05
"""Seconds that a step takes at most to be tiny."""
MOST_SECONDS: Final = 0.25
"""Of a group: for as long others cannot write."""
MOST_BYTES: Final = 16_000_000
"""That a group writes into the journal, or the log."""
AFTER_CANCEL: Final = "what this step did is undone, what was done before it stays done"
_COMMANDS_SHOWN: Final = 3


def grouped(
    steps: Sequence[SqliteStep],
    group: Callable[[Sequence[SqliteStep]], SqliteStep],
    *,
    usual: float,
    tiny: float = TINY,
    most: float = MOST_SECONDS,
) -> list[SqliteStep]:
    """The steps, the tiny ones of them in groups, at the end.

    Args:
        group: makes one step of several;
        usual: seconds that a step takes of which nothing is known;
        tiny: seconds that a step may take at most to be put into a group,
        most: and a group.
    """
    alone, small = list[SqliteStep](), list[SqliteStep]()
    for step in steps:
        seconds = usual if step.estimate is None else step.estimate
        if seconds <= tiny:
            small.append(step if step.estimate is not None else replace(step, estimate=seconds))
        else:
            alone.append(step)
    if len(small) < FEWEST:
        return list(steps)
    return [*alone, *(group(part) if len(part) > 1 else part[0] for part in _parts(small, most))]


def _parts(steps: Sequence[SqliteStep], most: float) -> Iterator[list[SqliteStep]]:
    part: list[SqliteStep] = []
    seconds, written = 0.0, 0
    for step in steps:
        seconds, written = seconds + _work(step), written + _journal(step)
        if part and (seconds > most or written > MOST_BYTES):
            yield part
            part, seconds, written = [], _work(step), _journal(step)
        part.append(step)
    yield part


def _work(step: SqliteStep) -> float:
    """Seconds without its transaction, which the others share with it."""
    return max((step.estimate or 0.0) - SHORTEST, 0.0)


def _journal(step: SqliteStep) -> int:
    return step.needs[0].bytes if step.needs else 0


def together(steps: Sequence[SqliteStep], noun: str, why: str) -> SqliteStep:
    """One step for all of these, whose objects are called `noun`; `why`: for its reason."""
    names = tuple(step.object for step in steps)
    needs = _added(steps)
    return replace(
        steps[0],
        method=Method.TOGETHER,
        object=counted(len(steps), f"small {noun}"),
        objects=names,
        command=_shortened([step.command for step in steps]),
        commands=tuple(step.command for step in steps),
        reason=f"{why}: {listed(names)}",
        disk_needed=sum(need.bytes for need in needs) or None,
        needs=needs,
        after_cancel=AFTER_CANCEL,
        estimate=SHORTEST + sum(map(_work, steps)),
        course=_course(steps),
    )


def _shortened(commands: Sequence[str]) -> str:
    shown = "; ".join(commands[:_COMMANDS_SHOWN])
    left = len(commands) - _COMMANDS_SHOWN
    return f"{shown} -- and {left:,} more" if left > 0 else shown


def _added(steps: Sequence[SqliteStep]) -> tuple[Need, ...]:
    """What all of them need, by the place and what it is for."""
    added: dict[tuple[str, str], int] = {}
    for step in steps:
        for need in step.needs:
            added[need.directory, need.what] = added.get((need.directory, need.what), 0) + need.bytes
    return tuple(Need(directory, size, what) for (directory, what), size in added.items())


def _course(steps: Sequence[SqliteStep]) -> tuple[tuple[float, float], ...]:
    """That of one after the other, as far as it is known."""
    ends = [step.course[-1] for step in steps if step.course]
    return tuple(accumulate(ends, lambda sum_, end: (sum_[0] + end[0], sum_[1] + end[1]), initial=(0.0, 0.0)))
