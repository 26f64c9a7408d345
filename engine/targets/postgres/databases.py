"""The databases of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.domain.errors import PasswordNeededError, ServerUnavailableError, TargetError, TargetUnavailableError
from engine.system.dsn import parameters_of, url_of
from engine.targets.postgres.queries import query
from engine.targets.postgres.target import PostgresTarget
from engine.targets.server_database import Access, ServerDatabase

_MOST: Final = 100_000


def database_of(text: str) -> str:
    """The name of the database in a URL or in key=value. Raises UsageError."""
    return parameters_of(text).get("dbname", "")


def url_of_all(text: str) -> str:
    """The pattern that stands for all databases of a server. Raises UsageError."""
    return url_of({**parameters_of(text), "dbname": "*"})


async def databases(text: str) -> Sequence[ServerDatabase]:
    """The databases of the server that `text` names, whatever database it names. Raises UsageError, TargetError.

    They are listed where `vacuumdb --all` lists them: in the database postgres, or without one in template1.
    """
    parameters = parameters_of(text)
    try:
        rows = await _rows({**parameters, "dbname": "postgres"})
    except (ServerUnavailableError, PasswordNeededError):
        raise
    except TargetUnavailableError as error:
        try:
            rows = await _rows({**parameters, "dbname": "template1"})
        except TargetError:
            raise error from None
    return [ServerDatabase(name, url_of({**parameters, "dbname": name}), access) for name, access in rows]


async def _rows(parameters: Mapping[str, str]) -> Sequence[tuple[str, Access]]:
    async with PostgresTarget(url_of(parameters)).catalog() as reader:
        return [
            (name, Access(access)) for name, access in await reader.rows(query("databases"), row=(str, str), most=_MOST)
        ]
