"""The help page."""

from __future__ import annotations

from tui.screens.page import PageScreen
from tui.views.keys import help_document
from tui.views.line import Line


class HelpScreen(PageScreen[None]):
    """Every key and what it does."""

    PAGE_TITLE = "Help"
    FOOTER = ("keep", "clear", "find", "find-next", "find-previous", "back")

    def document(self, width: int) -> list[Line]:
        return help_document(width)
