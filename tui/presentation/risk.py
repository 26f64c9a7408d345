"""The reasons to ask for a typed confirmation before a plan runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from engine.domain.humanize import listed
from tui.presentation.lock_format import blocked_sessions
from tui.presentation.text import capitalized

if TYPE_CHECKING:
    from engine import Lock, Operation, Plan

_PRODUCTION: Final = re.compile(r"\b(prod|production|live)\b", re.IGNORECASE)
UNKNOWN_LOCKS: Final = "Its own host plans this, so it is unknown what this blocks"


def is_production(label: str | None) -> bool:
    """Whether a label says so: PROD, production, `live (eu)`."""
    return label is not None and _PRODUCTION.search(label) is not None


def risks(plan: Plan, name: str, label: str | None) -> list[str]:
    """The reasons to confirm this plan by typing, without a final stop; none if a key is enough."""
    blocking = production_risk(name, label, {operation.operation: operation.lock for operation in plan.operations})
    if plan.made_on and is_production(label):
        blocking = f"{name} is labelled {label}. {UNKNOWN_LOCKS}"
    needed = confirmation_needed(
        (operation.operation, operation.needs_confirmation)
        for operation in plan.operations
        if operation.needs_confirmation
    )
    return with_warnings([*([blocking] if blocking else []), *needed], plan.before_writing)


def with_warnings(reasons: list[str], warnings: Iterable[str]) -> list[str]:
    """The reasons to confirm with what else to know then; it is no reason to ask by itself."""
    return [*reasons, *map(capitalized, warnings)] if reasons else reasons


def confirmation_needed(needs: Iterable[tuple[Operation, str]]) -> list[str]:
    """The reasons why these operations need a confirmation, each once, without a final stop."""
    return list(dict.fromkeys(f"{operation.value} {what}" for operation, what in needs))


def production_risk(name: str, label: str | None, locks: Mapping[Operation, Lock]) -> str:
    """`sales is labelled PROD. While it runs, vacuum blocks everyone`; "" if no writer is blocked for long.

    `locks`: what the operations lock.
    """
    blocked = who_is_blocked(locks)
    return f"{name} is labelled {label}. {blocked}" if blocked and is_production(label) else ""


def who_is_blocked(locks: Mapping[Operation, Lock]) -> str:
    """`While they run, vacuum blocks everyone; analyze, reindex block writers`; "" if no writer is blocked."""
    by_words: dict[str, list[str]] = {}
    for operation, lock in locks.items():
        if lock.impact.blocks_writers:
            by_words.setdefault(blocked_sessions(lock), []).append(operation.value)
    if not by_words:
        return ""
    several = sum(map(len, by_words.values())) > 1
    phrases = (f"{listed(names)} {'blocks' if len(names) == 1 else 'block'} {who}" for who, names in by_words.items())
    return f"While {'they run' if several else 'it runs'}, {'; '.join(phrases)}"


def word_to_type(names: Iterable[str], label: str | None) -> str:
    """The text to type as a confirmation: the name of the target; of several their label."""
    known = list(names)
    return known[0] if len(known) == 1 else label or str(len(known))
