"""Names of targets that have none in the config file, so that no two databases on servers have the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from tui.presentation.text import is_on_a_server, plain, target_name


class PlainNames:
    """A database that has the name of another one is shown with its user, or what else tells them apart."""

    def __init__(self, urls: Iterable[str] = ()) -> None:
        self._alike: dict[str, list[str]] = {}
        """The URLs of each name."""
        self._names: dict[str, str] = {}
        for url in urls:
            self.of(url)

    def of(self, url: str) -> str:
        """Its name. Learns the URL: call it for all of a list before the list is shown."""
        if url not in self._names:
            self._learn(url)
        return self._names[url]

    def _learn(self, url: str) -> None:
        name = target_name(url)
        self._names[url] = name
        if not is_on_a_server(url):
            return
        alike = self._alike.setdefault(name, [])
        alike.append(url)
        with suppress(ValueError):  # a URL that is none; to open it says why
            if len(alike) > 1:
                self._names |= {one: f"{name} ({what})" for one, what in zip(alike, _differences(alike), strict=True)}


def _differences(urls: Sequence[str]) -> list[str]:
    """What tells them apart: the user, else the parameters, else the whole URL."""
    for form in (_user, _parameters):
        texts = [form(url) for url in urls]
        if len(set(texts)) == len(texts):
            return texts
    return [plain(url) for url in urls]


def _user(url: str) -> str:
    return plain(unquote(urlsplit(url).username or "")) or "no user"


def _parameters(url: str) -> str:
    return plain(unquote(urlsplit(url).query)) or "no parameters"
