"""When a plan is not run at the press of a key, but only once its target has been typed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from engine.words import listed

if TYPE_CHECKING:
    from engine import OperationPlan, Plan

_PRODUCTION: Final = re.compile(r"\b(prod|production|live)\b", re.IGNORECASE)
_BLOCKS_EVERYONE: Final = "blocks everyone"


def is_production(label: str | None) -> bool:
    """Whether a label says so: PROD, production, `live (eu)`."""
    return label is not None and _PRODUCTION.search(label) is not None


def risks(plan: Plan, label: str | None) -> list[str]:
    """Why somebody should stop and think before this plan runs: a sentence each; none where a key is enough."""
    said = []
    blocking = [o.operation.value for o in plan.operations if is_production(label) and _locks_everyone(o)]
    if blocking:
        said.append(f"{label}: {listed(blocking)} {'blocks' if len(blocking) == 1 else 'block'} everyone meanwhile.")
    said += [f"{o.operation.value} {o.needs_yes}." for o in plan.operations if o.needs_yes]
    return said


def _locks_everyone(operation: OperationPlan) -> bool:
    return any(_BLOCKS_EVERYONE in step.lock for step in operation.steps)


def word_to_type(names: Iterable[str], label: str | None) -> str:
    """What is typed to say yes: the target's name; of several their label."""
    known = list(names)
    return known[0] if len(known) == 1 else label or str(len(known))
