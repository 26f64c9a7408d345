"""The operations that an engine offers: what a person and the engine of jobs must know of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.targets.lock_impact import Lock
from engine.targets.target_info import OperationInfo


@frozen(kw_only=True)
class OperationSpec:
    """An operation: its purpose, its lock, and what remains after a cancel."""

    summary: str
    lock: Lock
    after_cancel: str
    """What remains after a cancel while it runs, as text: `nothing changed`."""
    writes: bool = True
    """Whether it needs a writable database."""
    is_repeatable: bool = True
    """Whether it may simply run again after its worker process died."""
    by_object: bool = True
    """Whether it can be limited to some tables and indexes."""
    in_turns: bool = True
    """Whether it works on several objects, so that their order counts."""
    needs_confirmation: str = ""
    """What a person must confirm before it runs; "" for nothing."""


def operation_infos(
    specs: Mapping[Operation, OperationSpec], locks: Mapping[Operation, Lock] = MappingProxyType({})
) -> tuple[OperationInfo, ...]:
    """`locks`: those that differ from the specs in the current mode of the database."""
    return tuple(
        OperationInfo(operation=operation, summary=spec.summary, lock=locks.get(operation, spec.lock))
        for operation, spec in specs.items()
    )
