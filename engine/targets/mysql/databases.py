"""The databases of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from engine.targets.mysql.connection.address import address
from engine.targets.mysql.queries import query
from engine.targets.mysql.target import MySqlTarget
from engine.targets.server_database import ServerDatabase

_MOST: Final = 100_000


def database_of(text: str) -> str:
    """The name of the database in a URL. Raises UsageError."""
    return address(text).database


def url_of_all(text: str) -> str:
    """The pattern that stands for all databases of a server. Raises UsageError."""
    return replace(address(text), database="*").url


async def databases(text: str) -> Sequence[ServerDatabase]:
    """The databases of the server that `text` names, whatever database it names, without those of the server itself.

    Raises UsageError, TargetError.
    """
    server = replace(address(text), database="")
    async with MySqlTarget(server.url).catalog() as reader:
        rows = await reader.rows(query("databases"), row=(str,), most=_MOST)
    return [ServerDatabase(name, replace(server, database=name).url) for (name,) in rows]
