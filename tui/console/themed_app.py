"""The base of both apps: colours, keys, suspend, and exit on signals."""

from __future__ import annotations

import os

from textual.app import App, ReturnType
from textual.driver import Driver
from textual.theme import Theme

from tui.console import keymap
from tui.console.terminal import Terminal, end_on_signals
from tui.console.theme import ANSI_THEMES, ANSI_VARIABLES, THEMES, suitable_theme


class ThemedApp(App[ReturnType]):
    """An app in the wanted colours, on a terminal that may go away."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, wanted_theme: str | None) -> None:
        """Raises UsageError for an unknown theme."""
        theme = suitable_theme(wanted_theme, os.environ)
        # Set later, it would parse the style sheet again.
        self.set_reactive(App.theme, theme)
        # Textual decides here whether NO_COLOR takes colours out or greys them.
        super().__init__(ansi_color=True if theme in ANSI_THEMES else None)
        self.animation_level = "none"
        # Messages have their own lines; disabled, the widgets for these are not mounted.
        self._disable_notifications = self._disable_tooltips = True
        self.set_keymap(keymap.remapped())

    def on_mount(self) -> None:
        # Resumed in a window of the same size, Textual would redraw nothing.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True), immediate=True)
        end_on_signals(self)

    @property
    def available_themes(self) -> dict[str, Theme]:
        return THEMES

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(ANSI_VARIABLES)

    def get_driver_class(self) -> type[Driver]:
        return Terminal
