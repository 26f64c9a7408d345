"""The question before a cancel; its sentences are made in `presentation/cancel_consequences.py`."""

from __future__ import annotations

from collections.abc import Sequence

from engine import ChildJob, JobId, Request, Status
from engine.domain.errors import DbtendError
from tui.console.keymap import key_of
from tui.presentation.cancel_consequences import after_request, consequence_text


def cancel_consequences(children: Sequence[tuple[ChildJob, Request]], now: int) -> str:
    """What a cancel does to these open children, each with its request."""
    running = [(child, request) for child, request in children if child.status is Status.RUNNING]
    name_it = len(children) > 1
    by_force = f"{key_of('cancel')} again kills its process"
    sentences = [
        consequence_text(child, request, now, by_force=by_force, name=child.operation.value if name_it else "")
        for child, request in running
    ]
    if len(running) < len(children):
        sentences.append("Pending operations do not start." if running else "It has not started yet, and will not.")
    return " ".join(dict.fromkeys(sentences))


def already_cancelled(job: JobId, running: Sequence[ChildJob], error: DbtendError, now: int) -> str:
    """What happens after an earlier cancel, and why its process cannot be killed.

    `running`: its running children. `error`: why its process cannot be killed.
    """
    name_it = len(running) > 1
    phrases = [after_request(child, now, child.operation.value if name_it else "it") for child in running]
    hint = f" ({error.hint})" if error.hint else ""
    return (
        f"Cancel of #{job} was already requested: {'; '.join(phrases)}."
        f" Its process cannot be killed from here: {error.what} {error.why}{hint}."
    )
