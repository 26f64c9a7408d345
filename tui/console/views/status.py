"""How a job's state and what it did read in a few words."""

from __future__ import annotations

import re

from rich.cells import cell_len

from engine import ChildJob, JobId, ParentJob, Reason, Status, run_duration
from engine.domain.jobs import format_child_reason, never_began
from engine.domain.jobs import is_cancelling as is_cancelling
from tui.console.views.line import Line, Role, Span, fit, line, named
from tui.presentation.effect_summary import effect, found_damage, status_shown, steps_taken
from tui.presentation.text import GLYPH, counted, duration, path_of, plain, precise_duration, shortened

STATUS_WIDTH = 12
PINNED = "pinned"
TELLING_REASONS = {Reason.TARGET_BUSY, Reason.OWNER_LOST, Reason.TIME_LIMIT, Reason.SHUTDOWN}
"""Those whose words say more than the beginning of a sentence."""
BRIEF = 16
"""Cells below which the beginning of a sentence says less than any reason."""
HOW_MANY_FAILED = re.compile(r"\d+ of \d+ steps failed: ")
BAR_FULL, BAR_EMPTY = "━", "─"


def status_span(job: ChildJob | ParentJob, width: int = STATUS_WIDTH) -> Span:
    """Glyph and word of a status, in its colour."""
    status, words = format_status(job)
    return fit(f"{GLYPH[status]} {words}", width), Role(status.value)


def status_beside(job: ChildJob | ParentJob) -> Span:
    """The same before what is said beside it, in a line that stands for itself."""
    status, words = format_status(job)
    return f"{GLYPH[status]} {words}  ", Role(status.value)


def format_status(job: ChildJob | ParentJob) -> tuple[Status, str]:
    """What a job's status comes to for a person: a parent of which something was left undone is not `completed`."""
    if is_cancelling(job):
        return job.status, "cancelling"
    if isinstance(job, ChildJob):
        return status_shown(job), "in part" if job.is_partly_completed else job.status.value
    left_out = sum(c.status is Status.SKIPPED and c.reason is not Reason.NOT_NEEDED for c in job.children)
    if job.status is Status.COMPLETED and left_out:
        return Status.SKIPPED, f"{left_out} skipped"
    shown = status_shown(job)
    return shown, job.status.value if shown is job.status else "in part"


def head_of(parent: ParentJob, name: str, now: int, width: int) -> list[Line]:
    """Which job it is, how it is and how long that took: below each other where there is no room beside, as half a
    duration would be another one.
    """
    which: list[Span] = [(f"#{parent.id} ", Role.DIM), *named(name)]
    how: list[Span] = [status_beside(parent), (time_taken(parent, now), Role.TEXT)]
    beside = line(*which, "  ", *how)
    return [beside] if cell_len(beside.text.rstrip()) <= width else [line(*which), line(*how)]


def child_of(parent: ParentJob, job: JobId) -> ChildJob | None:
    """The child that `job` names; None where it names the parent."""
    return next((child for child in parent.children if child.ordinal == job.ordinal), None)


def is_waiting(child: ChildJob) -> bool:
    """Whether it runs and cannot go on by itself: its phase says what it waits for."""
    return child.status is Status.RUNNING and child.progress.waits_for is not None


def bar(fraction: float, width: int) -> tuple[Span, Span]:
    """A bar of `width` cells, filled to `fraction`."""
    filled = round(min(max(fraction, 0.0), 1.0) * width)
    return (BAR_FULL * filled, Role.BAR), (BAR_EMPTY * (width - filled), Role.DIM)


def what_happened(child: ChildJob, target: str, width: int) -> str:
    """The effect, or why there is none: one phrase for the child's row, which need not name the target again."""
    if found := found_damage(child, width):
        return found
    if child.is_partly_completed or child.status in {Status.FAILED, Status.SKIPPED, Status.CANCELLED}:
        return _why(child, path_of(target), width)
    if child.status is Status.PENDING and child.recovering:
        return "its process died" if width >= 16 else "process died"
    if child.status is Status.PENDING and child.attempt:
        return "will run again" if width >= 14 else "runs again"
    return effect(child, width) or steps_taken(child)


def _why(child: ChildJob, path: str, width: int) -> str:
    """Why it did not complete: its error, or where that would be cut what matters most of it."""
    reason = format_child_reason(child)
    if not child.error:
        return "not begun" if never_began(child) else reason
    error = plain(child.error.removeprefix(f"{path}: ").splitlines()[0])
    if cell_len(error) <= width:
        return error
    if child.reason in TELLING_REASONS or (child.reason is Reason.NOT_NEEDED and width < BRIEF):
        return reason
    return HOW_MANY_FAILED.sub("", error, count=1)


def warnings(child: ChildJob) -> str:
    return counted(len(child.warnings), "warning") if child.warnings else ""


def operations(parent: ParentJob, width: int | None = None) -> str:
    """`vacuum analyze`; where `width` cells are all there is, as many as fit, and how many more: `vacuum +3`.

    Of a job that failed those that failed are named first then.
    """
    names = [operation.value for operation in parent.request.operations]
    whole = " ".join(names)
    if width is None or len(whole) <= width:
        return whole
    if parent.status is Status.FAILED:
        failed = {child.operation.value for child in parent.children if child.status is Status.FAILED}
        names.sort(key=lambda name: name not in failed)
    shorter = (" ".join([*names[:shown], f"+{len(names) - shown}"]) for shown in range(len(names) - 1, 0, -1))
    return next((said for said in shorter if len(said) <= width), shortened(names[0], width))


def time_taken(job: ChildJob | ParentJob, now: int) -> str:
    """Whole seconds while it runs, so that little changes on the screen; exact once it is over."""
    seconds = run_duration(job, now)
    return precise_duration(seconds) if job.finished_at is not None else duration(seconds)
