"""How much an operation has to do: what runs must have in common to be compared."""

from __future__ import annotations

from dataclasses import replace

from engine.jobs import Operation, Options


def extent(operation: Operation, options: Options) -> tuple[object, ...]:
    """What of the options makes an operation longer or shorter; how long it may wait does not."""
    server = replace(options.server, snapshot_wait=None, server_wait=None)
    match operation:
        case Operation.CHECK:
            return options.objects, server, options.check_level
        case Operation.ANALYZE:
            return options.objects, server, options.analysis_limit
        case _:
            return options.objects_of(operation), server
