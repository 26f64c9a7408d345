"""What a rewrite of a table that is in use depends on: the table's key, replication slots, replicas, pg_repack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
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


_OBSTACLES: Final = """
SELECT c.oid::int8, CASE
    WHEN c.relkind = 'm' THEN 'materialized_view'
    WHEN c.relpersistence <> 'p' THEN 'not_logged'
    WHEN am.amname <> 'heap' THEN 'not_heap'
    WHEN EXISTS (SELECT FROM unnest(c.reloptions) AS o WHERE o IN ('user_catalog_table=true', 'user_catalog_table=on'))
        THEN 'catalog_of_users'
    WHEN c.relreplident = 'f' THEN 'identity_full'
    WHEN c.relreplident = 'n' THEN 'identity_nothing'
    WHEN c.relreplident = 'd' AND key.indimmediate IS FALSE THEN 'deferrable_key'
    WHEN key.indexrelid IS NULL THEN 'no_key' END
FROM pg_class AS c LEFT JOIN pg_am AS am ON am.oid = c.relam
LEFT JOIN pg_index AS key ON key.indrelid = c.oid AND key.indisvalid
    AND CASE c.relreplident WHEN 'i' THEN key.indisreplident ELSE key.indisprimary END
WHERE c.relkind IN ('r', 'm')
"""
_SURROUNDINGS: Final = """
SELECT coalesce((SELECT jsonb_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots
        WHERE NOT active AND restart_lsn IS NOT NULL), '[]'),
    (SELECT count(*) FROM pg_stat_replication WHERE state IN ('streaming', 'catchup'))::int,
    (SELECT max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_lsn() END, replay_lsn)) FROM pg_stat_replication)::int8,
    CASE WHEN coalesce(current_setting('max_slot_wal_keep_size', true), '-1') <> '-1'
        THEN pg_size_bytes(current_setting('max_slot_wal_keep_size')) END,
    coalesce(current_setting('max_repack_replication_slots', true)::int, 0),
    (SELECT extversion FROM pg_extension WHERE extname = 'pg_repack'),
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_repack')
"""


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
        *await reader.row(_SURROUNDINGS, row=(list, int, int | None, int | None, int, str | None, bool))
    )


async def obstacles(reader: Reader) -> Mapping[int, Obstacle]:
    """Why REPACK (CONCURRENTLY) refuses a table, by its oid. Raises TargetError."""
    return {oid: Obstacle(why) for oid, why in await reader.rows(_OBSTACLES, row=(int, str | None)) if why is not None}
