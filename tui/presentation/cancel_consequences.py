"""What follows from a cancel for what runs: in the same words before it is asked for and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from engine import ChildJob, remaining
from engine.domain.errors import DbtendError
from engine.domain.jobs import UNINTERRUPTIBLE_PHASES, WRITING_BACK
from engine.inspection import inspector
from tui.presentation.text import time_left


def cannot_stop(child: ChildJob) -> bool:
    return child.progress.phase in UNINTERRUPTIBLE_PHASES


def will_complete(child: ChildJob) -> str:
    """How surely one that cannot stop gets to its end: one that merely has not stopped when it was asked to may yet."""
    return "will complete" if child.progress.phase == WRITING_BACK else "will probably complete"


def goes_on(child: ChildJob, at: int, *, called: str = "it") -> str:
    """What a child that runs does from now on, once it is asked to stop."""
    if not cannot_stop(child):
        return f"{called} ends as soon as that is safe for the data"
    does = "writing back" if child.progress.phase == WRITING_BACK else "finishing"
    left = time_left(remaining(child, at))
    said = f"{called} is {does}, which cannot be interrupted: it {will_complete(child)}"
    return said + (f", about {left}" if left else "")


def what_follows(child: ChildJob, target: str, at: int, *, by_force: str, called: str = "it") -> Iterator[str]:
    """In phrases without a period.

    Args:
        at: the time now.
        by_force: how it is ended all the same, where it cannot be interrupted.
        called: what the child is called.
    """
    yield goes_on(child, at, called=called)
    if cannot_stop(child):
        yield by_force
    else:
        with suppress(DbtendError):  # a kind of database that this machine has no driver for
            yield f"leaves: {inspector.after_cancel(target, child.operation)}"
