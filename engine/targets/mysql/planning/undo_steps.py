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
from engine.targets.mysql.reading.undo import FIRST_SIZE, HELPER, Truncation, UndoSpace
from engine.targets.plans import OperationPlan

KEPT_ACTIVE: Final = 2
"""The server needs so many."""


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
    """Puts right what an interrupted purge left, then empties the large ones one by one."""
    left = sorted((space for space in spaces if space.is_left), key=lambda space: space.name == HELPER)
    large = [space for space in spaces if space.size > FIRST_SIZE and not space.is_left]
    if not left and not large:
        not_needed = f"no undo tablespace is larger than {size(FIRST_SIZE)}"
        return OperationPlan(operation=Operation.PURGE_UNDO, not_needed=not_needed)
    others = sum(space.name != HELPER for space in spaces) - 1
    steps = [
        *(_step(space, with_helper=False) for space in left),
        *(_step(space, with_helper=others < KEPT_ACTIVE) for space in large),
    ]
    return OperationPlan(operation=Operation.PURGE_UNDO, steps=tuple(steps))


def _step(space: UndoSpace, *, with_helper: bool) -> MySqlStep:
    last = drop(HELPER) if space.name == HELPER else activate(space.name)
    commands = [inactivate(space.name), last]
    if with_helper:
        commands = [MAKE_HELPER, *commands, inactivate(HELPER), drop(HELPER)]
    return MySqlStep(
        object=space.name,
        command="; ".join(commands),
        reason=f"{size(space.size)}, {space.state}",
        lock=NO_LOCK,
        after_cancel=SPECS[Operation.PURGE_UNDO].after_cancel,
        conflict="undo",
        method=Method.PURGE_UNDO,
        with_helper=with_helper,
    )


MAKE_HELPER: Final = f"CREATE UNDO TABLESPACE {quote(HELPER)} ADD DATAFILE '{HELPER}.ibu'"


def inactivate(name: str) -> str:
    return f"ALTER UNDO TABLESPACE {quote(name)} SET INACTIVE"


def activate(name: str) -> str:
    return f"ALTER UNDO TABLESPACE {quote(name)} SET ACTIVE"


def drop(name: str) -> str:
    return f"DROP UNDO TABLESPACE {quote(name)}"
