"""A question at the terminal, answered by typing a word."""

from __future__ import annotations

import sys

from engine.domain.errors import UsageError


def can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()


def have_typed(word: str) -> None:
    """Raises UsageError if something else is typed."""
    print(f"Type {word} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != word:
        raise UsageError(word, "was not typed: nothing was done", "run it again, or give --yes")
