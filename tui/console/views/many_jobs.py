"""Questions about several jobs at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from engine import ChildJob, JobId, ParentJob
from engine.domain.batches import BatchId
from tui.console.views.status import child_of, operations
from tui.presentation.text import counted, plain

NAMED: Final = 6
"""Jobs that a question names; the others are counted."""

Jobs = Sequence[tuple[ParentJob, JobId]]


def named(jobs: Jobs, name_of: Callable[[str], str], batches: Sequence[str] = ()) -> str:
    """A line for each: `#42.2 analyze on sales.db`; first those of batches."""
    lines = [*batches[:NAMED], *(_format_job(parent, job, name_of) for parent, job in jobs)][:NAMED]
    more = len(batches) + len(jobs) - len(lines)
    return "\n".join([*lines, f"and {more:,} more"] if more else lines)


def format_marked(jobs: int, batches: int) -> str:
    """`2 marked jobs and 1 marked batch`."""
    found = {"marked job": jobs, "marked batch": batches}
    return " and ".join(counted(number, noun) for noun, number in found.items() if number) or counted(0, "marked job")


def open_children(parent: ParentJob, job: JobId) -> list[ChildJob]:
    child = child_of(parent, job)
    return [one for one in ([child] if child else parent.children) if not one.status.is_final]


def left_out(marked: int, meant: int, why: str) -> str:
    """`2 of 5 marked have already ended.`; empty: all are included."""
    return f"\n{marked - meant:,} of {marked:,} marked {why}." if meant < marked else ""


def _format_job(parent: ParentJob, job: JobId, name_of: Callable[[str], str]) -> str:
    child = child_of(parent, job)
    return f"#{job} {child.operation.value if child else operations(parent)} on {plain(name_of(parent.target))}"


def retry_message(made: ParentJob) -> str:
    """Says which new job or batch a retry has made."""
    return f"Runs again as {f'#{made.id}' if made.batch is None else BatchId(made.batch)}."
