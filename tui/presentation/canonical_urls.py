"""What the URLs of targets come to, with symbolic links followed: how jobs name them."""

from __future__ import annotations

from collections.abc import Iterable

from engine.domain.errors import DbtendError
from engine.inspection import inspector


class CanonicalUrls:
    """Each is found out once: links are on disks, which may be slow, and names are asked for again and again."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, urls: Iterable[str]) -> None:
        """Find out anew what these come to; off the event loop, where there is one."""
        self._known |= {url: canonical(url) for url in urls}

    def of(self, url: str) -> str:
        if url not in self._known:
            self.learn([url])
        return self._known[url]


def canonical(url: str) -> str:
    try:
        return inspector.canonical_url(url)
    except DbtendError:
        return url  # it names no database that we know of, but it may have a name
