"""The attempts of a child with their steps and log lines, and what a check found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from engine import Attempt, ChildJob, LogLine, Operation, ParentJob, Reason, Status, Step
from engine.domain.frozen import frozen
from engine.domain.statuses import format_ending
from engine.domain.steps import object_name
from tui.presentation.effect_summary import error_of, findings_counted, is_finding, is_listed_finding, step_effect
from tui.presentation.force_kill import was_force_killed
from tui.presentation.job_status import PROCESS_KILLED, WORKER_DIED
from tui.presentation.job_times import moment
from tui.presentation.text import counted, plain, precise_duration
from tui.presentation.window_words import step_error

_ATTEMPT_ENDS = {Reason.OWNER_LOST: WORKER_DIED, Reason.SHUTDOWN: "handed back at a shutdown"}


MOST_STEPS: Final = 20
"""Of more steps that completed only some are shown."""
LONGEST_STEPS: Final = 10


@frozen
class StepText:
    """The texts of a step; `error` is empty where something else says it."""

    took: str
    what: str
    """Its command, or its object."""
    effect: str
    error: str


def attempt_numbers(child: ChildJob) -> list[int]:
    """The numbers of all known attempts. Jobs of early versions have steps without attempts."""
    known = {attempt.number for attempt in child.attempts}
    return sorted(known | {step.attempt for step in child.steps} | {line.attempt for line in child.log})


def attempt_text(child: ChildJob, attempt: Attempt, format_time: Callable[[int], str]) -> str:
    """`attempt 1  pid 4711 on db1  14:02:11 to 14:03:40  worker died`."""
    process = f"pid {attempt.pid} on {plain(attempt.host or '?')}" if attempt.pid else "unknown process"
    started = format_time(attempt.started_at)
    if attempt.finished_at is None:
        return f"attempt {attempt.number}  {process}  since {started}"
    return (
        f"attempt {attempt.number}  {process}  {started} to {format_time(attempt.finished_at)}  {_end(child, attempt)}"
    )


def _end(child: ChildJob, attempt: Attempt) -> str:
    if was_force_killed(child, attempt):
        return PROCESS_KILLED
    if attempt.reason in _ATTEMPT_ENDS:
        return _ATTEMPT_ENDS[attempt.reason]
    return format_ending(attempt.status, attempt.reason)


def earlier_attempt(child: ChildJob, now: int) -> str:
    """`attempt 2: worker died in attempt 1 at 14:02:11`; "" for a first attempt."""
    if child.status is Status.PENDING and child.attempt:
        current, earlier = child.attempt + 1, child.attempt
    elif child.attempt > 1:
        current, earlier = child.attempt, child.attempt - 1
    else:
        return ""
    lost = next((attempt for attempt in child.attempts if attempt.number == earlier), None)
    if lost is None or lost.finished_at is None:
        return f"attempt {current}"
    by = "" if lost.login is None else f", recorded by {plain(lost.login)}"
    return f"attempt {current}: attempt {earlier} ended at {moment(lost.finished_at, now)} ({_end(child, lost)}{by})"


def shown_steps(child: ChildJob, attempt: int, now: int, *, all_of_them: bool) -> tuple[list[Step], list[Step]]:
    """The steps of an attempt that are shown, and the others: of many that completed those that took longest count."""
    steps = [step for step in child.steps if step.attempt == attempt]
    quiet = _quiet_steps(child, attempt)
    if all_of_them or len(quiet) <= MOST_STEPS:
        return steps, []
    longest = sorted(quiet, key=lambda step: step.started_at - (step.finished_at or now))[:LONGEST_STEPS]
    hidden = {step.number for step in quiet} - {step.number for step in longest}
    return [one for one in steps if one.number not in hidden], [one for one in steps if one.number in hidden]


def _quiet_steps(child: ChildJob, attempt: int) -> list[Step]:
    """The completed steps of an attempt that have no error."""
    steps = (step for step in child.steps if step.attempt == attempt)
    return [step for step in steps if step.status is Status.COMPLETED and step.error is None]


def hidden_text(hidden: Sequence[Step], now: int) -> StepText:
    """The text in place of steps that `shown_steps` leaves out."""
    seconds = sum((step.finished_at or now) - step.started_at for step in hidden) / 1e6
    return StepText(precise_duration(seconds), counted(len(hidden), "shorter step"), "", "")


def _object_of_check(child: ChildJob, step: Step) -> str:
    """The object that a step of a check shows in place of its long command; "" if that is the whole database."""
    return object_name(step.object) if child.operation is Operation.CHECK else ""


def is_shortened(parent: ParentJob) -> bool:
    """Whether steps, their commands or log lines on settings are left out where not everything is asked for."""
    return settings_lines(parent) > 0 or any(
        any(_object_of_check(child, step) for step in child.steps)
        or any(len(_quiet_steps(child, number)) > MOST_STEPS for number in {step.attempt for step in child.steps})
        for child in parent.children
    )


def step_text(
    child: ChildJob, step: Step, target: str, now: int, told: Collection[str], *, with_command: bool
) -> StepText:
    """The texts of a step of `child`.

    Args:
        now: for a step that runs.
        told: errors that are shown already.
        with_command: show the command of a check, too.
    """
    took = precise_duration(max((step.finished_at or now) - step.started_at, 0) / 1e6)
    what = step.command if with_command else _object_of_check(child, step) or step.command
    error = step_error(step)
    is_shown = error in told or is_listed_finding(child, step)
    is_shown = is_shown or (step.attempt == child.attempt and error == error_of(child, target))
    return StepText(took, plain(what), step_effect(step.effect), "" if is_shown else error)


def log_entries(child: ChildJob, attempt: int, *, with_settings: bool = True) -> Iterator[LogLine | str]:
    """The log of an attempt without findings; a sentence stands where lines were not kept.

    `with_settings`: with the lines that only name settings.
    """
    expected = 1
    for entry in (entry for entry in child.log if entry.attempt == attempt):
        if entry.number > expected:
            yield f"... {counted(entry.number - expected, 'line')} left out ..."
        expected = entry.number + 1
        if not is_finding(child, entry) and (with_settings or not entry.is_settings):
            yield entry


def settings_lines(parent: ParentJob) -> int:
    """How many lines in the logs of a job only name settings."""
    return sum(entry.is_settings for child in parent.children for entry in child.log)


def findings_not_kept(child: ChildJob, kept: Sequence[str]) -> int:
    """How many findings a check counted beyond those that were kept."""
    return max(findings_counted(child) - len(kept), 0) if kept else 0
