"""The known word that a mistyped one stands for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    import difflib
else:
    difflib = lazy("difflib", "only a wrong word needs it")

LIKENESS: Final = 0.75
"""The least ratio of equal characters: `shpo` is shop, but `every` is not verify."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word with the same letters, else the most similar one; None: none is similar enough."""
    words = list(known)
    swapped = [it for it in words if sorted(it) == sorted(word)]
    return next(iter(swapped or difflib.get_close_matches(word, words, 1, cutoff=LIKENESS)), None)
