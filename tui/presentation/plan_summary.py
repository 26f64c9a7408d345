"""A plan as text, for its page and for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from engine import OperationPlan, Plan, PlannedStep, Verdict
from engine.domain.frozen import frozen
from engine.domain.humanize import about, rounded
from engine.domain.option_specs import BY_NAME
from tui.presentation.lock_format import format_lock
from tui.presentation.text import counted, size, unusual_options
from tui.presentation.window_words import planned_step

AFTER_A_LOCK: Final = " after the lock is free"
"""The condition of a duration when another session holds a lock."""


@frozen
class StepNotes:
    """The notes about a step. A note is "" if the step before has the same."""

    reason: str
    lock: str
    after_cancel: str
    disk: str
    """`12.0 MB of disk space (1.20 GB free)`."""
    duration: str
    """`about 7 s`."""
    window: str
    """Why it would not begin; this is always given."""

    @property
    def needs(self) -> str:
        """`needs 12.0 MB of disk space (1.20 GB free), takes about 7 s`."""
        parts = [f"needs {self.disk}"] if self.disk else []
        return ", ".join([*parts, f"takes {self.duration}"] if self.duration else parts)


def options(plan: Plan) -> str:
    """`lock timeout 5 s, speed gentle`: the lock timeout, and options that differ from the defaults."""
    timeout = BY_NAME["lock_timeout"].text_in(plan.options)
    return ", ".join([timeout, *(option for option in unusual_options(plan.options) if option != timeout)])


def verdict(operation: OperationPlan) -> str:
    """`ready`, `2 warnings`, `refused` or `nothing to do`."""
    if operation.not_needed is not None and operation.refused is None:
        return "nothing to do"
    words = {Verdict.OK: "ready", Verdict.WARN: counted(len(operation.warnings), "warning"), Verdict.REFUSE: "refused"}
    return words[operation.verdict]


def extent(operation: OperationPlan) -> str:
    """`40 steps, 7 not begun, 2 at once, about 12 s`; "" if nothing would run."""
    if not operation.steps:
        return ""
    at_once = f"{operation.parallel} at once" if operation.parallel > 1 else ""
    left = sum(step.not_begun is not None and not step.mandatory_follow_up for step in operation.steps)
    left_text = f"{left:,} not begun" if left else ""
    took = f"{took}{AFTER_A_LOCK if operation.waits else ''}" if (took := TotalDuration([operation]).text) else ""
    return ", ".join(filter(None, (counted(len(operation.steps), "step"), left_text, at_once, took)))


def whole_extent(operations: Sequence[OperationPlan]) -> str:
    """`4 operations, 43 steps, about 25 s in all`."""
    steps = sum(len(operation.steps) for operation in operations)
    parts = (counted(len(operations), "operation"), counted(steps, "step"), duration_in_all(operations))
    return ", ".join(filter(None, parts))


def duration_in_all(operations: Sequence[OperationPlan]) -> str:
    """`about 25 s in all`; "" if unknown."""
    return in_all(TotalDuration(operations), waits=any(operation.waits for operation in operations))


def in_all(duration: TotalDuration, *, waits: bool) -> str:
    """`waits`: whether another session holds a lock."""
    return f"{duration.text} in all{AFTER_A_LOCK if waits else ''}" if duration.text else ""


class TotalDuration:
    """The time that operations take, added up one by one."""

    def __init__(self, operations: Iterable[OperationPlan] = ()) -> None:
        self._seconds: float | None = None
        self._is_complete = True
        for operation in operations:
            self.add(operation)

    def add(self, operation: OperationPlan) -> None:
        if operation.steps and (seconds := operation.estimate) is not None:
            self._seconds = seconds + (self._seconds or 0)
        self._is_complete = self._is_complete and all(step.estimate is not None for step in operation.steps)

    @property
    def text(self) -> str:
        """`about 25 s`, or `over 20 s` if some estimates are unknown; "" if all are."""
        if self._seconds is None:
            return ""
        if self._is_complete:
            return about(self._seconds)
        return f"over {rounded(self._seconds)}" if self._seconds >= 1 else ""


def step_notes(operation: OperationPlan) -> Iterator[tuple[PlannedStep, StepNotes]]:
    """Every step with its notes: a sentence is not repeated from step to step, and tiny durations are left out.

    The lock is left out only where the same command goes on with another object: else a step without one would seem to
    block no one.
    """
    previous: tuple[str, ...] = ("", "", "")
    command, target = "", ""
    is_timed = len(operation.steps) == 1 or (operation.estimate or 0) >= 1
    for step in operation.steps:
        sentences = step.reason, format_lock(step.lock), step.after_cancel
        reason, lock, after_cancel = (new if new != old else "" for new, old in zip(sentences, previous, strict=True))
        keyword = step.command.partition(" ")[0]
        if keyword != command or step.object == target:
            lock = sentences[1]
        command, target = keyword, step.object
        duration = about(step.estimate) if is_timed and step.estimate is not None else ""
        yield step, StepNotes(reason, lock, after_cancel, _disk(step), duration, planned_step(step))
        previous = sentences


def _disk(step: PlannedStep) -> str:
    if step.disk_needed is None:
        return ""
    free = f" ({size(step.disk_free)} free)" if step.disk_free is not None else ""
    return f"{size(step.disk_needed)} of disk space{free}"
