"""Questions before jobs are cancelled or run again; what follows a yes is written to the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from engine import ParentJob
from engine.domain.errors import DbtendError
from engine.inspection import inspector
from engine.submission.retry import retry_request
from tui.console.console_screen import ConsoleScreen
from tui.presentation.risk import confirmation_needed, is_production, production_risk, word_to_type
from tui.presentation.text import sentences


class JobQuestions:
    """Opens the questions above a screen."""

    def __init__(self, screen: ConsoleScreen[Any]) -> None:
        self._screen, self._context = screen, screen.context

    def ask_about(
        self,
        question: str,
        consequence: str,
        do: Callable[[], Awaitable[None]],
        jobs: Collection[ParentJob],
        needed: Sequence[str],
    ) -> None:
        """Ask before jobs run again; on production, or with `needed`, the answer is the typed name of the target.

        `needed`: why typed confirmation is needed, without a final stop.
        """
        names = {parent.target: self._context.names.of(parent.target) for parent in jobs}
        labels = [name.label for name in names.values() if is_production(name.label)]
        if not labels and not needed:
            self.ask(question, consequence, do)
            return
        word = word_to_type([name.name for name in names.values()], labels[0] if labels else None)
        why = sentences([*filter(None, map(self._production_risk, jobs)), *needed])
        asking = self._context.screens.typed_confirm(question, f"{consequence} {why}".rstrip(), word)
        self._screen.app.push_screen(asking, self.if_yes(do))

    def _production_risk(self, parent: ParentJob) -> str:
        """What it would block in production, as far as its database was inspected."""
        known = self._context.inspected.get(parent.target)
        asked = parent.request.operations
        locks = {o.operation: o.lock for o in known.operations if o.operation in asked} if known else {}
        name = self._context.names.of(parent.target)
        return production_risk(name.name, name.label, locks)

    def ask(self, question: str, consequence: str, do: Callable[[], Awaitable[None]]) -> None:
        self._screen.app.push_screen(self._context.screens.confirm(question, consequence), self.if_yes(do))

    def if_yes(self, do: Callable[[], Awaitable[None]]) -> Callable[[bool | None], None]:
        def decided(yes: bool | None) -> None:
            if yes:
                self._context.write(do)

        return decided


def confirmation_of(parent: ParentJob) -> list[str]:
    """Why a retry of this job needs confirmation, without a final stop."""
    with suppress(DbtendError):  # the target is gone: the retry itself says so
        return confirmation_needed(inspector.needs_confirmation(retry_request(parent)))
    return []
