"""Servers on which a store does not work: refused before anything is set or written there."""

from __future__ import annotations

from typing import Final

from psycopg.rows import TupleRow

from engine.domain.errors import StoreError
from engine.store.postgres.connections import Connection, Question, answers
from engine.store.postgres.refusals import behind_pooler

TIMES: Final = 3
_SESSION: Final = "SELECT pg_backend_pid(), pg_is_in_recovery()"


async def usable_answers(connection: Connection, what: str, *questions: Question) -> list[list[TupleRow]]:
    """What these statements read; in the same round trip it is asked whether a store works there.

    Raises as `refuse_unusable` does, which asks `TIMES` times.
    """
    ((session,), *found) = await answers(connection, (_SESSION, None), *questions)
    backend, is_standby = session
    if backend != connection.info.backend_pid:
        raise behind_pooler(what)
    if is_standby:
        raise StoreError(what, "is on a standby server, which is read-only", "give the URL of the primary server")
    return found


async def refuse_unusable(connection: Connection, what: str, *, asked: int = 0) -> None:
    """Raises StoreError where a pooler stands between, or the server is a standby; psycopg.Error.

    `asked`: how often `usable_answers` has asked before.

    Behind a pooler others may get this session, and it stays where this process is dead: neither holds for a lock that
    proves who lives. It tells libpq a process that is not the one that answers, or that changes.
    """
    for _ in range(asked, TIMES):  # one after another: a pooler keeps a session for statements that are sent together
        await usable_answers(connection, what)
