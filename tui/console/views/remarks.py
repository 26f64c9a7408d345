"""What is to be said of a child beyond its status, in sentences."""

from __future__ import annotations

from engine import Attempt, ChildJob, ParentJob, Reason, Status
from engine.domain.humanize import NOT_BEGUN, span
from engine.domain.jobs import (
    FINISHING,
    SERVER_WAIT,
    WaitsFor,
    format_child_reason,
    format_ending,
    is_overwritten,
    never_began,
)
from tui.console.keymap import key_of, with_keys
from tui.console.views.line import Line, Role, wrapped
from tui.console.views.status import is_cancelling, is_waiting
from tui.console.views.times import moment
from tui.presentation.cancel_consequences import cannot_stop, will_complete
from tui.presentation.effect_summary import found_damage, is_cut_short, remedy
from tui.presentation.force_kill import looked_after, was_ended_by_force
from tui.presentation.text import path_of

WHAT_TO_DO = {
    Reason.TARGET_BUSY: "Press {retry} to try again. A longer lock_timeout in the config file is for jobs to come.",
    Reason.REFUSED: "Nothing was touched. Put right what the message names, then press {retry}.",
    Reason.OWNER_LOST: "Its worker died, and it was not to be tried once more. Press {retry} to try again.",
    Reason.PREVIOUS_FAILED: "An earlier operation failed, and the request says to stop. Press {retry} to try again.",
    Reason.SHUTDOWN: "Its worker was stopped. Press {retry} to run it again.",
    Reason.TIME_LIMIT: "The time limit of its job had passed. Press {retry} to ask for it again.",
}


def remarks(parent: ParentJob, child: ChildJob, width: int, *, indent: int = 0, told: bool = False) -> list[Line]:
    """What it waits for, its error and what to do about it, and what became of a wish to stop it.

    `told`: whether the error is said elsewhere.
    """
    role = Role.CANCELLED if child.status is Status.CANCELLED else Role.FAILED
    role = Role.DIM if child.reason is Reason.NOT_NEEDED else Role.WARNING if child.is_partly_completed else role
    lines = wrapped(error_of(parent, child), width, role, indent=indent) if child.error and not told else []
    lines += _waits(parent, child, width, indent)
    if is_cancelling(child) or (child.recovering and not child.status.is_final):
        lines += wrapped(_cancelling(parent, child), width, Role.CANCELLED, indent=indent)
    elif child.cancel_requested_at is not None and child.status in {Status.COMPLETED, Status.FAILED}:
        said = f"Cancel was requested; it {child.status.value} all the same."
        if is_cut_short(child):
            said = "It was cancelled, and failed by what it had found by then. Check again to see the rest."
        lines += wrapped(said, width, Role.CANCELLED, indent=indent)
    if is_overwritten(child):
        return lines  # what to do comes first, and is in its error
    if child.reason in WHAT_TO_DO:
        lines += wrapped(with_keys(WHAT_TO_DO[child.reason]), width, indent=indent)
    elif what_to_do := remedy(child):
        lines += wrapped(what_to_do, width, indent=indent)
    elif never_began(child):
        lines += wrapped(NOT_BEGUN, width, Role.CANCELLED, indent=indent)
    elif child.reason is not None and not child.error:
        lines += wrapped(format_child_reason(child), width, Role.DIM, indent=indent)
    return lines


def error_of(parent: ParentJob, child: ChildJob) -> str:
    """Its error, without what is said beside it anyway: which database it is, and to try again."""
    return without_advice(child, (child.error or "").removeprefix(f"{path_of(parent.target)}: "))


def without_advice(child: ChildJob, error: str) -> str:
    """An error of a child or its step, without what to do, where that is said in words of this screen."""
    return error.partition(". Try again")[0] if child.reason in WHAT_TO_DO else error


def what_went_wrong(parent: ParentJob, width: int) -> list[Line]:
    """The errors of all children, one that several have said once, and what to do about them."""
    errors: dict[tuple[str, Status], list[ChildJob]] = {}
    for child in parent.children:
        if child.error and child.reason is not Reason.NOT_NEEDED:
            errors.setdefault((error_of(parent, child), child.status), []).append(child)
    lines: list[Line] = []
    for (error, status), children in errors.items():
        names = ", ".join(child.operation.value for child in children)
        role = {Status.CANCELLED: Role.CANCELLED, Status.COMPLETED: Role.WARNING}.get(status, Role.FAILED)
        lines += wrapped(f"{names}: {error}" if len(parent.children) > 1 else error, width, role)
    for what_to_do in dict.fromkeys(filter(None, map(remedy, parent.children))):
        lines += wrapped(what_to_do, width)
    what_next = next(filter(None, map(in_the_pane, parent.children)), "")
    return lines + (wrapped(with_keys(what_next), width) if what_next else [])


def in_the_pane(child: ChildJob) -> str:
    """What to do about how it ended, where its page is not open yet."""
    if child.reason is Reason.OPERATION_ERROR:
        again = "" if found_damage(child) else ", {retry} to try again"
        return f"Press {{open}} for every step and its error{again}."
    return WHAT_TO_DO.get(child.reason, "") if child.reason else ""


def _waits(parent: ParentJob, child: ChildJob, width: int, indent: int) -> list[Line]:
    if not is_waiting(child):
        return []
    said = child.progress.phase or ""
    lines = wrapped(f"{said[:1].upper()}{said[1:]}", width, Role.WARNING, indent=indent)
    if limit := _limit_of_wait(parent, child.progress.waits_for):
        lines += wrapped(limit, width, Role.DIM, indent=indent)
    return lines


def _limit_of_wait(parent: ParentJob, waits_for: WaitsFor | None) -> str:
    options = parent.request.options
    match waits_for:
        case WaitsFor.LOCK:
            return f"Its lock timeout is {options.lock_timeout:g} s."
        case WaitsFor.SERVER:
            wait = SERVER_WAIT if options.server.server_wait is None else options.server.server_wait
            return f"It waits for its server for {span(wait)} at most."
        case WaitsFor.TRANSACTIONS:
            return "That blocks nobody who reads or writes."
        case _:
            return ""


def _cancelling(parent: ParentJob, child: ChildJob) -> str:
    lost = "Its process was ended by force." if child.force_requested_at is not None else "Its process died."
    if child.recovering and child.status is Status.PENDING:
        return f"{lost} The next worker looks after the database; press {key_of('cancel')} again not to wait for that."
    if child.recovering:
        after = looked_after(parent.target)
        return f"{lost} {after[0].upper()}{after[1:]}."
    by_force = with_keys("Press {cancel} again to end it by force.")
    if cannot_stop(child):
        return f"Cancelling ({FINISHING}): it {will_complete(child)}. {by_force}"
    if _was_stopped_by_limit(parent, child):
        return f"The time limit has passed: it ends as soon as that is safe for the data. {by_force}"
    return f"Asked to stop: it ends as soon as that is safe for the data. {by_force}"


def _was_stopped_by_limit(parent: ParentJob, child: ChildJob) -> bool:
    at, limit = child.cancel_requested_at, parent.deadline_at
    return parent.request.options.stop_at_limit and at is not None and limit is not None and at >= limit


def earlier_attempt(child: ChildJob, now: int) -> str:
    """Why this is not the first attempt, if it is not: `attempt 2: attempt 1 lost its process at 14:02:11`."""
    if child.status is Status.PENDING and child.attempt:
        number, before = child.attempt + 1, child.attempt
    elif child.attempt > 1:
        number, before = child.attempt, child.attempt - 1
    else:
        return ""
    lost = next((attempt for attempt in child.attempts if attempt.number == before), None)
    if lost is None or lost.finished_at is None:
        return f"attempt {number}"
    what = "lost its process" if lost.reason is Reason.OWNER_LOST else "was handed back"
    return f"attempt {number}: attempt {before} {what} at {moment(lost.finished_at, now)}"


def how_it_ended(child: ChildJob, attempt: Attempt) -> str:
    """How an attempt ended, in a few words."""
    if was_ended_by_force(child, attempt):
        return "ended by force"
    if attempt.reason is Reason.OWNER_LOST:
        return "its process died"
    if attempt.reason is Reason.SHUTDOWN:
        return "handed back at a shutdown"
    return format_ending(attempt.status, attempt.reason)
