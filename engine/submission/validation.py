"""Validation of requests: pure checks, each with an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from engine.domain import time_limits
from engine.domain.errors import UsageError
from engine.domain.option_specs import changed_options, refuse_inapplicable
from engine.domain.requests import CheckLevel, OnFailure, Operation, Options, Request

if TYPE_CHECKING:
    from engine.targets.protocol import Target

MAX_LOCK_TIMEOUT = 24 * 3600.0
MAX_JOBS = 64


def validate_request(request: Request, target: Target) -> Request:
    """The validated request, in its stored form.

    Raises UsageError unless the operations are known, offered and distinct, and the options valid.
    """
    _validate_operations(request, target)
    options = request.options
    _require_member("on failure", options.on_failure, OnFailure)
    _require_member("on step failure", options.on_step_failure, OnFailure)
    if options.check is not None:
        _require_member("check", options.check, CheckLevel)
    _validate_limits(options)
    if not 0 <= options.lock_timeout <= MAX_LOCK_TIMEOUT:
        hint = f"give seconds from 0 to {MAX_LOCK_TIMEOUT:.0f}"
        raise UsageError(f"lock timeout {options.lock_timeout:g}", "is not possible", hint)
    if options.jobs is not None and not 1 <= options.jobs <= MAX_JOBS:
        raise UsageError(f"jobs {options.jobs}", "is not possible", f"give a number from 1 to {MAX_JOBS}")
    if options.analysis_limit is not None and options.analysis_limit < 1:
        hint = "give 1 or more rows, or no limit"
        raise UsageError(f"analysis limit {options.analysis_limit}", "is not possible", hint)
    _validate_objects(request, target)
    refuse_inapplicable(changed_options(options), target.engine, request.children, options)
    target.validate(request)
    _validate_backup(request)
    if options.verify and options.check is None and Operation.CHECK in request.operations:
        options = replace(options, check=CheckLevel.FULL)  # a requested check is a full one
    return replace(request, options=options)


def _validate_operations(request: Request, target: Target) -> None:
    known = ", ".join(target.operations)
    if not request.operations:
        raise UsageError(target.url, "no operation was chosen", f"choose from {known}")
    for operation in request.operations:
        if not isinstance(operation, Operation):
            raise UsageError(f"operation {str(operation)!r}", "is unknown", f"choose from {known}")
        if operation not in target.operations:
            raise UsageError(f"operation {operation}", f"is not offered for {target.engine}", f"choose from {known}")
    _require_distinct("operation", request.operations)
    if request.options.verify and Operation.CHECK not in target.operations:
        raise UsageError("verify", f"there is no check for {target.engine}", "leave it out")


def _validate_limits(options: Options) -> None:
    if options.time_limit is not None and not 0 < options.time_limit <= time_limits.MAX_TIME_LIMIT:
        raise UsageError(f"time limit {options.time_limit:g} s", "is not possible", "give more than 0, up to a year")
    if options.until is not None and not time_limits.is_time_of_day(options.until):
        raise UsageError(f"until {options.until!r}", "is no time of day", "give HH:MM, such as 06:00")
    if options.stop_at_limit and options.time_limit is None and options.until is None:
        raise UsageError("stop at limit", "there is no limit", "give a time limit, or a time of day")


def _validate_objects(request: Request, target: Target) -> None:
    objects = request.options.objects
    whole = [operation for operation in request.operations if operation not in target.object_operations]
    if objects and whole:
        hint = f"only {', '.join(target.object_operations)} can be done to some tables or indexes"
        raise UsageError(f"operation {whole[0]}", "is always for the whole database", hint)
    _require_distinct("object", objects)
    _require_distinct("schema", request.options.server.schemas)
    _require_distinct("index", request.options.rebuild)
    if "" in objects:
        raise UsageError("object ''", "is no name", "name a table or index, or leave it out")


def _validate_backup(request: Request) -> None:
    backup_to = request.options.backup_to
    if backup_to is None:
        return
    if not PurePath(backup_to).is_absolute() or "\0" in backup_to:
        raise UsageError(f"backup to {backup_to!r}", "is no absolute path", "give one, such as /var/backups/sales.db")


def _require_distinct(noun: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{noun} {name}", "is named twice", f"name each {noun} once")
        seen.add(name)


def _require_member(noun: str, value: str, vocabulary: type[OnFailure] | type[CheckLevel]) -> None:
    if value not in list(vocabulary):
        raise UsageError(f"{noun} {str(value)!r}", "is unknown", f"choose from {', '.join(vocabulary)}")
