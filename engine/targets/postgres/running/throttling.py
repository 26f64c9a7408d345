"""What throttles the steps: the lag of standbys, and the load query."""

from __future__ import annotations

import shlex
from typing import Final

import psycopg

from engine.domain.frozen import frozen
from engine.domain.humanize import memory, span
from engine.domain.requests import ServerOptions
from engine.targets.postgres.connection.errors import server_message
from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading import load_query
from engine.targets.postgres.reading.reader import Reader
from engine.targets.throttling import exceeded

_SOME_TIME: Final = 60.0
"""Seconds. A shorter delay of a standby is not shown."""


async def throttled_by(reader: Reader, options: ServerOptions) -> str:
    """Which limit is exceeded; "" for none."""
    if options.max_lag is not None:
        with reader.telling():
            standby = await _late(reader, options, options.max_lag)
        if standby is not None:
            return f"{standby.text} (limit {memory(options.max_lag)})"
    load = None if options.pause_while is None else await load_query.ask(reader, options.pause_while)
    return exceeded(load)


@frozen
class _Standby:
    """The standby that is furthest behind."""

    name: str
    lag: int
    """Bytes."""
    has_received: bool
    """Whether it has all but what the limit allows, and has not applied it."""
    seconds: float | None

    @property
    def text(self) -> str:
        behind = f"standby {self.name} is {memory(_rounded(self.lag))} behind"
        if not self.has_received:
            return behind
        late = f" {span(self.seconds)} late" if self.seconds is not None and self.seconds >= _SOME_TIME else " late"
        option = f"--ignore-standby {shlex.quote(self.name)}"
        return f"standby {self.name} has received it and applies it{late} (delayed on purpose? {option}): {behind}"


async def _late(reader: Reader, options: ServerOptions, limit: int) -> _Standby | None:
    """The standby that is furthest behind, if that is further than the limit. Raises as `rows_or_error`."""
    ignored = list(options.ignored_standbys)
    rows = await reader.rows_or_error(query("replication_lag"), [limit, ignored], row=(str, int, bool, float | None))
    return next((standby for standby in (_Standby(*row) for row in rows) if standby.lag > limit), None)


def _rounded(size: int) -> int:
    """Bytes rounded up to whole MB, or to kB where there are few."""
    unit = 1024 if size < 10 * 1024**2 else 1024**2
    return -(-size // unit) * unit


async def uncounted_standbys(reader: Reader, options: ServerOptions) -> list[str]:
    """Warnings about standbys that `max_lag` does not count, or waits for without end. Raises TargetError."""
    if options.max_lag is None:
        return []
    with reader.telling():
        standby = await _late(reader, options, options.max_lag)
    warnings = [
        f"the standby of slot {slot} is not connected, so --max-lag does not count it; {memory(_rounded(kept))} of WAL"
        " are kept for it. Connect it, or drop the slot if it is not needed"
        for slot, kept in await reader.rows(query("disconnected_slots"), row=(str, int))
    ]
    if standby is not None and standby.has_received:
        warnings.insert(0, f"--max-lag waits until {standby.name} has applied what it has: {standby.text}")
    return warnings


async def options_problem(reader: Reader, options: ServerOptions) -> str:
    """The problem with the throttling options; "" for none. Does not run the query. Raises TargetError."""
    if options.max_lag is not None:
        try:
            if (await reader.row_or_error(query("hides_standbys"), row=(bool,)))[0]:
                role = reader.server.user
                return (
                    f"{role} may not see how far standbys are behind. As a superuser:"
                    f" GRANT pg_read_all_stats TO {quote(role)};"
                )
            await _late(reader, options, options.max_lag)
        except psycopg.Error as error:
            reader.raise_if_lost(error)
            return f"--max-lag failed: {server_message(error)}"
    return "" if options.pause_while is None else await load_query.check(reader, options.pause_while)
