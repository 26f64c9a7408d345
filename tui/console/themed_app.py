"""The base of both apps: colours, keys, suspend, and exit on signals."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from contextlib import suppress
from typing import IO, Any

from textual.app import App, ReturnType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.theme import Theme

from tui.console import keymap
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


def end_on_signals(app: App[Any]) -> None:
    """Exit the app on SIGHUP and SIGTERM, on which Textual would die without restoring the terminal."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(number, app.exit)


class Terminal(LinuxDriver):
    """Textual's driver, but the app ends when its terminal is gone.

    The signal that usually tells of that does not reach every process. Without it Textual would read the end of its
    input endlessly, and block on writing.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file: IO[str] = _Forgiving(self._file)  # type: ignore[assignment]
        self._hang_up: select.epoll | None = None

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if hasattr(select, "epoll"):
            with suppress(OSError):  # no terminal, so none that could go
                self._hang_up = select.epoll()
                self._hang_up.register(self.fileno, 0)  # no event but the one that is always told: a hang-up
                asyncio.get_running_loop().add_reader(self._hang_up.fileno(), self._gone)

    def stop_application_mode(self) -> None:
        self._stop_watching()
        super().stop_application_mode()

    def _gone(self) -> None:
        self._stop_watching()
        self.exit_event.set()  # ends the thread that reads
        self._app.exit()

    def _stop_watching(self) -> None:
        if self._hang_up is not None:
            asyncio.get_running_loop().remove_reader(self._hang_up.fileno())
            self._hang_up.close()
            self._hang_up = None


class _Forgiving:
    """A file that takes everything, and drops what cannot be written: the thread that writes must go on."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
