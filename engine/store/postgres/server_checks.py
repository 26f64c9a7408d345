"""Servers on which a store does not work: refused before anything is set or written there."""

from __future__ import annotations

from typing import Final

from psycopg.rows import TupleRow

from engine.store.postgres.connections import Connection, Question, answers
from engine.store.postgres.refusals import behind_pooler

TIMES: Final = 3
_SESSION: Final = "SELECT pg_backend_pid()"


async def usable_answers(connection: Connection, what: str, *questions: Question) -> list[list[TupleRow]]:
    """What these statements read; in the same round trip it is asked whether a store works there.

    Raises as `refuse_unusable` does, which asks `TIMES` times.
    """
    (((backend,),), *found) = await answers(connection, (_SESSION, None), *questions)
    if backend != connection.info.backend_pid:
        raise behind_pooler(what)
    return found


async def refuse_unusable(connection: Connection, what: str, *, asked: int = 0) -> None:
    """Raises StoreError where a pooler stands between; psycopg.Error.

    `asked`: how often `usable_answers` has asked before.

    Behind a pooler others may get this session, and it stays where this process is dead: neither holds for a lock that
    proves who lives. It tells libpq a process that is not the one that answers, or that changes.
    """
    for _ in range(asked, TIMES):  # one after another: a pooler keeps a session for statements that are sent together
        await usable_answers(connection, what)
