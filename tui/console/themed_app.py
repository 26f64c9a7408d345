"""What the console and its waiting room share as programs on a terminal: colours, keys, coming back, and their end."""

from __future__ import annotations

import os

from textual.app import App, ReturnType
from textual.driver import Driver
from textual.theme import Theme

from tui.console import keymap
from tui.console.terminal import Terminal, end_on_signals
from tui.console.theme import ANSI_THEMES, ANSI_VARIABLES, THEMES, suitable_theme


class ThemedApp(App[ReturnType]):
    """An app in the colours that the user wants, on a terminal that may go away."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, wanted_theme: str | None) -> None:
        """Raises UsageError where no theme is called like that."""
        theme = suitable_theme(wanted_theme, os.environ)
        # Chosen only afterwards, it would have the style sheet parsed once more.
        self.set_reactive(App.theme, theme)
        # Textual decides here whether NO_COLOR takes colours out or greys them.
        super().__init__(ansi_color=True if theme in ANSI_THEMES else None)
        self.animation_level = "none"
        # What there is to say has its lines on the screen; the widgets for these would be mounted all the same.
        self._disable_notifications = self._disable_tooltips = True
        self.set_keymap(keymap.remapped())

    def on_mount(self) -> None:
        # Suspended and brought back in a window of the same size, Textual would draw nothing anew.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True), immediate=True)
        end_on_signals(self)

    @property
    def available_themes(self) -> dict[str, Theme]:
        return THEMES

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(ANSI_VARIABLES)

    def get_driver_class(self) -> type[Driver]:
        return Terminal
