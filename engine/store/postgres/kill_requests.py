"""Kills worker processes of this host that another host asks to end: a cancel by force.

It is done beside the workers, in a process of its own: also where they hang or are stopped.
"""

from __future__ import annotations

import logging
import select
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg

from engine.domain.events import killer_role
from engine.store.postgres.connections import parameters
from engine.store.postgres.leadership import signed
from engine.store.postgres.proof import SERVER_KEEPALIVES
from engine.store.postgres.queries import LIVES
from engine.store.postgres.schema import LOCKS
from engine.system.held_process import hold_of, parent_of
from engine.system.host import host_name, machine_id

LOOK_EVERY: Final = 1.0
"""Seconds between two looks, and until it connects again."""
_TELL: Final = f"SELECT pg_advisory_lock_shared({LOCKS['ROLES']}, %s)"
_ASKED: Final = f"""SELECT w.id, w.pid FROM child_job AS c JOIN worker AS w ON w.id = c.owner
WHERE c.force_requested_at >= c.started_at AND w.host = %(host)s AND w.machine = %(machine)s AND w.pool = %(pool)s
    AND {LIVES}"""

log = logging.getLogger("dbtend")

Connection = psycopg.Connection[Any]
Pool = Mapping[str, Any]
"""Host, machine and number of a pool."""


def obey(url: str, *, pool: int, lifeline: int) -> None:
    """Kill processes of a pool when another host asks for it, until `lifeline` can be read."""
    here = {"host": host_name(), "machine": machine_id(), "pool": pool}
    while not _is_over(lifeline):
        with suppress(psycopg.Error):  # the workers tell of a server that is gone
            _obey_while_reached(url, here, lifeline)


def _obey_while_reached(url: str, here: Pool, lifeline: int) -> None:
    """Raises psycopg.Error."""
    with psycopg.connect(**parameters(url, "dbtend kill"), autocommit=True) as connection:
        for statement in SERVER_KEEPALIVES.split(";"):
            connection.execute(statement.encode())
        connection.execute(_TELL.encode(), (signed(killer_role(here["host"], here["pool"])),))
        while not _is_over(lifeline):
            _kill_asked(connection, here)


def _kill_asked(connection: Connection, here: Pool) -> None:
    """Kill each live process of a pool whose job is to be cancelled by force. Raises psycopg.Error."""
    for owner, pid in _asked(connection, here):
        with suppress(ProcessLookupError), hold_of(pid) as send:
            is_ours = parent_of(pid) == here["pool"]  # the number is by the word of who registered it
            if is_ours and (owner, pid) in _asked(connection, here):  # it is no later process with that number
                log.warning("process %s is killed: its job is cancelled by force", pid)
                send(signal.SIGKILL)


def _asked(connection: Connection, here: Pool) -> list[tuple[str, int]]:
    return connection.execute(_ASKED.encode(), here).fetchall()


def _is_over(lifeline: int) -> bool:
    return bool(select.select([lifeline], [], [], LOOK_EVERY)[0])
