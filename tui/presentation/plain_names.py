"""Names of targets that have none in the config file, so that no two databases on servers have the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import takewhile
from urllib.parse import parse_qsl, unquote, urlsplit

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
                told_apart = zip(alike, _differences(alike), strict=True)
                self._names |= {one: _with_difference(name, what) for one, what in told_apart}


def _with_difference(name: str, what: str) -> str:
    """`shop (ann)@db1`: where the name is cut off, its end is what goes."""
    database, at, host = name.rpartition("@")
    return f"{database} ({what}){at}{host}" if at else f"{name} ({what})"


def _differences(urls: Sequence[str]) -> list[str]:
    """What tells them apart: the user, what differs in the parameters, or both; else the whole URL."""
    users, parameters = list(map(_user, urls)), _parameters(urls)
    both = [f"{user} {given}" for user, given in zip(users, parameters, strict=True)]
    for texts in (users, parameters, both):
        if len(set(texts)) == len(texts):
            return texts
    return [plain(url) for url in urls]


def _user(url: str) -> str:
    return plain(unquote(urlsplit(url).username or "")) or "no user"


def _parameters(urls: Sequence[str]) -> list[str]:
    given = [dict(parse_qsl(urlsplit(url).query)) for url in urls]
    differing = [name for name in given[0] if len({one.get(name) for one in given}) > 1] if all(given) else []
    if len(differing) == 1 and all(differing[0] in one for one in given):
        return list(map(plain, _differing_parts([one[differing[0]] for one in given])))
    return [plain(unquote(urlsplit(url).query)) or "no parameters" for url in urls]


def _differing_parts(paths: Sequence[str]) -> list[str]:
    """Paths without the folders that all begin with, and without those that all end with."""
    parts = [path.split("/") for path in paths]
    begin = _alike(parts)
    end = _alike([part[begin:][::-1] for part in parts])
    return ["/".join(one[begin : len(one) - end]) or path for one, path in zip(parts, paths, strict=True)]


def _alike(lists: Sequence[Sequence[str]]) -> int:
    """With how many equal items all of them begin."""
    return sum(1 for _ in takewhile(lambda items: len(set(items)) == 1, zip(*lists, strict=False)))
