"""The question before jobs run again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from engine import ParentJob
from engine.domain.errors import DbtendError
from engine.inspection import inspector
from engine.submission.retry import retry_request
from tui.console.context import ConsoleContext
from tui.presentation.risk import confirmation_needed, is_production, production_risk, word_to_type
from tui.presentation.text import sentences


def ask_about(
    context: ConsoleContext,
    question: str,
    consequence: str,
    do: Callable[[], Awaitable[None]],
    jobs: Collection[ParentJob],
    needed: Sequence[str],
) -> None:
    """Ask before jobs run again; on production, or with `needed`, the answer is the typed name of the target.

    `needed`: why typed confirmation is needed, without a final stop.
    """
    names = {parent.target: context.names.of(parent.target) for parent in jobs}
    labels = [name.label for name in names.values() if is_production(name.label)]
    if not labels and not needed:
        context.ask(question, consequence, do)
        return
    word = word_to_type([name.name for name in names.values()], labels[0] if labels else None)
    why = sentences([*filter(None, (_production_risk(context, job) for job in jobs)), *needed])
    context.ask_typed(question, f"{consequence} {why}".rstrip(), word, do)


def _production_risk(context: ConsoleContext, parent: ParentJob) -> str:
    """What it would block in production, as far as its database was inspected."""
    known = context.inspected.get(parent.target)
    asked = parent.request.operations
    locks = {o.operation: o.lock for o in known.operations if o.operation in asked} if known else {}
    name = context.names.of(parent.target)
    return production_risk(name.name, name.label, locks)


def confirmation_of(parent: ParentJob) -> list[str]:
    """Why a retry of this job needs confirmation, without a final stop."""
    with suppress(DbtendError):  # the target is gone: the retry itself says so
        return confirmation_needed(inspector.needs_confirmation(retry_request(parent)))
    return []
