"""How long a cancel takes and what it leaves: the same words before and after it is requested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from engine import ChildJob, Request, remaining
from engine.domain.errors import DbtendError
from engine.domain.lazy_import import lazy
from engine.domain.steps import UNINTERRUPTIBLE_PHASES, WRITING_BACK
from tui.presentation.text import capitalized, time_left

if TYPE_CHECKING:
    from engine.inspection import inspector
else:
    inspector = lazy("engine.inspection.inspector", "only the question before a cancel needs it")


def cannot_stop(child: ChildJob) -> bool:
    return child.progress.phase in UNINTERRUPTIBLE_PHASES


def will_complete(child: ChildJob) -> str:
    """`will complete` once it writes back; before that it may still stop."""
    return "will complete" if child.progress.phase == WRITING_BACK else "will probably complete"


def after_request(child: ChildJob, at: int, name: str = "it") -> str:
    """What a running child does after a cancel is requested, without a period."""
    if not cannot_stop(child):
        return f"{name} ends as soon as that is safe for the data"
    does = "writing back" if child.progress.phase == WRITING_BACK else "finishing"
    left = time_left(remaining(child, at))
    text = f"{name} is {does}, which cannot be interrupted: it {will_complete(child)}"
    return f"{text}, about {left}" if left else text


def consequence_phrases(child: ChildJob, request: Request, at: int, *, by_force: str) -> Iterator[str]:
    """Phrases without a capital and a period. `at`: the time now; `by_force`: how to kill its process."""
    yield after_request(child, at)
    if second := by_force if cannot_stop(child) else _left_behind(child, request):
        yield second


def consequence_text(child: ChildJob, request: Request, at: int, *, by_force: str, name: str) -> str:
    """What a cancel leads to, as sentences. `name`: the operation, as it is spelled. `by_force`: a sentence."""
    first = after_request(child, at, name) if name else capitalized(after_request(child, at))
    second = by_force if cannot_stop(child) else capitalized(_left_behind(child, request))
    return " ".join(f"{phrase}." for phrase in (first, second) if phrase)


def _left_behind(child: ChildJob, request: Request) -> str:
    with suppress(DbtendError):  # the driver for this kind of database may not be installed here
        return f"leaves: {inspector.after_cancel(request, child.operation, child.progress.steps_done)}"
    return ""
