"""The steps of `purge-undo`: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.humanize import size
from engine.domain.requests import Operation
from engine.targets.lock_impact import NO_LOCK
from engine.targets.mysql.connection.names import quote
from engine.targets.mysql.planning.operation_specs import SPECS
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading.undo import HELPER, Truncation, UndoSpace
from engine.targets.plans import OperationPlan

SMALL: Final = 16 * 1024**2
"""Bytes of an undo tablespace that was just made."""


def plan_of_mariadb(found: Truncation) -> OperationPlan:
    """A plan without steps: MariaDB has no command to purge undo tablespaces."""
    if found.to_set:
        return OperationPlan(operation=Operation.PURGE_UNDO, refused=found.to_set)
    by_itself = (
        f"MariaDB truncates undo tablespaces by itself once they are larger than {size(found.threshold)} and no"
        " transaction needs them. SET GLOBAL innodb_max_undo_log_size lowers that"
    )
    return OperationPlan(operation=Operation.PURGE_UNDO, not_needed=by_itself)


def plan_purge(spaces: Sequence[UndoSpace]) -> OperationPlan:
    """Empties the large ones one by one, and activates those that an interrupted purge left inactive."""
    to_purge = [space for space in spaces if space.size > SMALL or space.is_left]
    if not to_purge:
        not_needed = f"no undo tablespace is larger than {size(SMALL)}"
        return OperationPlan(operation=Operation.PURGE_UNDO, not_needed=not_needed)
    return OperationPlan(operation=Operation.PURGE_UNDO, steps=tuple(map(_step, to_purge)))


def _step(space: UndoSpace) -> MySqlStep:
    name = quote(space.name)
    last = f"DROP UNDO TABLESPACE {name}" if space.name == HELPER else f"ALTER UNDO TABLESPACE {name} SET ACTIVE"
    return MySqlStep(
        object=space.name,
        command=f"ALTER UNDO TABLESPACE {name} SET INACTIVE; {last}",
        reason=f"{size(space.size)}, {space.state}",
        lock=NO_LOCK,
        after_cancel=SPECS[Operation.PURGE_UNDO].after_cancel,
        conflict="undo",
        method=Method.PURGE_UNDO,
    )
