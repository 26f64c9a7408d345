"""Whether the server keeps up by itself: its autovacuum workers, and how fast it uses up transaction ids."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import shown
from engine.targets.postgres.reading import locks
from engine.targets.postgres.reading.reader import Reader

LONG: Final = 60.0
"""Seconds: autovacuum looks at each database that often by default."""
_STATE: Final = """
SELECT concat_ws(' and ', CASE WHEN NOT current_setting('autovacuum')::bool THEN 'autovacuum' END,
        CASE WHEN NOT current_setting('track_counts')::bool THEN 'track_counts' END),
    current_setting('autovacuum_max_workers')::int, count(*)::int,
    (count(*) FILTER (WHERE wait_event = 'VacuumDelay'))::int,
    coalesce(nullif(current_setting('autovacuum_vacuum_cost_limit')::int, -1),
        current_setting('vacuum_cost_limit')::int)
FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'
"""
_MAY_READ_CHECKPOINT: Final = "SELECT has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE')"
# Since the last checkpoint, which a server that writes makes every few minutes.
_RATE: Final = f"""
SELECT CASE WHEN seconds >= {LONG} THEN greatest(used, 0) / seconds END
FROM (
    SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8
            - split_part(next_xid, ':', 1)::float8 * 2 ^ 32 - split_part(next_xid, ':', 2)::float8,
        extract(epoch FROM clock_timestamp() - checkpoint_time)::float8
    FROM pg_control_checkpoint()) AS since (used, seconds)
"""
_SCORES: Final = """
SELECT schemaname, relname, score::float8, count(*) OVER ()
FROM pg_stat_autovacuum_scores WHERE do_vacuum OR do_analyze ORDER BY score DESC LIMIT 1
"""


@frozen
class Waiting:
    """The tables that autovacuum itself means to work on, by the scores that PostgreSQL 19 tells."""

    first: str
    score: float
    tables: int


@frozen
class Autovacuum:
    turned_off: str = ""
    """Which of the settings that it needs are off; "" for none."""
    most_workers: int = 3
    workers: int = 0
    """Workers that run now; 0, too, where the role does not see them."""
    asleep: int = 0
    """Workers that sleep at this moment, to stay below the cost limit."""
    cost_limit: int = 200
    lock_holders: str = ""
    """Who keeps it from tables that need it most; "" for none."""
    ids_per_second: float | None = None
    """Transaction ids used up since the last checkpoint; None if unknown."""
    waiting: Waiting | None = None


async def read(reader: Reader, urgent: Collection[int]) -> Autovacuum:
    """`urgent`: oids of the tables that need VACUUM most. Raises TargetError."""
    turned_off, most, workers, asleep, cost_limit = await reader.row(_STATE, row=(str, int, int, int, int))
    (may_read,) = await reader.row(_MAY_READ_CHECKPOINT, row=(bool,))
    (rate,) = await reader.row(_RATE, row=(float | None,)) if may_read else (None,)
    holders = await locks.holders(reader, "maintenance", urgent, older_than=LONG) if urgent else ""
    scores = await reader.rows(_SCORES, row=(str, str, float, int)) if reader.server.version >= 190_000 else []
    waiting = next((Waiting(shown(schema, name), score, tables) for schema, name, score, tables in scores), None)
    return Autovacuum(turned_off, most, workers, asleep, cost_limit, holders, rate, waiting)
