"""The help page."""

from __future__ import annotations

from tui.console.screens.entry import TYPING
from tui.console.screens.page import FIND, PageScreen
from tui.console.views.keys import help_document
from tui.console.views.line import Line


class HelpScreen(PageScreen[None]):
    PAGE_TITLE = "Help"
    FOOTER = (*TYPING, *FIND, "back")

    def document(self, width: int) -> list[Line]:
        return help_document(width, read_only=self.context.engine.read_only)
