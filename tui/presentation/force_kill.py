"""The question before a process is killed, and the consequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import Attempt, ChildJob, JobId, Operation, Reason
from tui.presentation.text import capitalized, is_on_a_server, plain, target_name

if TYPE_CHECKING:
    from engine import ForceCancel


def question(found: ForceCancel, name: str | None = None) -> str:
    """`name`: what the user calls the target."""
    return f"Kill the process of #{found.job} {found.operation} on {name or target_name(found.target)}?"


def consequences(found: ForceCancel, asked: JobId) -> str:
    """One or two sentences; `asked` may be the whole job."""
    if found.recovering:
        sentences = [
            f"{capitalized(process(found))} is checking the database. If it is killed, that check does not finish."
        ]
    else:
        sentences = [f"Its {process(found)} is killed: {recovery_text(found.target, found.operation)}."]
    if found.others:
        sentences.append(killed_with_it(found))
    if asked.ordinal is None:
        sentences.append(f"The other operations of #{asked} do not start.")
    return " ".join(sentences)


def process(found: ForceCancel) -> str:
    """`process 17`, `process 17 on db2`."""
    return f"process {found.pid} on {plain(found.host)}" if found.host else f"process {found.pid}"


def recovery_text(target: str, operation: Operation) -> str:
    """What crash recovery does after a process died."""
    if operation is Operation.REPAIR:
        return "the server goes on with the repair: it is waited for, then its table is checked"
    if is_on_a_server(target):
        return "what still runs for it on the server is ended, and what it left is dropped"
    return "what it has not finished is undone, and the database is checked for damage"


def killed_with_it(found: ForceCancel) -> str:
    """The other jobs of its process, which start again."""
    others = " and ".join(f"#{job}" for job in found.others)
    return f"That process also runs {others}: killed with it, to begin again."


def was_force_killed(child: ChildJob, attempt: Attempt) -> bool:
    """Whether an attempt ended because a user had its process killed."""
    at, ended = child.force_requested_at, attempt.finished_at
    return attempt.reason is Reason.OWNER_LOST and at is not None and attempt.started_at <= at and at <= (ended or at)
