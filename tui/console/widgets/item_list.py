"""A list of items of one or several lines; the cursor stays on its item when lines change."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from textual import events

from tui.console.views.line import Line
from tui.console.widgets.line_view import LineView


class ItemList(LineView):
    """Shows a sequence of lines; those with the same key are one item."""

    class Resized(LineView.Changed):
        """Its size has changed: lay out its lines again."""

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized(self))

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def line_at(self, index: int) -> Line:
        return self._lines[index]

    def key_at(self, index: int) -> Hashable:
        """The key of the item at a line; None: no item."""
        return self._lines[index].key

    @property
    def key(self) -> Hashable:
        """The key of the item under the cursor; None: no item."""
        return self.key_at(self.cursor) if self.cursor < self.line_count else None

    @property
    def row(self) -> str:
        """The text of the item under the cursor."""
        if self.key is None:
            return ""
        lines = range(self._first_line_of_item(self.cursor), self._last_line_of_item(self.cursor) + 1)
        return "\n".join(self.line_at(index).text.rstrip() for index in lines)

    def is_under_cursor(self, index: int) -> bool:
        key = self.key_at(index)
        return self.HAS_CURSOR and key is not None and key == self.key

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines; repaint only changed ones."""
        old, key = self._lines, self.key
        before = self.cursor
        self._lines = lines
        if len(old) != len(lines):
            self.count_changed()  # repaints everything
        else:
            top = self.scroll_offset.y  # a line out of view is drawn when it comes into view
            for number in range(top, min(top + self.size.height, len(lines))):
                if old[number] != lines[number]:
                    self.refresh_line(number)
        self._keep_cursor_on(key, before)

    def _keep_cursor_on(self, key: Hashable, before: int) -> None:
        now = self._line_of(key) if key is not None else None
        if now is None:
            now = self.validate_cursor(before)
            self.set_reactive(ItemList.cursor, now)
            if self.key != key:
                self.post_message(self.CursorMoved(self))
            return
        shift = now - before
        if shift and not (before < self.line_count and self.key_at(before) == key):
            self.set_reactive(ItemList.cursor, now)
            if self.scroll_offset.y:
                self._scroll_at_once(self.scroll_offset.y + shift)
            self.refresh_line(before)
            self.refresh_line(now)
            self.show_line(now)

    def _line_of(self, key: Hashable) -> int | None:
        """The first line of an item; None: it is not there."""
        return next((index for index in range(self.line_count) if self.key_at(index) == key), None)

    def go_to(self, key: Hashable) -> None:
        """Put the cursor on an item, if it is there."""
        if (index := self._line_of(key)) is not None:
            self.cursor = index

    def watch_cursor(self, old: int, new: int) -> None:
        for at in (old, new):
            if at < self.line_count:
                for number in range(self._first_line_of_item(at), self._last_line_of_item(at) + 1):
                    self.refresh_line(number)
        self.show_cursor()
        self.post_message(self.CursorMoved(self))

    def show_cursor(self) -> None:
        if self.HAS_CURSOR and self.line_count:
            self.show_line(self._last_line_of_item(self.cursor))
        super().show_cursor()

    def on_focus(self) -> None:
        self._refresh_item()

    def on_blur(self) -> None:
        self._refresh_item()

    def _refresh_item(self) -> None:
        for number in range(self.cursor, self._last_line_of_item(self.cursor) + 1):
            self.refresh_line(number)

    def _first_line_of_item(self, index: int) -> int:
        while index and self.key_at(index - 1) == self.key_at(index):
            index -= 1
        return index

    def _last_line_of_item(self, index: int) -> int:
        while index + 1 < self.line_count and self.key_at(index + 1) == self.key_at(index):
            index += 1
        return index

    def action_move(self, by: int) -> None:
        at = self.cursor
        for _ in range(abs(by)):
            following = self._next_item(at, 1 if by > 0 else -1)
            if following is None:
                break
            at = following
        self.cursor = at

    def _next_item(self, at: int, direction: int) -> int | None:
        """The first line of the item before or after the one at a line; None where there is none."""
        if not self.line_count:
            return None
        key = self.key_at(at)
        while 0 <= (at := at + direction) < self.line_count:
            if self.key_at(at) not in {None, key}:
                return self._first_line_of_item(at)
        return None
