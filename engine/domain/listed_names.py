"""The names that lists show for targets without a name in the config file: `sales.db@h2`, `shop (ann)@db1`. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_URL: Final = re.compile(r"[a-z]+://(?:[^/?]*@)?(?P<host>[^/?:]*)(?P<port>:\d*)?(?P<path>[^?]*)")
_DIFFERENCE: Final = re.compile(r" \((?P<what>[^()]+)\)(?=@|$)")
"""What tells two targets of one name apart: the user, or another part of the URL."""


def is_listed_as(url: str, name: str) -> bool:
    """Whether a canonical URL may be listed by this name. Case is ignored."""
    names = _names(url)
    return name.casefold() in names or any(rest in names and what in _folded(url) for rest, what in _taken_apart(name))


def has_name_part(url: str, part: str) -> bool:
    """Whether a canonical URL has this part, or a name that lists may show for it. Case is ignored."""
    texts = (_folded(url), *_names(url))
    asked = [(part.casefold(), ""), *_taken_apart(part)]
    return any(rest in text and what in texts[0] for rest, what in asked for text in texts)


def _names(url: str) -> tuple[str, ...]:
    """`sales.db`, `sales.db@h2`, for a server also with its port."""
    if (found := _URL.match(url)) is None:
        return ()
    name, host = found["path"].rpartition("/")[2], found["host"]
    return tuple(_folded(one) for one in (name, f"{name}@{host}", f"{name}@{host}{found['port'] or ''}"))


def _taken_apart(name: str) -> list[tuple[str, str]]:
    """`shop (ann)@db1` as `shop@db1` and `ann`."""
    found = _DIFFERENCE.search(name)
    return [(_DIFFERENCE.sub("", name).casefold(), found["what"].casefold())] if found else []


def _folded(url: str) -> str:
    return unquote(url).casefold()
