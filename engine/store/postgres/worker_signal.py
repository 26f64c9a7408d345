"""Notes what ended a worker process, from the process that started it."""

from __future__ import annotations

import logging
from contextlib import closing
from select import select
from typing import Final

import psycopg
from psycopg import errors, pq

from engine.store.postgres.connections import parameters, store_error

WITHIN: Final = 2
"""Seconds to connect, and for the answer; no other process can be replaced in that time."""
_NOTE: Final = b"SELECT note_signal($1, $2)"
log = logging.getLogger("dbtend")


def note_signal(url: str, owner: str, number: int) -> None:
    """Keep the signal that ended the process of `owner`, for the rescue of its jobs; without, that knows less."""
    settings = {**parameters(url, "dbtend"), "connect_timeout": str(WITHIN)}
    try:
        with closing(psycopg.connect(**settings, autocommit=True)) as connection:
            server = connection.pgconn
            server.send_query_params(_NOTE, [owner.encode(), str(number).encode()])
            if not select([server.socket], [], [], WITHIN)[0]:
                raise errors.ConnectionTimeout(f"no answer within {WITHIN} s")
            answer = server.get_result()
            if answer is not None and answer.status == pq.ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(answer)
    except psycopg.Error as error:
        log.warning("the store is not told of signal %s: %s", number, store_error("its server", error))
