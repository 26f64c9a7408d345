"""The terminal of the console: signals and hang-up end the app."""

from __future__ import annotations

import asyncio
import select
import signal
from contextlib import suppress
from typing import IO, Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver


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
