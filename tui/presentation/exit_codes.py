"""The exit codes of commands. The numbers are a contract."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from engine import ChildJob, ParentJob, Reason, Status
from engine.domain.errors import DbtendError, TargetBusyError, TargetRefusedError
from tui.presentation.fact_format import number

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
SKIPPED: Final = 3
REFUSED: Final = 4
TIME_LIMIT: Final = 5
CANCELLED: Final = 130

MEANINGS: Final[Mapping[int, str]] = {
    OK: "everything completed, or nothing was needed",
    FAILED: "an operation failed, or one of several databases could not be opened",
    USAGE: "wrong usage, or the only database cannot be opened",
    SKIPPED: "finished, but something was skipped, lost or left out: though named, without rights or disk space,"
    " or as a server died under it",
    REFUSED: "refused before it began; with --needed: something must be put right by hand first",
    TIME_LIMIT: "the time limit came first, or was too near: work is left",
    CANCELLED: "cancelled; or stopped by a signal, and left to a worker process",
}
_NOT_DONE: Final = ("steps_skipped", "left_out", "rows_lost")  # of what a server was asked for
PRECEDENCE: Final = (CANCELLED, FAILED, USAGE, REFUSED, TIME_LIMIT, SKIPPED)
"""The exit code of a command with several causes is the first of these."""


def exit_code(jobs: Iterable[ParentJob]) -> int:
    """The code for jobs that are over: of several causes the weightiest."""
    return weightiest({_cause(child) for job in jobs for child in job.children})


def weightiest(codes: Collection[int]) -> int:
    return next((code for code in PRECEDENCE if code in codes), OK)


def _cause(child: ChildJob) -> int:
    match child.status, child.reason:
        case Status.COMPLETED, Reason.TIME_LIMIT | Reason.WILL_NOT_FIT:
            return TIME_LIMIT
        case Status.COMPLETED, _:
            return SKIPPED if any(number(child.after, name) for name in _NOT_DONE) else OK
        case Status.SKIPPED, Reason.NOT_NEEDED:
            return OK
        case Status.FAILED | Status.SKIPPED, Reason.REFUSED | Reason.DAMAGED:
            return REFUSED
        case _, Reason.TIME_LIMIT | Reason.WILL_NOT_FIT:
            return TIME_LIMIT
        case Status.FAILED, _:
            return FAILED
        case Status.SKIPPED, _:
            return SKIPPED
        case _:
            return CANCELLED


def error_code(problem: DbtendError) -> int:
    """The code for an error that kept a command from doing its work."""
    return REFUSED if isinstance(problem, TargetRefusedError | TargetBusyError) else USAGE
