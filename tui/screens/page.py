"""A screen that is one page to read."""

from __future__ import annotations

from collections.abc import Iterator

from textual import on
from textual.widget import Widget

from tui.screens.base import ConsoleScreen, Result
from tui.views.line import Line
from tui.widgets.item_list import ItemList
from tui.widgets.page import Page


class PageScreen(ConsoleScreen[Result]):
    """Shows what `document` says, and says it anew for another width."""

    PAGE_TITLE = ""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page(id="page").titled(self.PAGE_TITLE)

    def compose_body(self) -> Iterator[Widget]:
        yield self.page

    def document(self, width: int) -> list[Line]:
        raise NotImplementedError

    def copied(self) -> tuple[str, str] | None:
        text = "\n".join(part.text.rstrip() for part in self.document(self.page.columns))
        return ("this page", text + "\n") if text else None

    def refresh_page(self) -> None:
        self.page.show(self.document(self.page.columns))

    @on(ItemList.Resized, "#page")
    def _lay_out(self) -> None:
        self.refresh_page()
