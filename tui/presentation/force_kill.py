"""What is said before something is ended by force, and of what was: at the command line and in the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import Attempt, ChildJob, JobId, Reason
from tui.presentation.text import is_on_a_server, target_name

if TYPE_CHECKING:
    from engine import ForceCancel


def question(found: ForceCancel, name: str | None = None) -> str:
    """`name`: what the user calls the target."""
    return f"End #{found.job} {found.operation} on {name or target_name(found.target)} by force?"


def consequences(found: ForceCancel, asked: JobId) -> str:
    """In a sentence or two; `asked` may be the whole job."""
    if found.recovering:
        said = [f"Process {found.pid}, which looks after the database now, is killed: then nobody does."]
    else:
        killed = f"Its process {found.pid} is killed"
        said = [f"{killed}: {looked_after(found.target)}."]
    if found.others:
        said.append(killed_with_it(found))
    if asked.ordinal is None:
        said.append(f"What else #{asked} asks for does not start.")
    return " ".join(said)


def looked_after(target: str) -> str:
    """What is seen to after a process died."""
    if is_on_a_server(target):
        return "what still runs for it on the server is ended, and what it left is dropped"
    return "what it has not finished is undone, and the database is checked for damage"


def killed_with_it(found: ForceCancel) -> str:
    """What else its process does, and what becomes of that."""
    others = " and ".join(f"#{job}" for job in found.others)
    return f"That process also runs {others}: killed with it, to begin again."


def was_ended_by_force(child: ChildJob, attempt: Attempt) -> bool:
    """Whether an attempt lost its process because somebody had it killed."""
    at, ended = child.force_requested_at, attempt.finished_at
    return attempt.reason is Reason.OWNER_LOST and at is not None and attempt.started_at <= at and at <= (ended or at)
