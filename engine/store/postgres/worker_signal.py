"""Notes what ended a worker process, from the process that started it."""

from __future__ import annotations

import logging
from typing import Final

import psycopg

from engine.store.postgres.connections import parameters, store_error

WITHIN: Final = "2"
"""Seconds to connect; no other process can be replaced in that time."""
log = logging.getLogger("dbtend")


def note_signal(url: str, owner: str, number: int) -> None:
    """Keep the signal that ended the process of `owner`, for the rescue of its jobs; without, that knows less."""
    try:
        with psycopg.connect(**{**parameters(url, "dbtend"), "connect_timeout": WITHIN}, autocommit=True) as connection:
            connection.execute("SELECT note_signal(%s, %s)", (owner, number))
    except psycopg.Error as error:
        log.warning("the store is not told of signal %s: %s", number, store_error("its server", error))
