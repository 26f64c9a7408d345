"""Statuses of jobs and steps, their legal transitions, the reasons why a job ended, and the words for them.

`worker died` is one of these. Its error is in `engine/store/ending_texts.py`, what to do about it in
`tui/presentation/job_notes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """The status of a job or step. The last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.SKIPPED})


class Reason(StrEnum):
    """Why a child did not plainly complete."""

    OPERATION_ERROR = "operation_error"
    INVALID = "invalid"
    NOT_SUPPORTED = "not_supported"
    REFUSED = "refused"
    NOT_NEEDED = "not_needed"
    TIME_LIMIT = "time_limit"
    WILL_NOT_FIT = "will_not_fit"
    """By its estimate it would have ended after the time limit."""
    PREVIOUS_FAILED = "previous_failed"
    OWNER_LOST = "owner_lost"
    CANCELLED_BY_USER = "cancelled_by_user"
    SHUTDOWN = "shutdown"
    TARGET_BUSY = "target_busy"
    UNREACHABLE = "unreachable"
    """Its target cannot be opened: it never began."""
    SERVER_LOST = "server_lost"
    SERVER_DIED = "server_died"
    """The server went down while it worked on an object, which may be damaged."""
    """The connection to its server was lost before the server said how it ended."""
    TOO_MANY_FAILURES = "too_many_failures"
    """So many other jobs of its batch failed."""
    CANARY_FAILED = "canary_failed"
    """A job that its batch ran first did not complete."""
    DAMAGED = "damaged"
    """What it would write to is known to be damaged."""


_REASON_TEXTS: Final = {
    Reason.TIME_LIMIT: "past its limit",
    Reason.WILL_NOT_FIT: "no time left",
    Reason.PREVIOUS_FAILED: "earlier failed",
    Reason.OWNER_LOST: "worker died",
    Reason.DAMAGED: "known damage",
}
"""Texts for reasons whose name does not say enough."""


def format_reason(reason: Reason) -> str:
    return _REASON_TEXTS.get(reason, reason.value.replace("_", " "))


def reason_names(reason: Reason) -> frozenset[str]:
    """All spellings of a reason: `owner_lost`, `owner lost`, `worker died`."""
    return frozenset({reason.value, reason.value.replace("_", " "), format_reason(reason)})


LEFT_BY_WINDOW: Final = frozenset({Reason.TIME_LIMIT, Reason.WILL_NOT_FIT})
"""The reasons of work that was not begun because its window closes."""
PARTIAL: Final = "partial"


def format_ending(status: Status, reason: Reason | None) -> str:
    """The text for a status; a partial completion must not read as completed, nor a target not opened as failed."""
    if status is Status.FAILED and reason is Reason.UNREACHABLE:
        return Reason.UNREACHABLE.value
    return PARTIAL if status is Status.COMPLETED and reason in LEFT_BY_WINDOW else status.value


Transitions = Mapping[Status, frozenset[Status]]
CHILD_TRANSITIONS: Transitions = {
    # Straight to failed: at the submit of a batch, if its target cannot be opened.
    Status.PENDING: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED, Status.SKIPPED}),
    # Back to pending: handed back at shutdown, or rescued from an owner that died.
    Status.RUNNING: frozenset({Status.PENDING}) | FINAL,
}
PARENT_TRANSITIONS: Transitions = {
    Status.PENDING: frozenset({Status.RUNNING, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
}


def may_follow(transitions: Transitions, old: Status, new: Status) -> bool:
    """Whether a job may go from `old` to `new`; nothing follows a final status."""
    return new in transitions.get(old, frozenset())


def parent_status(children: Iterable[tuple[Status, bool]]) -> Status:
    """The status of a parent, from its children as (status, has ever started).

    The shared store has the same rule as a function of its server: `functions/01_rules.sql:parent_status`.
    """
    seen = set(children)
    statuses = {status for status, _ in seen}
    if statuses - FINAL:
        started = any(started for _, started in seen)
        return Status.RUNNING if started else Status.PENDING
    if Status.FAILED in statuses:
        return Status.FAILED
    if Status.CANCELLED in statuses:
        return Status.CANCELLED
    return Status.COMPLETED
