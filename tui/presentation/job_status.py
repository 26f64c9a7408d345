"""The status of a job, what it did, and why: the words for one line."""

from __future__ import annotations

from typing import Final

from engine import (
    ChildJob,
    JobOutcome,
    ParentJob,
    Reason,
    Status,
    parent_progress,
    parent_remaining,
    remaining,
    run_duration,
)
from engine.domain.humanize import NOT_BEGUN, rounded
from engine.domain.job_outcomes import outcome_of
from engine.domain.jobs import (
    REMAINING_AFTER,
    REMAINING_FROM,
    format_child_reason,
    is_cancelling,
    is_interrupted,
    is_overwritten,
    never_began,
)
from engine.domain.requests import Operation
from engine.domain.statuses import LEFT_BY_WINDOW, format_ending, format_reason
from engine.domain.steps import WaitsFor, object_name
from tui.presentation.effect_summary import effect, error_of, found_damage, status_shown, steps_taken
from tui.presentation.text import cells, counted, percent, plain, precise_duration, size, time_left

PROCESS_KILLED: Final = "process killed"
WORKER_DIED: Final = format_reason(Reason.OWNER_LOST)
WAITS_FOR_WORKER: Final = "waits for a worker"
_REASON_OVER_ERROR: Final = {Reason.TARGET_BUSY, Reason.OWNER_LOST, *LEFT_BY_WINDOW, Reason.SHUTDOWN}
"""Reasons that say more than the beginning of an error."""
_SAID_BY_STATUS: Final = {Reason.CANCELLED_BY_USER, Reason.UNREACHABLE}
FEW_STEPS: Final = 2
"""Of so few steps, at most, the number that is done says little."""
_ERROR_LEAST: Final = 16
"""Cells below which the beginning of an error says less than any reason."""


def format_status(job: ChildJob | ParentJob) -> tuple[Status, str]:
    """The status for a narrow column, and the status whose glyph and colour it gets.

    A parent that skipped something is not shown as completed, and one that could not be opened as unreachable.
    """
    if is_cancelling(job):
        return job.status, "cancelling"
    if isinstance(job, ParentJob):
        return status_shown(job), status_text(job)
    return status_shown(job), format_ending(job.status, job.reason)


def status_text(job: ChildJob | ParentJob) -> str:
    """The status in a line of text; with what happens now where a child is cancelled, recovers or is to run again."""
    if isinstance(job, ParentJob):
        if is_cancelling(job):
            return "cancelling"
        return outcome_of(job).value
    if job.recovering and not job.status.is_final:
        doing = "recovering" if job.cancel_requested_at is None else "cancelling"
        return f"{doing} ({PROCESS_KILLED if job.force_requested_at else WORKER_DIED}; the database is checked first)"
    if is_cancelling(job):
        phase = "waits for disk space" if job.progress.waits_for is WaitsFor.SPACE else job.progress.phase
        return "cancelling" + (f" ({phase})" if phase else "")
    if text := _interrupted(job):
        died = any(attempt.reason is Reason.OWNER_LOST for attempt in job.attempts[-1:])
        return f"{job.status} ({f'{WORKER_DIED}; ' if died else ''}{text})"
    return format_ending(job.status, job.reason)


def interruption(job: ParentJob) -> str:
    """`vacuum: waits for a worker`: what the status of a job does not say while no process runs it; else ""."""
    if not is_interrupted(job):
        return ""
    return next((f"{child.operation}: {text}" for child in job.children if (text := _interrupted(child))), "")


def _interrupted(child: ChildJob) -> str:
    """Why it waits although it began; "" if that is not so."""
    if child.status is not Status.PENDING or not child.attempt:
        return ""
    return WORKER_DIED if child.recovering else WAITS_FOR_WORKER


def is_waiting(child: ChildJob) -> bool:
    """Whether a running child waits for others; its phase says for what."""
    return child.status is Status.RUNNING and child.progress.waits_for is not None and not is_cancelling(child)


def ending(child: ChildJob, width: int | None = None) -> str:
    """How a child ended, in a phrase: `completed in 1.93 s, 24.1 MB -> 14.3 MB, 9.80 MB back`.

    In `width` cells the effect takes its shorter form, if there is one.
    """
    seconds = run_duration(child, child.finished_at or 0)
    took = f" in {precise_duration(seconds)}" if seconds is not None and child.status is not Status.SKIPPED else ""
    phrase = format_ending(child.status, child.reason) + took
    if never_began(child):
        return f"{phrase}: {NOT_BEGUN}"
    if found := found_damage(child):
        phrase += f": {found}"
    else:
        if child.reason and child.reason not in _SAID_BY_STATUS and not is_overwritten(child):
            phrase += f" ({format_child_reason(child)})"
        phrase += f": {plain(child.error)}" if child.error else ""
        did = effect(child, None if width is None else width - cells(phrase) - 2)
        if not did and child.status is Status.COMPLETED:
            did = steps_taken(child)
        phrase += f"{';' if child.error else ','} {did}" if did else ""
    if child.warnings:
        phrase += f", {warnings_text(child)}: {plain('; '.join(child.warnings))}"
    return phrase


def outcome(child: ChildJob, target: str, width: int) -> str:
    """The effect of a child or why there is none, in about `width` cells; without the name of the target."""
    if found := found_damage(child, width):
        return found
    if child.is_partly_completed or child.status in {Status.FAILED, Status.SKIPPED, Status.CANCELLED}:
        return _why(child, target, width)
    if text := _interrupted(child):
        return text if width >= cells(text) else text.replace(WAITS_FOR_WORKER, "waits")
    return effect(child, width) or steps_taken(child)


def _why(child: ChildJob, target: str, width: int) -> str:
    reason = format_child_reason(child)
    if not child.error:
        return "not begun" if never_began(child) else reason
    error = plain(error_of(child, target).splitlines()[0])
    if cells(error) <= width:
        return error
    if child.reason in _REASON_OVER_ERROR or (child.reason is Reason.NOT_NEEDED and width < _ERROR_LEAST):
        return reason
    return error


def warnings_text(child: ChildJob) -> str:
    return counted(len(child.warnings), "warning") if child.warnings else ""


def whole_percent(job: ChildJob | ParentJob) -> str:
    """` 42%`, always as wide, of the whole of a running parent; blanks where it is unknown; "" of anything else."""
    if not isinstance(job, ParentJob) or is_cancelling(job) or outcome_of(job) is not JobOutcome.RUNNING:
        return ""
    share = parent_progress(job)
    return f"{'' if share is None else percent(share):>4}"


def whole_left(job: ParentJob, now: int) -> str:
    """`0:44 left`, until the last child of a running parent ends; "" where that is unknown."""
    return time_left(parent_remaining(job, now)) if whole_percent(job) else ""


def progress_parts(child: ChildJob, now: int) -> list[str]:
    """`42%`, `0:44 left`, `copying`, `2 of 9 steps done, at orders`: the known parts of these."""
    return [*measured_parts(child, now), *work_parts(child)]


def measured_parts(child: ChildJob, now: int) -> list[str]:
    """`42%`, `0:44 left`: the known ones of these."""
    fraction = child.progress.fraction
    parts = [percent(fraction) if fraction is not None else "", time_left(remaining(child, now))]
    return [part for part in parts if part]


def work_parts(child: ChildJob) -> list[str]:
    """`copying`, `2 of 9 steps done, at orders`: the known parts of what a running child does."""
    progress = child.progress
    parts = [progress.phase] if progress.phase and not is_cancelling(child) and not is_waiting(child) else []
    parts += [_steps_so_far(child)] if progress.steps_total else [object_name(progress.object)]
    return [plain(part) for part in parts if part]


_READS_ALL: Final = {Operation.VACUUM, Operation.CHECK, Operation.BACKUP}
"""Operations whose step on a whole database reads all of it."""


def format_pace(child: ChildJob, now: int, database_size: float | None) -> str:
    """`3.0 steps/s`, `20 s a step`, or of a step on a whole database `about 52.3 MB/s`; "" while it is unknown.

    `database_size`: bytes; None if unknown.
    """
    progress, elapsed = child.progress, run_duration(child, now)
    worked = (elapsed or 0.0) - progress.waited / 1e6
    if worked < REMAINING_AFTER:
        return ""
    if progress.steps_done and progress.steps_total > FEW_STEPS:
        each = worked / progress.steps_done
        if each <= 1:
            return f"{1 / each:,.1f} steps/s"
        return f"{each:.1f} s a step" if each < 10 else f"{rounded(each)} a step"
    is_whole = child.operation in _READS_ALL and not object_name(progress.object)
    if not is_whole or database_size is None or (progress.fraction or 0.0) < REMAINING_FROM:
        return ""
    return f"about {size(database_size * (progress.fraction or 0.0) / worked)}/s"


def _steps_so_far(child: ChildJob) -> str:
    done, total, name = child.progress.steps_done, child.progress.steps_total, object_name(child.progress.object)
    at = f"at {name}" if name and done < total else ""
    if total == 1:
        return at
    count = f"{done:,} of {total:,} steps done"
    running = sum(step.status is Status.RUNNING and step.attempt == child.attempt for step in child.steps)
    if min(running, total - done) > 1:  # the steps may be older than the count
        return f"{count}, {running:,} running"
    return f"{count}, {at}" if at else count
