"""A screen with one page of text that can be searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.widget import Widget

from tui.console.actions import bindings
from tui.console.console_screen import Result
from tui.console.context import ConsoleContext
from tui.console.screens.entry import TYPING, EntryScreen
from tui.console.views.find import format_found
from tui.console.views.line import Line
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.page import Page
from tui.presentation.text import plain

FIND: Final = ("find", "find-next", "find-previous")
ON_A_PAGE: Final = (*FIND, "copy", "back", "palette", "help")
"""The last actions of every page's footer."""


class PageScreen(EntryScreen[Result]):
    """Shows `document`, laid out again for each width."""

    PAGE_TITLE = ""
    PAGE_TYPE: ClassVar[type[Page]] = Page
    FOOTER: ClassVar[tuple[str, ...]] = (*TYPING, *ON_A_PAGE)
    BINDINGS: ClassVar[list[BindingType]] = bindings("find", "find-next", "find-previous")

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__(context)
        self.page = self.make_page().titled(self.PAGE_TITLE)
        self._text = ""
        """The search text."""

    def make_page(self) -> Page:
        return self.PAGE_TYPE(id="page")

    def compose_body(self) -> Iterator[Widget]:
        yield self.page

    def document(self, width: int) -> list[Line]:
        raise NotImplementedError

    def copied(self) -> tuple[str, str] | None:
        text = "\n".join(part.text.rstrip() for part in self.document(self.page.columns))
        return ("this page", text + "\n") if text else None

    @property
    def can_copy(self) -> bool:
        return bool(self.page.line_count)  # the text is made only to copy it

    def refresh_page(self) -> None:
        self.page.show(self.document(self.page.columns))
        self._show_match_count()
        self.refresh_footer()  # the page decides what can be copied or run

    @on(ItemList.Resized, "#page")
    def _lay_out(self) -> None:
        self.refresh_page()

    async def action_find(self) -> None:
        await self.open_entry(self._text)

    def search_for(self, text: str, *, is_done: bool) -> bool:
        self._find(text)
        return True

    def action_find_next(self, by: int) -> None:
        self.page.find_next(by)
        self._show_match_count()

    def clear_search(self) -> bool:
        was_searching = bool(self._text)
        self._find("")
        return was_searching

    def can(self, action_id: str) -> bool:
        finding = action_id not in {"find-next", "find-previous"} or bool(self.page.found)
        return finding and super().can(action_id)

    def _find(self, text: str) -> None:
        self._text = text
        self.page.find(text)
        self._show_match_count()
        self.refresh_footer()

    def _show_match_count(self) -> None:
        """Show the number of matches in the border of the page."""
        count = format_found(len(self.page.found), self.page.found_at, plain(self._text)) if self._text else ""
        self.page.subtitled(count)
