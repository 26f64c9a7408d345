"""The help page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.console.screens.entry import TYPING
from tui.console.screens.page import FIND, PageScreen
from tui.console.views.keys import help_document, places_of
from tui.console.views.line import Line

if TYPE_CHECKING:
    from tui.console.context import ConsoleContext


class HelpScreen(PageScreen[None]):
    PAGE_TITLE = "Help"
    FOOTER = (*TYPING, *FIND, "back")

    def __init__(self, context: ConsoleContext, footer: Sequence[str], opened_by: str) -> None:
        """`footer` and `opened_by`: of the screen where it was opened."""
        super().__init__(context)
        self._places = places_of(footer)
        self._opened_by = opened_by

    def document(self, width: int) -> list[Line]:
        return help_document(self._places, width, read_only=self.context.engine.read_only, without=self._opened_by)
