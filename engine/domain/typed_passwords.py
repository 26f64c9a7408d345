"""Passwords that somebody typed: in the memory of this process, and nowhere else.

Each is for the canonical URL of one target. Other processes have none of it, unless they are handed `typed()`.
"""

from __future__ import annotations

from collections.abc import Mapping


class Secret(str):
    """A text that no traceback shows, though it shows the values of variables."""

    def __repr__(self) -> str:
        return "'***'"


_typed: dict[str, Secret] = {}


def remember(url: str, password: str) -> None:
    """Use it for this target from now on, for as long as this process lives."""
    _typed[url] = Secret(password)


def typed_for(url: str) -> Secret | None:
    return _typed.get(url)


def typed() -> Mapping[str, str]:
    """All of them, by URL."""
    return dict(_typed)


def drop(url: str) -> None:
    """It is wrong: to try it again and again might lock its role out."""
    _typed.pop(url, None)


def forget() -> None:
    """All of them."""
    _typed.clear()
