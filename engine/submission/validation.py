"""Validation of requests: pure checks, each with an error that says what to do. Which targets only others reach."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.domain.batches import MAX_BATCH_NUMBER, BatchOptions
from engine.domain.engines import EngineName
from engine.domain.errors import TargetDamagedError, TargetError, TargetUnavailableError, UsageError
from engine.domain.option_specs import BACKED_UP_BY, OPTION_SPECS, changed_options, refuse_inapplicable
from engine.domain.requests import CheckLevel, Operation, Options, Request
from engine.domain.time_limits import has_limit
from engine.domain.value_types import require_distinct
from engine.targets import resolve

if TYPE_CHECKING:
    from engine.targets.target import Target


def validate_request(request: Request, target: Target, *, closes: bool = False) -> Request:
    """The validated request, in its stored form. `closes`: whether its window has an end besides its options.

    Raises UsageError unless the operations are known, offered and distinct, and the options valid.
    """
    _validate_operations(request, target)
    options = request.options
    _validate_values(options)
    if options.stop_at_limit and not (closes or has_limit(options)):
        raise UsageError("stop at limit", "there is no limit", "give a time limit, or a time of day")
    _validate_objects(request, target)
    _refuse_inapplicable(options, target.engine, request.children)
    target.validate(request)
    if options.verify and options.check is None and Operation.CHECK in request.operations:
        options = replace(options, check=CheckLevel.FULL)  # a requested check is a full one
    return replace(request, options=options)


@lru_cache(maxsize=16)
def _validate_values(options: Options) -> None:
    """Kept, as all requests of a batch have the same."""
    for spec in OPTION_SPECS:
        spec.validate(options)


@lru_cache(maxsize=16)
def _refuse_inapplicable(options: Options, engine: EngineName, operations: tuple[Operation, ...]) -> None:
    refuse_inapplicable(changed_options(options), engine, operations, options)


def validate_batch(options: BatchOptions) -> None:
    """Raises UsageError."""
    numbers = {"max failures": options.max_failures, "canary": options.canary, "max per host": options.max_per_host}
    for name, number in numbers.items():
        if number is not None and not 1 <= number <= MAX_BATCH_NUMBER:
            raise UsageError(f"{name} {number}", "is not possible", f"give a number from 1 to {MAX_BATCH_NUMBER:,}")


def _validate_operations(request: Request, target: Target) -> None:
    known = ", ".join(target.operations)
    if not request.operations:
        raise UsageError(target.url, "no operation was chosen", f"choose from {known}")
    for operation in request.operations:
        if not isinstance(operation, Operation):
            raise UsageError(f"operation {str(operation)!r}", "is unknown", f"choose from {known}")
        if operation not in target.operations:
            here = next((name for name, spec in target.operations.items() if operation in spec.stands_for), None)
            hint = f"choose from {known}" if here is None else f"here that is {here}"
            if operation is Operation.BACKUP:
                hint = BACKED_UP_BY[target.engine]
            raise UsageError(f"operation {operation}", f"is not offered for {target.engine}", hint)
    require_distinct("operation", request.operations)
    if request.options.verify and Operation.CHECK not in target.operations:
        raise UsageError("verify", f"there is no check for {target.engine}", "leave it out")


def _validate_objects(request: Request, target: Target) -> None:
    objects = request.options.objects
    by_object = [operation for operation, spec in target.operations.items() if spec.by_object]
    whole = [operation for operation in request.operations if operation not in by_object]
    if objects and whole:
        hint = f"only {', '.join(by_object)} can be done to some tables or indexes"
        raise UsageError(f"operation {whole[0]}", "is always for the whole database", hint)


def is_elsewhere(request: Request) -> bool:
    """Whether it is a file of another host."""
    return resolve(request.target).elsewhere is not None


def may_be_reached_elsewhere(request: Request, error: TargetError) -> bool:
    """Whether the workers of its queue may reach what cannot be reached from here."""
    is_reached = isinstance(error, TargetDamagedError) or not isinstance(error, TargetUnavailableError)
    return request.options.server.queue is not None and not is_reached
