"""What follows from a cancel, before it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from engine import ChildJob, Status, remaining
from engine.jobs import CANNOT_STOP, WRITING_BACK
from tui.keymap import key_of
from tui.text import time_left


def after_a_cancel(children: Sequence[ChildJob], now: int) -> str:
    """What becomes of these children, which are not over, if they are cancelled now: in a sentence or a few."""
    running = [child for child in children if child.status is Status.RUNNING]
    said = [_goes_on(child, now, name_it=len(children) > 1) for child in running if _cannot_stop(child)]
    if not all(map(_cannot_stop, running)):
        said.append("What runs is stopped as soon as that is safe for the data.")
    if len(running) < len(children):
        said.append("What waits does not start." if running else "It has not begun, and does not start.")
    return " ".join(said)


def _cannot_stop(child: ChildJob) -> bool:
    return child.progress.phase in CANNOT_STOP


def _goes_on(child: ChildJob, now: int, *, name_it: bool) -> str:
    which = child.operation.value if name_it else "It"
    does = "is writing back" if child.progress.phase == WRITING_BACK else "is finishing"
    left = time_left(remaining(child, now))
    how_long = f", about {left}" if left else ""
    again = f"{key_of('cancel')} again ends it by force"
    return f"{which} {does}, which cannot be interrupted{how_long}: it will complete. {again}."
