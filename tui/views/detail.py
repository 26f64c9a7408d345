"""The detail pane: the job under the cursor in a few lines, the most telling first."""

from __future__ import annotations

from engine import ChildJob, JobId, ParentJob, Reason, Status, Step
from tui.text import local_time, plain, size
from tui.views.line import Line, Role, Span, line, wrapped
from tui.views.status import effect, is_cancelling, operations, status_span, time_taken, warnings

WHAT_TO_DO = {
    Reason.TARGET_BUSY: "Another connection held a lock. Press t to try again, or raise the lock timeout.",
    Reason.REFUSED: "Nothing was touched. Put right what the message names, then press t.",
    Reason.OWNER_LOST: "Its worker died and no attempt is left. Press t to try again.",
    Reason.OPERATION_ERROR: "Press enter for every step and its error, t to try again.",
    Reason.PREVIOUS_FAILED: "An earlier operation failed and the request says to stop then.",
    Reason.SHUTDOWN: "Its worker was stopped. Press t to run it again.",
}


def detail_lines(parent: ParentJob, job: JobId, name: str, *, now: int, width: int) -> list[Line]:
    """About a parent, or about one of its children; `parent` may come with steps and logs or without."""
    child = next((c for c in parent.children if c.ordinal == job.ordinal), None)
    return _about_parent(parent, name, now, width) if child is None else _about_child(child, now, width)


def _about_child(child: ChildJob, now: int, width: int) -> list[Line]:
    step = current_step(child)
    took = time_taken(child, now)
    progress = child.progress
    said = [effect(child), warnings(child)] if child.status.is_final else []
    if child.status is Status.RUNNING and progress.steps_total:
        at = f"step {min(progress.steps_done + 1, progress.steps_total)} of {progress.steps_total}"
        said = [f"{at}, {plain(progress.object)}" if progress.object else at]
    rest = "  ".join(part for part in (took, *said) if part)
    lines = [
        line((f"#{child.id} ", Role.DIM), (f"{child.operation.value}  ", Role.STRONG), status_span(child, 13), rest)
    ]
    if child.error:
        lines += wrapped(child.error, width, Role.FAILED)
        if child.reason in WHAT_TO_DO:
            lines += wrapped(WHAT_TO_DO[child.reason], width)
    elif is_cancelling(child):
        lines += wrapped("Asked to stop; it ends as soon as that is safe for the data.", width, Role.CANCELLED)
    if step is not None:
        lines += wrapped(plain(step.command), width, Role.SQL)
        if step.error and step.error != child.error:
            lines += wrapped(step.error, width, Role.FAILED)
    for warning in child.warnings:
        lines += wrapped(warning, width, Role.WARNING)
    return [*lines, *before_and_after(child, width)]


def current_step(child: ChildJob) -> Step | None:
    """The step that runs, else the one that failed last, else the last one."""
    of_attempt = [step for step in child.steps if step.attempt == child.attempt] or list(child.steps)
    for wanted in (Status.RUNNING, Status.FAILED):
        found = [step for step in of_attempt if step.status is wanted]
        if found:
            return found[-1]
    return of_attempt[-1] if of_attempt else None


def before_and_after(child: ChildJob, width: int) -> list[Line]:
    """What the operation has changed, as `fact before → after`, as far as the rounded figures differ."""
    before, after = child.before or {}, child.after or {}
    both = [(fact, _value(fact, before[fact]), _value(fact, after[fact])) for fact in before if fact in after]
    changes = [f"{fact.replace('_', ' ')} {old} → {new}" for fact, old, new in both if old != new]
    return wrapped(", ".join(changes), width, Role.DIM) if changes else []


def _value(fact: str, value: int | float | str | None) -> str:
    if isinstance(value, (int, float)) and fact.endswith("size"):
        return size(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _about_parent(parent: ParentJob, name: str, now: int, width: int) -> list[Line]:
    first: list[Span] = [(f"#{parent.id} ", Role.DIM), (plain(name) + "  ", Role.STRONG), status_span(parent, 13)]
    counts = [
        f"{number} {status.value}"
        for status in Status
        if (number := sum(child.status is status for child in parent.children))
    ]
    lines = [
        line(*first, time_taken(parent, now)),
        *wrapped(f"{operations(parent)}: {', '.join(counts)}", width),
        *times(parent, width),
    ]
    errors = [child for child in parent.children if child.error]
    for child in errors:
        lines += wrapped(f"{child.operation.value}: {child.error}", width, Role.FAILED)
    return lines


def times(parent: ParentJob, width: int) -> list[Line]:
    """When it was asked for, began and ended, in the user's time zone."""
    said = [f"asked {local_time(parent.created_at)}"]
    if parent.started_at:
        said.append(f"began {local_time(parent.started_at)[11:]}")
    if parent.finished_at:
        said.append(f"ended {local_time(parent.finished_at)[11:]}")
    if parent.retry_of:
        said.append(f"again after #{parent.retry_of}")
    options = parent.request.options
    said.append(f"on failure {options.on_failure.value}, lock timeout {options.lock_timeout:g} s")
    return wrapped("  ".join(said), width, Role.DIM)
