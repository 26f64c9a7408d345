"""Requests that repeat finished jobs, and which jobs of a batch are repeated: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.domain.batches import Batch, BatchId
from engine.domain.errors import UsageError
from engine.domain.jobs import ChildJob, ParentJob
from engine.domain.option_specs import applicable, refuse_inapplicable, with_values
from engine.domain.requests import Operation, Options, Request
from engine.domain.statuses import Status
from engine.domain.steps import object_name
from engine.domain.time_limits import has_limit


def retry_request(
    parent: ParentJob,
    *,
    only_incomplete: bool = False,
    confirmed: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Request:
    """The request of a parent again, in full or only what did not complete: operations, and objects of them.

    Of a parent without its steps, its incomplete operations are repeated in full.

    Args:
        confirmed: whether the user confirms operations that need it; the confirmation of the first run does not count.
        changes: values of options by name, instead of those of the first run.

    Raises UsageError: it is still open, it stands for a pattern that could not be listed, nothing is left to repeat, or
    none of its operations has such an option.
    """
    if not parent.status.is_final:
        raise UsageError(f"job {parent.id}", f"is still {parent.status}", "wait for it, or cancel it first")
    if parent.is_pattern:
        raise UsageError(f"job {parent.id}", "its pattern could not be listed", "run the pattern again")
    request = _incomplete(parent) if only_incomplete else _fitting(parent)
    if request is None:
        raise UsageError(f"job {parent.id}", "every operation completed", "leave out --failed to run them all again")
    unforced = replace(request.options, force=False)  # whoever repeats it decides anew
    options = replace(with_values(unforced, changes or {}), confirmed=confirmed)
    refuse_inapplicable(changes or {}, parent.engine, request.children, options)
    if not has_limit(options):  # the window of its schedule is not taken over
        options = replace(options, stop_at_limit=False)
    return replace(request, options=options)


def is_complete(parents: Iterable[ParentJob]) -> bool:
    """Whether all of them have ended, and nothing is left to repeat."""
    return all(parent.status.is_final and all(child.leaves_nothing for child in parent.children) for parent in parents)


def _incomplete(parent: ParentJob) -> Request | None:
    """The request for the incomplete operations of a parent; None if all completed.

    With `verify`, checks run around them again. If only a check is incomplete, the request is that check. Operations
    that run only if needed are asked for in full: those that were not needed may be needed now.
    """
    asked = parent.request
    if asked.options.if_needed is not None:
        return None if all(child.leaves_nothing for child in parent.children) else _fitting(parent)
    children = parent.children[1:-1] if asked.options.verify else parent.children
    left = [child for child in children if not child.leaves_nothing]
    operations = tuple(child.operation for child in left)
    done = {*asked.options.done, *(work for child in left for work in _done(child, asked.options))}
    options = replace(asked.options, done=tuple(sorted(work for work in done if work[0] in operations)))
    if not operations and all(child.leaves_nothing for child in parent.children):
        return None
    if not operations:
        operations = (Operation.CHECK,)
        options = replace(options, verify=False, check=options.check_level)
    request = replace(asked, operations=operations, options=options)
    return replace(request, options=applicable(options, parent.engine, request.children))


def _done(child: ChildJob, options: Options) -> Iterator[tuple[Operation, str]]:
    """The objects on which all steps completed that began."""
    if options.server.in_stages or (options.verify and child.operation is Operation.CHECK):
        return  # each object has several steps; or the checks around the others are repeated in full
    last = max((step.attempt for step in child.steps), default=0)
    open_ = {step.object for step in child.steps if step.attempt == last and step.status is not Status.COMPLETED}
    for name in dict.fromkeys(name for step in child.steps for name in step.done):
        if object_name(name) and name not in open_:
            yield child.operation, name


def _fitting(parent: ParentJob) -> Request:
    """An earlier version accepted options that do not apply."""
    request = parent.request
    return replace(request, options=applicable(request.options, parent.engine, request.children))


def repeatable(
    batch: Batch, parents: Sequence[ParentJob], *, only_incomplete: bool, repeated: Collection[int] = ()
) -> tuple[list[ParentJob], list[ParentJob]]:
    """The jobs to repeat, and patterns that could not be listed: these cannot be repeated.

    For what a pattern leaves out is not on record: a retry would also run on that.

    `repeated`: see `Retries.of_last`; these are left out, unless that leaves none.

    Raises UsageError: the batch is not over, or nothing is left.
    """
    name = f"batch {BatchId(batch.id)}"
    if not batch.is_over:
        raise UsageError(name, "is not over", "wait for it, or cancel it first")
    wanted = [
        parent for parent in parents if not (only_incomplete and all(child.leaves_nothing for child in parent.children))
    ]
    if not wanted:
        raise UsageError(name, "every operation completed", "leave out --failed to run them all again")
    wanted = [parent for parent in wanted if parent.id not in repeated] or wanted
    patterns = [parent for parent in wanted if parent.is_pattern]
    if len(patterns) == len(wanted):
        raise UsageError(name, "nothing is left but patterns that could not be listed", "run them again")
    return [parent for parent in wanted if not parent.is_pattern], patterns


def is_rest(parents: Iterable[ParentJob], repeated: Collection[int]) -> bool:
    """Whether an earlier retry has submitted the others, and ended before it submitted these."""
    return bool(repeated) and all(parent.id not in repeated for parent in parents)
