"""Canonical URLs of targets, with symbolic links followed: the names in jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    from engine.inspection import inspector
else:
    inspector = lazy("engine.inspection.inspector", "a list of jobs without names needs no target")


class CanonicalUrls:
    """A cache: following links reads the disk, and screens need names all the time."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, urls: Iterable[str]) -> None:
        """Resolve these again. Reads the disk: call it off the event loop."""
        self._known |= inspector.canonical_urls(urls)

    def of(self, url: str) -> str:
        if url not in self._known:
            self.learn([url])
        return self._known[url]


def canonical(url: str) -> str:
    """The canonical URL; for an unknown kind of database its name."""
    return inspector.canonical_urls([url])[url]
