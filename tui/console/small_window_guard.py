"""A window that is too small to show anything: keys must not act on what the user cannot see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from textual import events
from textual.app import App
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Input

from tui.console.keymap import keys_of

SMALLEST: Final = (60, 15)
"""Columns and rows of the smallest window that the console works in."""
HORIZONTAL_BREAKPOINTS: Final = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (100, "-wide"), (160, "-panorama")]
VERTICAL_BREAKPOINTS: Final = [(0, "-flat"), (SMALLEST[1], "-low"), (30, "-high")]


class SmallWindowGuard:
    """Lets no key through in a window below SMALLEST but those that leave or suspend, and restores the focus."""

    def __init__(self, app: App[Any], leave: Callable[[], None]) -> None:
        """`leave`: ends the console."""
        self._app, self._leave = app, leave
        self._focused_before: Widget | None = None
        """What had the focus when the window became too small: hiding it takes the focus away."""

    def resized(self, size: Size) -> None:
        if _is_too_small(size):
            self._focused_before = self._app.focused or self._focused_before
        else:
            self._app.call_after_refresh(self._restore_focus)

    def _restore_focus(self) -> None:
        widget, self._focused_before = self._focused_before, None
        screen = self._app.screen
        if screen.focused is not None or _is_too_small(self._app.size):
            return
        if widget is None or widget.screen is not screen:  # the screen was opened in the small window
            widget = next(iter(screen.query(screen.AUTO_FOCUS or "*")), None)
        if widget is not None:
            screen.set_focus(widget, scroll_visible=False)

    def accepts(self, key: events.Key) -> bool:
        """Whether a key may be handled; the key that quits leaves the console."""
        if not _is_too_small(self._app.size) or key.key in {*keys_of("leave-console"), *keys_of("suspend")}:
            return True
        if key.key in keys_of("quit") and not self._app.screen.query(Input):  # in an input it is a letter
            self._leave()
        return False


def _is_too_small(size: Size) -> bool:
    return size.width < SMALLEST[0] or size.height < SMALLEST[1]
