"""Two machines under one name: each would take the files of the other for its own."""

from __future__ import annotations

from typing import Final

from engine.store.postgres.connections import Question
from engine.store.postgres.queries import LIVES

HAS_NAMESAKE: Final = f"""SELECT EXISTS (SELECT FROM worker AS w
    WHERE w.host = %(host)s AND is_other_machine(w.machine, %(machine)s) AND {LIVES})"""
"""Whether a process of another machine works under the name of a host."""


def has_namesake(host: str, machine: str) -> Question:
    """Asks whether another machine works under the name of a host."""
    return HAS_NAMESAKE, {"host": host, "machine": machine}
