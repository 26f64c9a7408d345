"""What a rewrite of a table that is in use depends on: the table's key, replication slots, replicas, pg_repack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from engine.domain.frozen import frozen
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader


class Obstacle(StrEnum):
    """Why REPACK (CONCURRENTLY), or pg_repack, refuses a table."""

    MATERIALIZED_VIEW = "materialized_view"
    NOT_LOGGED = "not_logged"
    NOT_HEAP = "not_heap"
    CATALOG_OF_USERS = "catalog_of_users"
    IDENTITY_FULL = "identity_full"
    IDENTITY_NOTHING = "identity_nothing"
    DEFERRABLE_KEY = "deferrable_key"
    NO_KEY = "no_key"
    NO_KEY_OF_CLIENT = "no_key_of_client"
    INVALID_INDEX = "invalid_index"


@frozen
class Surroundings:
    """What a rewrite must take into account: it writes the whole table into the log again."""

    idle_slots: Sequence[str]
    """Inactive replication slots: they keep all of the log."""
    replicas: int
    lag: int | None
    """Bytes of the log that the slowest replica has still to apply; None if unknown."""
    kept_at_most: int | None
    """Bytes of the log that a slot may keep; None for any number."""
    most_at_once: int
    """Tables that REPACK (CONCURRENTLY) may rewrite at the same time; 0 before PostgreSQL 19."""
    extension: str | None
    """The version of pg_repack in this database."""
    has_extension_files: bool = False
    """Whether CREATE EXTENSION would find pg_repack on the server."""


async def surroundings(reader: Reader) -> Surroundings:
    """Raises TargetError."""
    return Surroundings(
        *await reader.row(query("repack_surroundings"), row=(list, int, int | None, int | None, int, str | None, bool))
    )


async def obstacles(reader: Reader) -> Mapping[int, Obstacle]:
    """Why REPACK (CONCURRENTLY) refuses a table, by its oid. Raises TargetError."""
    return {
        oid: Obstacle(why)
        for oid, why in await reader.rows(query("repack_obstacles"), row=(int, str | None))
        if why is not None
    }
