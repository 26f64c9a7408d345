"""One line on a terminal that says how far a command is with many targets."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from time import monotonic
from types import TracebackType
from typing import Final, Self, TypeVar

T = TypeVar("T")

FEW: Final = 5
"""For so few targets nothing is shown."""
DRAWN_EVERY: Final = 0.2
"""Seconds between two drawings, at least."""


class ProgressLine:
    """A line of progress, drawn while inside; nothing where stderr is no terminal."""

    def __init__(self, total: int = FEW + 1) -> None:
        """`total`: the number of targets; left out if that is found out only inside."""
        is_terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._is_shown = is_terminal and total > FEW
        self._total = total
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_shown:
            self._draw("")

    def show(self, text: Callable[[], str]) -> None:
        """Draw the line, unless it was drawn a moment ago."""
        if self._is_shown and monotonic() >= self._next:
            self._draw(text()[: shutil.get_terminal_size().columns - 1])
            self._next = monotonic() + DRAWN_EVERY

    def counting(self, work: Callable[[str], Awaitable[T]], done: str) -> Callable[[str], Awaitable[T]]:
        """Wrap `work` on a target, so that it is counted when it ends: `planned 12 of 300`; `done`: `planned`."""
        ended = count(1)

        async def counted(target: str) -> T:
            try:
                return await work(target)
            finally:
                number = next(ended)
                self.show(lambda: f"{done} {number:,} of {self._total:,}")

        return counted

    @staticmethod
    def _draw(text: str) -> None:
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
