"""Does something again after a while, and ever more seldom as long as that is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from textual.timer import Timer

from tui.console.console_screen import ConsoleScreen

RETRY_AFTER = 3.0
"""Seconds to the first try; doubled after each."""
RETRY_AFTER_AT_MOST: Final = 60.0


class Retry:
    def __init__(self, screen: ConsoleScreen[Any], again: Callable[[], object]) -> None:
        self._screen, self._again = screen, again
        self._after = RETRY_AFTER
        self.timer: Timer | None = None
        """Runs until the next try; None: none is needed."""

    def schedule(self, *, is_needed: bool) -> None:
        if not is_needed:
            self.reset()
        elif self.timer is None:
            self.timer = self._screen.set_timer(self._after, self.now)
            self._after = min(self._after * 2, RETRY_AFTER_AT_MOST)

    def reset(self) -> None:
        """The next try comes soon again."""
        self._after = RETRY_AFTER

    def now(self) -> None:
        self.timer = None
        self._again()
