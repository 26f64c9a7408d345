"""What the pages of plans share: enter runs what is shown, and y copies it as a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType

from engine import Plan, Request
from engine.domain.frozen import frozen
from tui.console.actions import bindings
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE, PageScreen
from tui.console.views.copied import copied_plan
from tui.presentation.risk import risks, word_to_type
from tui.presentation.target_names import TargetName
from tui.presentation.text import counted


@frozen
class Ready:
    """A request of which something would run, and the plan of that."""

    name: TargetName
    request: Request
    plan: Plan

    @property
    def confirmed(self) -> Request:
        """The same, with the yes that some of its operations need."""
        if not any(operation.needs_confirmation for operation in self.plan.operations):
            return self.request
        return replace(self.request, options=replace(self.request.options, confirmed=True))


class SubmittingScreen(PageScreen[list[Request]]):
    """Ends with the requests that are to run, none where it is left.

    Where the risk asks for it, enter is not enough: what is to be maintained must be typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("submit", "look-again")
    FOOTER = (*TYPING, "submit", "look-again", *ON_A_PAGE)

    def on_mount(self) -> None:
        self.plan()

    def plan(self) -> None:
        """Find out what would run, and show it."""
        raise NotImplementedError

    def action_look(self) -> None:
        self.plan()
        self.refresh_page()

    @property
    def ready(self) -> Sequence[Ready]:
        """What enter would run; nothing where nothing can, or not all is known yet."""
        raise NotImplementedError

    def can(self, action_id: str) -> bool:
        return super().can(action_id) and (action_id != "submit" or bool(self.ready))

    def copied(self) -> tuple[str, str] | None:
        return ("the SQL", copied_plan(one.plan for one in self.ready)) if self.ready else super().copied()

    def action_submit(self) -> None:
        if self.refuses("submit") or not self.can("submit"):
            return
        risky = {one.name: said for one in self.ready if (said := risks(one.plan, one.name.name, one.name.label))}
        if not risky:
            self.dismiss([one.request for one in self.ready])
            return
        what = str(self.ready[0].name) if len(self.ready) == 1 else counted(len(self.ready), "target")
        why = [sentence for said in risky.values() for sentence in said]
        word = word_to_type([name.name for name in risky], next((name.label for name in risky if name.label), None))
        asking = self.context.screens.typed_confirm(f"Run this on {what}?", " ".join(dict.fromkeys(why)), word)
        self.app.push_screen(asking, self._decided)

    def _decided(self, yes: bool | None) -> None:
        if yes:
            self.dismiss([one.confirmed for one in self.ready])
        else:
            self.say("Nothing was done.")

    def leave(self) -> None:
        self.dismiss([])
