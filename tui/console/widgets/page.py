"""A page of text to scroll and search: a plan, a job, the help, the detail pane."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.style import Style
from textual.binding import BindingType
from textual.message import Message

from tui.console.actions import bindings
from tui.console.theme import appearance_of
from tui.console.views.find import Match, cut, first_from, matches, of_line
from tui.console.views.line import Line, Span
from tui.console.widgets.item_list import ItemList

FOUND: Final = Style(underline=True)
FOUND_HERE: Final = Style(reverse=True)


class Page(ItemList):
    """Lines without a cursor, with a search."""

    HAS_CURSOR: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._text = ""
        self.found: list[Match] = []
        """Matches of the search text."""
        self.found_at = 0
        """Index of the current match."""

    @property
    def whole_text(self) -> str:
        return "\n".join(part.text.rstrip() for part in self._lines)

    def action_move(self, by: int) -> None:
        self.start_at(self.scroll_offset.y + by)

    def start_at(self, index: int) -> None:
        self._scroll_at_once(index)

    def show(self, lines: Sequence[Line]) -> None:
        super().show(lines)
        if self._text:
            self.found = matches(self._lines, self._text)
            self.found_at = max(0, min(self.found_at, len(self.found) - 1))
            self.refresh()

    def find(self, text: str) -> None:
        """Mark all matches and go to the next one from here; an empty text marks none."""
        if text == self._text:
            return
        here = self.found[self.found_at].line if self.found else self.scroll_offset.y
        self._text, self.found = text, matches(self._lines, text)
        self.found_at = first_from(self.found, here)
        self._show_match()

    def find_next(self, by: int) -> None:
        """Go to another match, in a circle."""
        if self.found:
            self.found_at = (self.found_at + by) % len(self.found)
            self._show_match()

    def _show_match(self) -> None:
        if self.found:
            line, height = self.found[self.found_at].line, self.scrollable_content_region.height
            if not self.scroll_offset.y <= line < self.scroll_offset.y + height:
                self.start_at(max(line - height // 3, 0))
        self.refresh()

    def styled(self, index: int, spans: Sequence[Span]) -> Iterator[tuple[str, Style]]:
        found = of_line(self.found, index)
        if not found:
            yield from super().styled(index, spans)
            return
        roles, here = appearance_of(self.app).roles, self.found[self.found_at]
        for text, role, match in cut(spans, found):
            mark = Style.null() if match is None else FOUND_HERE if match == here else FOUND
            yield text, roles[role] + mark


class FoldingPage(Page):
    """A page with a cursor, and items to fold."""

    HAS_CURSOR: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = bindings("fold", "unfold", "fold-away")

    @dataclass
    class Folded(Message):
        """The user folds or unfolds the item under the cursor."""

        key: Hashable
        """None: the cursor is above all items."""
        fold: bool | None
        """None: the other way round."""

    @property
    def whole_text(self) -> str:
        return "\n".join(part.text.rstrip() for part in self._lines)

    def action_move(self, by: int) -> None:
        ItemList.action_move(self, by)

    def start_at(self, index: int) -> None:
        self.cursor = index
        super().start_at(index)

    def action_fold(self, fold: bool | None = None) -> None:
        self.post_message(self.Folded(self.key, fold))
