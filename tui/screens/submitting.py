"""What the pages of plans share: enter runs what is shown, and y copies it as a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from engine import Plan
from tui.actions import bindings
from tui.risk import risks, word_to_type
from tui.screens.base import Result
from tui.screens.page import PageScreen
from tui.screens.typed_confirm import TypedConfirmScreen
from tui.target_names import TargetName
from tui.text import counted
from tui.views.copied import copied_plan


class SubmittingScreen(PageScreen[Result]):
    """Where the risk asks for it, enter is not enough: what is to be maintained must be typed."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("submit")
    FOOTER = ("keep", "clear", "submit", "find", "find-next", "find-previous", "copy", "back", "palette", "help")

    @property
    def to_run(self) -> Sequence[tuple[TargetName, Plan]]:
        """What enter would run; nothing where nothing can."""
        raise NotImplementedError

    def answer(self) -> Result:
        """What the screen ends with where it is to run."""
        raise NotImplementedError

    def can(self, action_id: str) -> bool:
        return super().can(action_id) and (action_id != "submit" or bool(self.to_run))

    def copied(self) -> tuple[str, str] | None:
        return ("the SQL", copied_plan(plan for _, plan in self.to_run)) if self.to_run else super().copied()

    def action_submit(self) -> None:
        if self.refuses("submit") or not self.can("submit"):
            return
        why = [sentence for name, plan in self.to_run for sentence in risks(plan, name.label)]
        if not why:
            self.dismiss(self.answer())
            return
        names = [name for name, _ in self.to_run]
        what = str(names[0]) if len(names) == 1 else counted(len(names), "target")
        word = word_to_type([name.name for name in names], next((name.label for name in names if name.label), None))
        asking = TypedConfirmScreen(f"Run this on {what}?", " ".join(dict.fromkeys(why)), word)
        self.app.push_screen(asking, self._decided)

    def _decided(self, yes: bool | None) -> None:
        if yes:
            self.dismiss(self.answer())
