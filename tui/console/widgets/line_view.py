"""The base of every list and page: lines drawn straight from values, a cursor, and the keys that move it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.console.actions import bindings
from tui.console.theme import appearance_of
from tui.console.views.line import Line, Span


class LineView(ScrollView, can_focus=True):
    """Draws only the lines that are visible and, after a change, only those that changed.

    Subclasses say how many lines there are (`line_count`) and what a line is (`line_at`). The heading, if there is one,
    stays above them.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("down", "up", "page-down", "page-up", "first", "last")
    HAS_CURSOR: ClassVar[bool] = True
    KEEPS_HEIGHT: ClassVar[bool] = False
    """Whether its height does not depend on its number of lines."""

    cursor: reactive[int] = reactive(0, repaint=False, init=False)
    """The line the cursor is on."""

    _focus_when_shown = False
    _subtitle = ""

    @dataclass
    class Changed(Message):
        view: LineView

        @property
        def control(self) -> LineView:
            return self.view

    class CursorMoved(Changed):
        """The cursor has moved."""

    @property
    def line_count(self) -> int:
        raise NotImplementedError

    def line_at(self, index: int) -> Line:
        raise NotImplementedError

    def line_below(self, index: int) -> Line:
        return Line()

    @property
    def has_heading(self) -> bool:
        return False

    def heading(self) -> Line:
        return Line()

    def is_under_cursor(self, index: int) -> bool:
        return self.HAS_CURSOR and index == self.cursor

    @property
    def columns(self) -> int:
        """Cells that a line may fill."""
        return max(self.scrollable_content_region.width, 0)

    def count_changed(self) -> None:
        """Call this when `line_count` has changed, or whether there is a heading."""
        height = self.line_count + self.has_heading
        if not (self.KEEPS_HEIGHT and self.container_size):
            self.virtual_size = Size(0, height)
            return
        # Nothing but its scroll bar depends on it. Textual would lay out the whole screen.
        self.set_reactive(LineView.virtual_size, Size(0, height))
        self.show_vertical_scrollbar = height > self.container_size.height
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = height
        self.scroll_y = self.validate_scroll_y(self.scroll_y)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y - self.has_heading
        base = self.rich_style
        width = self.size.width
        appearance = appearance_of(self.app)
        over = Style.null()
        if y == 0 and self.has_heading:
            shown = self.heading()
        elif index >= self.line_count:
            shown = self.line_below(index)
        else:
            shown = self.line_at(index)
            if self.is_under_cursor(index):
                over = appearance.cursor if self.has_focus else appearance.cursor_blurred
        # Textual drops empty pieces from some lines only: drop them always, so that equal lines look equal.
        segments = [Segment(text, base + style + over) for text, style in self.styled(index, shown.spans) if text]
        return Strip(segments).simplify().adjust_cell_length(width, base + over)

    def styled(self, index: int, spans: Sequence[Span]) -> Iterator[tuple[str, Style]]:
        roles = appearance_of(self.app).roles
        return ((text, roles[role]) for text, role in spans)

    def refresh_line(self, y: int) -> None:
        """Repaint the line with this index."""
        super().refresh_line(y + self.has_heading)

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, self.line_count - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        self.refresh_line(old)
        self.refresh_line(new)
        self.show_cursor()
        self.post_message(self.CursorMoved(self))

    def show_cursor(self) -> None:
        if self.HAS_CURSOR:
            self.show_line(self.cursor)

    def show_line(self, index: int) -> None:
        """Scroll as little as needed to have a line in view."""
        top, height = self.scroll_offset.y, self.rows_in_view
        if index < top:
            self._scroll_at_once(index)
        elif height and index >= top + height:
            self._scroll_at_once(index - height + 1)

    @property
    def rows_in_view(self) -> int:
        """How many lines are in view at once, without the heading."""
        return max(self.scrollable_content_region.height - self.has_heading, 0)

    def _scroll_at_once(self, top: int) -> None:
        # Forced: Textual shows the scroll bar of a list that has grown only at its next layout.
        self.scroll_to(y=top, animate=False, immediate=True, force=True)

    def action_move(self, by: int) -> None:
        if self.HAS_CURSOR:
            self.cursor += by
        else:
            self._scroll_at_once(self.scroll_offset.y + by)

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(self.rows_in_view - 1, 1))

    def action_first(self) -> None:
        self.action_move(-self.line_count)

    def action_last(self) -> None:
        self.action_move(self.line_count)

    def on_focus(self) -> None:
        self.refresh_line(self.cursor)

    def on_blur(self) -> None:
        self.refresh_line(self.cursor)

    def on_resize(self, event: events.Resize) -> None:
        self.show_cursor()

    def on_hide(self, event: events.Hide) -> None:
        self._focus_when_shown = self.has_focus

    def on_show(self, event: events.Show) -> None:
        # A window that was too small has hidden it and taken its focus.
        if self._focus_when_shown and self.screen.focused is None:
            self.focus()

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        if self.HAS_CURSOR and at is not None and at.y >= self.has_heading:
            self.cursor = at.y + self.scroll_offset.y - self.has_heading

    def titled(self, title: str, subtitle: str = "") -> Self:
        """Set the title in the border; returns the view. Repaints only for another title."""
        if title != self.border_title:
            self.border_title = title
        return self.subtitled(subtitle)

    @property
    def subtitle_room(self) -> int:
        """Cells for text in the lower border, between its corners and Textual's blanks."""
        return max(self.outer_size.width - 6, 0)

    def subtitled(self, text: str) -> Self:
        """Set the text in the lower border; returns the view. The text may be untrusted."""
        if text != self._subtitle:
            self._subtitle = text
            self.border_subtitle = Content(text)  # no markup
        return self
