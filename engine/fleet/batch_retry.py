"""Which jobs of a batch a retry of it repeats."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.batches import Batch, BatchId
from engine.domain.errors import UsageError
from engine.domain.jobs import ParentJob


def repeatable(
    batch: Batch, parents: Sequence[ParentJob], *, only_incomplete: bool
) -> tuple[list[ParentJob], list[ParentJob]]:
    """Those to repeat, and patterns that could not be listed: these cannot be repeated.

    For what a pattern leaves out is not on record: a retry would also run on that.

    Raises UsageError: the batch is not over, or nothing is left.
    """
    name = f"batch {BatchId(batch.id)}"
    if not batch.is_over:
        raise UsageError(name, "is not over", "wait for it, or cancel it first")
    wanted = [
        parent for parent in parents if not (only_incomplete and all(child.is_complete for child in parent.children))
    ]
    if not wanted:
        raise UsageError(name, "every operation completed", "leave out --failed to run them all again")
    patterns = [parent for parent in wanted if parent.is_pattern]
    if len(patterns) == len(wanted):
        raise UsageError(name, "nothing is left but patterns that could not be listed", "run them again")
    return [parent for parent in wanted if not parent.is_pattern], patterns
