"""Typed passwords, kept in the memory of this process only.

Each belongs to a server and a user, for all its databases. Other processes get them only by `typed()`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final


class Secret(str):
    """Text that tracebacks with variable values do not show."""

    def __repr__(self) -> str:
        return "'***'"


_typed: dict[str, Secret] = {}
_DATABASE: Final = re.compile(r"(?<=://)([^/?]*)/[^?]*")


def server_of(url: str) -> str:
    """The canonical URL of a database without the name of the database."""
    return _DATABASE.sub(r"\1/", url, count=1)


def remember(url: str, password: str) -> None:
    """Use it for this server and user while this process lives."""
    _typed[server_of(url)] = Secret(password)


def typed_for(url: str) -> Secret | None:
    return _typed.get(server_of(url))


def typed() -> Mapping[str, str]:
    """All of them, by the URL of the server."""
    return dict(_typed)


def drop(url: str) -> None:
    """Forget a wrong password: repeated attempts might lock the role out."""
    _typed.pop(server_of(url), None)


def forget() -> None:
    """All of them."""
    _typed.clear()
