"""Typed passwords, kept in the memory of this process only.

Each belongs to the canonical URL of one target. Other processes get them only by `typed()`.
"""

from __future__ import annotations

from collections.abc import Mapping


class Secret(str):
    """Text that tracebacks with variable values do not show."""

    def __repr__(self) -> str:
        return "'***'"


_typed: dict[str, Secret] = {}


def remember(url: str, password: str) -> None:
    """Use it for this target while this process lives."""
    _typed[url] = Secret(password)


def typed_for(url: str) -> Secret | None:
    return _typed.get(url)


def typed() -> Mapping[str, str]:
    """All of them, by URL."""
    return dict(_typed)


def drop(url: str) -> None:
    """Forget a wrong password: repeated attempts might lock the role out."""
    _typed.pop(url, None)


def forget() -> None:
    """All of them."""
    _typed.clear()
