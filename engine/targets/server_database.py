"""The databases of a server, as it lists them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from engine.domain.frozen import frozen


class Access(StrEnum):
    """Whether a database can be connected to."""

    OPEN = "open"
    NO_RIGHT = "no_right"
    """The user has no right to."""
    CLOSED = "closed"
    """It accepts no connections."""
    INVALID = "invalid"
    """It is half dropped: a DROP DATABASE was interrupted."""


@frozen
class ServerDatabase:
    """A database of a server."""

    name: str
    url: str
    access: Access = Access.OPEN


class ServerDatabases(Protocol):
    """The module `databases` of an engine. `text`: names a server, and a database there."""

    def database_of(self, text: str) -> str:
        """The name of the database. Raises UsageError."""

    def url_of_all(self, text: str) -> str:
        """The pattern that stands for all databases of the server. Raises UsageError."""

    async def databases(self, text: str) -> Sequence[ServerDatabase]:
        """The databases of the server, whatever database is named. Raises UsageError, TargetError."""
