"""Which runs of an operation are comparable."""

from __future__ import annotations

from dataclasses import replace

from engine.domain.requests import Operation, Options


def extent(operation: Operation, options: Options) -> tuple[object, ...]:
    """The options that affect the duration of an operation: runs with equal values are comparable."""
    server = replace(options.server, snapshot_wait=None, server_wait=None)
    for_what = options.objects_for(operation), _left_out(operation, options), options.done_by(operation), server
    match operation:
        case Operation.CHECK:
            return *for_what, options.check_level
        case Operation.ANALYZE:
            return *for_what, options.analysis_limit
        case _:
            return for_what


def covers_whole_database(operation: Operation, options: Options) -> bool:
    """Whether an operation covers the whole database."""
    narrowed = options.objects_for(operation) or _left_out(operation, options) or options.done_by(operation)
    return not (narrowed or options.server.schemas)


def _left_out(operation: Operation, options: Options) -> tuple[str, ...]:
    """A check covers skipped tables, too."""
    return () if operation is Operation.CHECK else options.leave_out
