"""Makes the plan of `optimize`: the work that advice asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.domain.humanize import listed
from engine.domain.requests import Operation, Options
from engine.domain.turns import Turns
from engine.targets.mysql.planning.planner import in_parallel, plan_tables, refusal
from engine.targets.mysql.planning.scope import scope
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table
from engine.targets.plans import OperationPlan

# A rebuilt table has other statistics.
_ORDER: Final = (Operation.REBUILD, Operation.ANALYZE)


async def plan_needed(
    reader: Reader,
    options: Options,
    tables: Sequence[Table],
    reasons: Mapping[Operation, Mapping[str, str]],
    turns: Turns,
) -> OperationPlan:
    """`tables`: all of the database. `reasons`: by operation, why tables need it, by name."""
    if problem := refusal(reader.server, Operation.OPTIMIZE, options):
        return OperationPlan(operation=Operation.OPTIMIZE, refused=problem)
    in_scope = scope(Operation.OPTIMIZE, options, tables)
    plans, left_out = [], []
    for operation in _ORDER:
        needy = [table for table in in_scope if table.name in reasons[operation]]
        if needy and (problem := refusal(reader.server, operation, options)):
            left_out.append(f"left out: {operation} of {listed([table.shown for table in needy], 3)}: {problem}")
        elif needy:
            plans.append(await plan_tables(reader, operation, options, needy, reasons[operation], turns))
    left_out += [f"left out: {plan.refused}" for plan in plans if plan.refused]
    if options.leave_out:
        left_out.append(f"left out: the last check found damage in {listed(list(options.leave_out), 3)}")
    steps = [step for plan in plans for step in plan.steps]
    if not steps:
        return OperationPlan(operation=Operation.OPTIMIZE, not_needed=". ".join(left_out) or "nothing is needed")
    warnings = dict.fromkeys([*left_out, *(warning for plan in plans for warning in plan.warnings)])
    planned = OperationPlan(
        operation=Operation.OPTIMIZE,
        steps=tuple(steps),
        warnings=tuple(warnings),
        left_out=sum(plan.left_out for plan in plans),
    )
    return await in_parallel(reader, planned, options)
