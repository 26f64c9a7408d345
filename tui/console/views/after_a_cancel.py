"""What follows from a cancel, before it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from engine import ChildJob, JobId, Status
from engine.domain.errors import DbtendError
from tui.console.keymap import key_of
from tui.presentation.cancel_consequences import after_request, consequence_text


def after_a_cancel(children: Sequence[tuple[ChildJob, str]], now: int) -> str:
    """What becomes of these children, each with its target, which are not over, if they are cancelled now."""
    running = [(child, target) for child, target in children if child.status is Status.RUNNING]
    name_it = len(children) > 1
    by_force = f"{key_of('cancel')} again ends it by force"
    said = [
        consequence_text(child, target, now, by_force=by_force, name=child.operation.value if name_it else "")
        for child, target in running
    ]
    if len(running) < len(children):
        said.append("What waits does not start." if running else "It has not begun, and does not start.")
    return " ".join(dict.fromkeys(said))


def asked_already(job: JobId, running: Sequence[ChildJob], error: DbtendError, now: int) -> str:
    """What becomes of what was asked to stop before, and why it cannot be ended by force either.

    `running`: what of it runs. `error`: why not by force.
    """
    name_it = len(running) > 1
    going_on = [after_request(child, now, child.operation.value if name_it else "it") for child in running]
    hint = f" ({error.hint})" if error.hint else ""
    return (
        f"#{job} was asked to stop already: {'; '.join(going_on)}."
        f" It cannot be ended by force from here: {error.what} {error.why}{hint}."
    )
