"""Keys in a window that is too small to show anything: what nobody sees is not to be acted on."""

from __future__ import annotations

from typing import Final

from textual import events
from textual.widget import Widget
from textual.widgets import Input

from tui.console.key_queue import KeyQueue
from tui.console.keymap import keys_of

SMALLEST: Final = (60, 15)
"""Columns and rows from which on the console shows anything but that its window is too small."""


class SmallWindowGuard(KeyQueue):
    """An app that below SMALLEST only hides, is suspended, or ends."""

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (100, "-wide")]  # noqa: RUF012 - declared by Textual
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (SMALLEST[1], "-low"), (30, "-high")]  # noqa: RUF012

    _focused_before: Widget | None = None
    """What had the focus when the window became too small, which hides it and so takes that away."""

    def action_leave(self) -> None:
        raise NotImplementedError

    def on_resize(self, event: events.Resize) -> None:
        if _is_too_small(*event.size):
            self._focused_before = self.focused or self._focused_before
        else:
            self.call_after_refresh(self._give_focus_back)

    def _give_focus_back(self) -> None:
        widget, self._focused_before = self._focused_before, None
        screen = self.screen
        if screen.focused is not None or _is_too_small(*self.size):
            return
        if widget is None or widget.screen is not screen:  # this screen was opened meanwhile
            widget = next(iter(screen.query(screen.AUTO_FOCUS or "*")), None)
        if widget is not None:
            screen.set_focus(widget, scroll_visible=False)

    async def takes(self, event: events.Key) -> bool:
        if not _is_too_small(*self.size) or event.key in {*keys_of("leave-console"), *keys_of("suspend")}:
            return True
        if event.key in keys_of("quit") and not self.screen.query(Input):  # in which it may be a letter
            self.action_leave()
        return False


def _is_too_small(width: int, height: int) -> bool:
    return width < SMALLEST[0] or height < SMALLEST[1]
