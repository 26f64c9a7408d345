"""Whether the server keeps up by itself: its autovacuum workers, and how fast it uses up transaction ids."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import shown
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading import locks
from engine.targets.postgres.reading.reader import Reader

LONG: Final = 60.0
"""Seconds: autovacuum looks at each database that often by default."""


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
    turned_off, most, workers, asleep, cost_limit = await reader.row(query("autovacuum"), row=(str, int, int, int, int))
    (may_read,) = await reader.row(query("may_read_checkpoint"), row=(bool,))
    (rate,) = await reader.row(query("transaction_rate", long=LONG), row=(float | None,)) if may_read else (None,)
    holders = await locks.holders(reader, "maintenance", urgent, older_than=LONG) if urgent else ""
    scores = (
        await reader.rows(query("autovacuum_scores"), row=(str, str, float, int))
        if reader.server.version >= 190_000
        else []
    )
    waiting = next((Waiting(shown(schema, name), score, tables) for schema, name, score, tables in scores), None)
    return Autovacuum(turned_off, most, workers, asleep, cost_limit, holders, rate, waiting)
