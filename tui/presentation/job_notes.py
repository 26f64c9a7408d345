"""The sentences about a job beside its status: errors, waits, cancels, and what to do.

The command line and the console say the same; they differ in how a person acts, which `Instructions` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from engine import ChildJob, ParentJob, Reason, Status
from engine.domain.engines import EngineName
from engine.domain.frozen import frozen
from engine.domain.humanize import NOT_BEGUN, span
from engine.domain.jobs import format_child_reason, is_cancelling, is_overwritten, never_began
from engine.domain.requests import OnFailure, Operation
from engine.domain.server_names import command_word
from engine.domain.steps import FINISHING, IS_UNCHECKED, WaitsFor
from tui.presentation.cancel_consequences import cannot_stop, will_complete
from tui.presentation.effect_summary import error_of, found_damage, is_cut_short, remedy
from tui.presentation.force_kill import recovery_text
from tui.presentation.job_status import is_waiting
from tui.presentation.text import capitalized

NO_CHECK_WAS_ON_RECORD: Final = (
    "no check of this database was on record: if it was damaged, what wrote to it may have made a loss final. Check it"
)


@frozen
class Instructions:
    """How a person acts on a job: `press r` in the console, `run dbtend retry 42` at the command line."""

    retry: str
    show: str
    skip_recovery: str
    force: str


class NoteKind(StrEnum):
    ERROR = "error"
    WAIT = "wait"
    WAIT_LIMIT = "wait_limit"
    CANCEL = "cancel"
    ADVICE = "advice"
    REASON = "reason"


@frozen
class Note:
    kind: NoteKind
    text: str


_ADVICE: Final[Mapping[Reason, Callable[[Instructions], str]]] = {
    Reason.TARGET_BUSY: lambda how: (
        f"{capitalized(how.retry)} when the database is free."
        " New jobs wait longer with --lock-timeout, or lock_timeout in the config file."
    ),
    Reason.DAMAGED: lambda _: "Put the damage right, for example from a backup, then run a full check.",
    Reason.REFUSED: lambda how: f"Fix what the message names, then {how.retry}; for another option, start a new run.",
    Reason.UNREACHABLE: lambda how: f"Nothing was begun. Fix what the message names, then {how.retry}.",
    Reason.SERVER_LOST: lambda how: (
        f"What completed stays. When the server is up again, {how.retry}: it runs the steps that did not complete."
    ),
    Reason.SERVER_DIED: lambda _: (
        "Read the error log of the server before anything else: to work on the same object again may end the server"
        " again."
    ),
    Reason.TOO_MANY_FAILURES: lambda how: (
        f"Too many other jobs of its batch failed. {capitalized(how.retry)} to run it anyway."
    ),
    Reason.CANARY_FAILED: lambda how: (
        f"A job that its batch runs first did not complete. {capitalized(how.retry)} to run it anyway."
    ),
    Reason.OWNER_LOST: lambda how: f"The worker died and no attempt is left. {capitalized(how.retry)} to try again.",
    Reason.PREVIOUS_FAILED: lambda how: (
        f"An earlier operation failed and the request says to stop then. {capitalized(how.retry)} to try again."
    ),
    Reason.SHUTDOWN: lambda how: f"The worker was stopped. {capitalized(how.retry)} to run it again.",
    Reason.TIME_LIMIT: lambda how: f"The time limit of the job had passed. {capitalized(how.retry)} to run the rest.",
    Reason.WILL_NOT_FIT: lambda _: (
        "By their estimates the steps that are left would have ended after the time limit."
        " Give a longer one, or --no-fit to begin them anyway."
    ),
}


def advice(parent: ParentJob, child: ChildJob, how: Instructions) -> str:
    """What to do about how a child ended; "" where nothing is to be done, or its error says it."""
    if is_overwritten(child):
        return ""
    if is_unrecovered(child):
        sound = "A check of the database says whether it is sound."
        again = f"{capitalized(how.retry)} to do the operation again."
        return " ".join(filter(None, (left_by_dead_process(parent, child.operation), sound, again)))
    if child.reason is not None and child.reason in _ADVICE:
        return _advice_of(parent, child, child.reason, how)
    began = child.attempt > 1 or child.progress.steps_total or child.steps or child.after
    if child.reason is Reason.OPERATION_ERROR and not began:
        return _ADVICE[Reason.UNREACHABLE](how)
    return remedy(child)


def unchecked_warning(child: ChildJob) -> str:
    """Where an operation may have written, and no check of its database was on record before; else ""."""
    has_ended = child.status in {Status.COMPLETED, Status.FAILED}
    wrote = has_ended or any(step.status is Status.COMPLETED for step in child.steps)
    return NO_CHECK_WAS_ON_RECORD if wrote and (child.before or {}).get(IS_UNCHECKED) is True else ""


def is_unrecovered(child: ChildJob) -> bool:
    """Whether it was cancelled after its process died and before its database was recovered, by it or a later job."""
    ended_waiting = child.status is Status.CANCELLED and child.started_at is None
    if child.reason is Reason.NOT_NEEDED:
        return False
    return ended_waiting and any(attempt.reason is Reason.OWNER_LOST for attempt in child.attempts[-1:])


def left_by_dead_process(parent: ParentJob, operation: Operation) -> str:
    """What may be left where the database was not recovered, and what removes it; "" for nothing."""
    command = f"dbtend run {command_word(parent.target)} --op"
    match parent.engine, operation:
        case EngineName.SQLITE, Operation.BACKUP:
            return f"Its unfinished copy may be left: {command} backup removes it."
        case EngineName.SQLITE, Operation.VACUUM if parent.request.options.swap:
            return f"Its unfinished copy may be left: {command} vacuum --swap removes it."
        case EngineName.POSTGRESQL, Operation.REINDEX | Operation.OPTIMIZE | Operation.REPACK:
            return f"An index or a copy that is not complete may be left: {command} clean-leftovers drops it."
        case EngineName.MYSQL, Operation.REPAIR:
            return f"A table may be crashed, or its repair may still run on the server: then {command} repair again."
        case EngineName.MYSQL, _:
            return "Its command may still run on the server: SHOW PROCESSLIST names it, and KILL ends it."
        case _:
            return ""


def advice_to_open(parent: ParentJob, child: ChildJob, how: Instructions) -> str:
    """What to do about how a child ended, where its steps are not shown."""
    if child.reason is Reason.OPERATION_ERROR:
        again = "" if found_damage(child) else f", {how.retry} to try again"
        return f"{capitalized(how.show)} for each step and its error{again}."
    return "" if child.reason is None or child.reason not in _ADVICE else _advice_of(parent, child, child.reason, how)


def _advice_of(parent: ParentJob, child: ChildJob, reason: Reason, how: Instructions) -> str:
    if reason is Reason.PREVIOUS_FAILED and parent.request.options.on_failure is OnFailure.CONTINUE:
        return f"It runs only after a check that finds no damage. {capitalized(how.retry)} to check and try again."
    gave_up = (step.attempt == child.attempt and step.gave_up_on_transactions for step in child.steps)
    if reason is Reason.TARGET_BUSY and any(gave_up):
        return f"{capitalized(how.retry)} when that transaction has ended. New jobs wait longer with --snapshot-wait."
    done = f"Nothing was changed by {child.operation}. " if reason is Reason.REFUSED else ""
    return done + _ADVICE[reason](how)


def notes(parent: ParentJob, child: ChildJob, how: Instructions) -> Iterator[Note]:
    """The notes about a child, the error first."""
    if child.error:
        yield Note(NoteKind.ERROR, error_of(child, parent.target))
    if is_waiting(child) and child.progress.phase:
        yield Note(NoteKind.WAIT, capitalized(child.progress.phase))
        if limit := _wait_limit(parent, child.progress.waits_for):
            yield Note(NoteKind.WAIT_LIMIT, limit)
    if cancel := _cancel_note(parent, child, how):
        yield Note(NoteKind.CANCEL, cancel)
    if what_to_do := advice(parent, child, how):
        yield Note(NoteKind.ADVICE, what_to_do)
    elif never_began(child):
        yield Note(NoteKind.CANCEL, NOT_BEGUN)
    elif child.reason is not None and not child.error:
        yield Note(NoteKind.REASON, format_child_reason(child))


def _wait_limit(parent: ParentJob, waits_for: WaitsFor | None) -> str:
    options = parent.request.options
    match waits_for:
        case WaitsFor.LOCK:
            return f"Its lock timeout is {options.lock_timeout:g} s."
        case WaitsFor.SERVER:
            wait = options.server.longest_wait
            return f"It waits up to {span(wait)} for its server, longer while other jobs of dbtend fill it."
        case WaitsFor.TRANSACTIONS:
            return "Readers and writers are not blocked."
        case WaitsFor.SPACE:
            return "It goes on within a minute after there is room. A repair that is ended leaves its table crashed."
        case _:
            return ""


def _cancel_note(parent: ParentJob, child: ChildJob, how: Instructions) -> str:
    if is_cancelling(child) or (child.recovering and not child.status.is_final):
        return _cancelling(parent, child, how)
    if is_cut_short(child):
        return "The check was cancelled after it had found something. Check again to see the rest."
    if child.cancel_requested_at is not None and child.status in {Status.COMPLETED, Status.FAILED}:
        return f"Cancel was requested, but it {child.status.value}."
    return ""


def _cancelling(parent: ParentJob, child: ChildJob, how: Instructions) -> str:
    lost = "Its process was killed" if child.force_requested_at is not None else "Its worker died"
    if child.recovering and child.status is Status.PENDING:
        return f"{lost}. The next worker checks the database; {how.skip_recovery} not to wait for that."
    if child.recovering:
        return f"{lost}: {recovery_text(parent.target, child.operation)}."
    by_force = f"{capitalized(how.force)} to kill its process."
    if cannot_stop(child):
        is_full = child.progress.waits_for is WaitsFor.SPACE
        waits = " The disk of the server is full: free some space there." if is_full else ""
        return f"Cancelling ({FINISHING}): it {will_complete(child)}.{waits} {by_force}"
    cause = "The time limit has passed" if _was_stopped_by_limit(parent, child) else "Cancel was requested"
    return f"{cause}: it ends as soon as that is safe for the data. {by_force}"


def _was_stopped_by_limit(parent: ParentJob, child: ChildJob) -> bool:
    at, limit = child.cancel_requested_at, parent.deadline_at
    return parent.request.options.stop_at_limit and at is not None and limit is not None and at >= limit
