"""What is said of a plan before anything runs: shared by the page and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine import OperationPlan, Plan, PlannedStep, Verdict
from engine.domain.frozen import frozen
from engine.domain.humanize import span
from tui.presentation.lock_format import format_lock
from tui.presentation.text import counted, lock_timeout, size, unusual_options


@frozen
class StepNotes:
    """What is to be said of a step. The sentences are empty where they are what was said of the step before."""

    reason: str
    lock: str
    after_cancel: str
    disk: str
    """`12.0 MB of disk space (1.20 GB free)`."""
    duration: str
    """`about 7 s`."""

    @property
    def needs(self) -> str:
        """`needs 12.0 MB of disk space (1.20 GB free), takes about 7 s`."""
        parts = [f"needs {self.disk}"] if self.disk else []
        return ", ".join([*parts, f"takes {self.duration}"] if self.duration else parts)


def options(plan: Plan) -> str:
    """`lock timeout 5 s, speed gentle`: how long it waits for a lock, and what is not as usual in how it would be
    carried out."""
    timeout = lock_timeout(plan.options)
    return ", ".join([timeout, *(said for said in unusual_options(plan.options) if said != timeout)])


def verdict(operation: OperationPlan) -> str:
    """`ready`, `2 warnings`, `refused` or `nothing to do`."""
    if operation.not_needed is not None and operation.refused is None:
        return "nothing to do"
    words = {Verdict.OK: "ready", Verdict.WARN: counted(len(operation.warnings), "warning"), Verdict.REFUSE: "refused"}
    return words[operation.verdict]


def extent(operation: OperationPlan) -> str:
    """`40 steps, 2 at once, about 12 s`; empty where nothing would run."""
    if not operation.steps:
        return ""
    at_once = f"{operation.parallel} at once" if operation.parallel > 1 else ""
    took = f"{took}{after_a_lock([operation])}" if (took := duration_of([operation])) else ""
    return ", ".join(filter(None, (counted(len(operation.steps), "step"), at_once, took)))


def whole_extent(operations: Sequence[OperationPlan]) -> str:
    """`4 operations, 43 steps, about 25 s in all`."""
    steps = sum(len(operation.steps) for operation in operations)
    said = (counted(len(operations), "operation"), counted(steps, "step"), duration_in_all(operations))
    return ", ".join(filter(None, said))


def duration_in_all(operations: Sequence[OperationPlan]) -> str:
    """`about 25 s in all`; empty where nothing is worth a word."""
    took = duration_of(operations)
    return f"{took} in all{after_a_lock(operations)}" if took else ""


def after_a_lock(operations: Sequence[OperationPlan]) -> str:
    """What is to be said beside a duration where somebody is in the way."""
    return " after the lock is free" if any(operation.waits for operation in operations) else ""


def duration_of(operations: Sequence[OperationPlan]) -> str:
    """`about 25 s`, or `over 20 s` where that of some is not known; empty where nothing is worth a word."""
    known = [seconds for operation in operations if operation.steps and (seconds := estimate(operation)) is not None]
    if not known:
        return ""
    if all(step.estimate is not None for operation in operations for step in operation.steps):
        return about(sum(known))
    return f"over {_rounded(sum(known))}" if sum(known) >= 1 else ""


def estimate(operation: OperationPlan) -> float | None:
    """Seconds that its steps are expected to take together, as far as they are known; None where none is."""
    known = [step.estimate for step in operation.steps if step.estimate is not None]
    return max(sum(known) / max(operation.parallel, 1), max(known)) if known else None


def about(seconds: float) -> str:
    """An estimate: `less than 1 s`, `about 7 s`, `about 3m20s`."""
    return "less than 1 s" if seconds < 1 else f"about {_rounded(seconds)}"


def _rounded(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return span(seconds - seconds % (1 if seconds < 3600 else 60))


def step_notes(operation: OperationPlan) -> Iterator[tuple[PlannedStep, StepNotes]]:
    """Every step with what is to be said of it: the same sentence is not said of forty indexes in a row, nor what
    each takes where that is next to nothing for all of them."""
    said: tuple[str, ...] = ("", "", "")
    is_timed = len(operation.steps) == 1 or (estimate(operation) or 0) >= 1
    for step in operation.steps:
        sentences = step.reason, format_lock(step.lock), step.after_cancel
        reason, lock, after_cancel = (new if new != old else "" for new, old in zip(sentences, said, strict=True))
        duration = about(step.estimate) if is_timed and step.estimate is not None else ""
        yield step, StepNotes(reason, lock, after_cancel, _disk(step), duration)
        said = sentences


def _disk(step: PlannedStep) -> str:
    if step.disk_needed is None:
        return ""
    free = f" ({size(step.disk_free)} free)" if step.disk_free is not None else ""
    return f"{size(step.disk_needed)} of disk space{free}"
