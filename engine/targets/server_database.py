"""The databases of a server, as it lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.domain.frozen import frozen


@frozen
class ServerDatabase:
    """A database that accepts connections."""

    name: str
    url: str
    may_connect: bool
    """Whether the user has the right to connect to it."""


class ServerDatabases(Protocol):
    """The module `databases` of an engine. `text`: names a server, and a database there."""

    def database_of(self, text: str) -> str:
        """The name of the database. Raises UsageError."""

    def url_of_all(self, text: str) -> str:
        """The pattern that stands for all databases of the server. Raises UsageError."""

    async def databases(self, text: str) -> Sequence[ServerDatabase]:
        """The databases of the server, whatever database is named. Raises UsageError, TargetError."""
