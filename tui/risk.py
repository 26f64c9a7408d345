"""When a plan is not run at the press of a key, but only once its target has been typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from engine.words import listed

if TYPE_CHECKING:
    from engine import Operation, Plan

_PRODUCTION: Final = re.compile(r"\b(prod|production|live)\b", re.IGNORECASE)
_BLOCKS_EVERYONE: Final = "blocks everyone"


def is_production(label: str | None) -> bool:
    """Whether a label says so: PROD, production, `live (eu)`."""
    return label is not None and _PRODUCTION.search(label) is not None


def risks(plan: Plan, label: str | None) -> list[str]:
    """Why somebody should stop and think before this plan runs: a sentence each; none where a key is enough."""
    said: list[str] = []
    locks = {o.operation: " ".join(step.lock for step in o.steps) for o in plan.operations}
    if blocking := blocks_everyone(locks, label):
        said.append(blocking)
    return said + needed_yes((o.operation, o.needs_yes) for o in plan.operations if o.needs_yes)


def needed_yes(needs: Iterable[tuple[Operation, str]]) -> list[str]:
    """Why somebody has to say yes to these operations: a sentence each."""
    return [f"{operation.value} {what}." for operation, what in needs]


def blocks_everyone(locks: Mapping[Operation, str], label: str | None) -> str:
    """`PROD: vacuum blocks everyone meanwhile.`; empty where nothing does, or it is no production.

    `locks`: of operations, whom they block, in words.
    """
    blocking = [operation.value for operation, lock in locks.items() if _BLOCKS_EVERYONE in lock]
    if not blocking or not is_production(label):
        return ""
    return f"{label}: {listed(blocking)} {'blocks' if len(blocking) == 1 else 'block'} everyone meanwhile."


def word_to_type(names: Iterable[str], label: str | None) -> str:
    """What is typed to say yes: the target's name; of several their label."""
    known = list(names)
    return known[0] if len(known) == 1 else label or str(len(known))
