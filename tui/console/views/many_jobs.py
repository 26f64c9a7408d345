"""What is asked before something is done to several jobs at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from engine import ChildJob, JobId, ParentJob
from tui.console.views.status import child_of, operations
from tui.presentation.text import counted, plain

NAMED: Final = 6
"""How many are named; of the others the number must do."""

Jobs = Sequence[tuple[ParentJob, JobId]]


def named(jobs: Jobs, name_of: Callable[[str], str]) -> str:
    """A line for each: `#42.2 analyze on sales.db`."""
    lines = [_in_words(parent, job, name_of) for parent, job in jobs[:NAMED]]
    if more := len(jobs) - NAMED:
        lines += [f"and {counted(more, 'more job')}"] if more > 0 else []
    return "\n".join(lines)


def unfinished(parent: ParentJob, job: JobId) -> list[ChildJob]:
    """The children that are meant and not over."""
    child = child_of(parent, job)
    return [one for one in ([child] if child else parent.children) if not one.status.is_final]


def left_out(marked: int, meant: int, why: str) -> str:
    """Of some that are marked that nothing is done to them; empty where all are meant."""
    return f"\n{marked - meant} of {marked} marked {why}." if meant < marked else ""


def _in_words(parent: ParentJob, job: JobId, name_of: Callable[[str], str]) -> str:
    child = child_of(parent, job)
    return f"#{job} {child.operation.value if child else operations(parent)} on {plain(name_of(parent.target))}"


def runs_once_more(made: ParentJob) -> str:
    """What is said of a job that asks for the same again."""
    return f"Runs once more as #{made.id}."
