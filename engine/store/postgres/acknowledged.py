"""What the store has acknowledged to this process, and whether the server that answers now still has it.

A standby that was behind, and a server that was restored, lack the newest commits, and give their ids to others. So
this process remembers the newest event at its last write: commits are replayed in their order, so a server that has
this event has all before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import psycopg

from engine.domain.errors import StoreLostError
from engine.domain.humanize import listed

_NAMED: Final = 3
_JOBS_KEPT: Final = 10_000
NEWEST: Final = "(SELECT ARRAY[seq, at] FROM event ORDER BY seq DESC LIMIT 1)"
"""The event to remember; read in the transaction whose commit is waited for."""
_IS_THERE: Final = """SELECT coalesce(
    (SELECT at = %(at)s FROM event WHERE seq = %(seq)s), %(seq)s < (SELECT min(seq) FROM event), false)"""
_STILL_THERE: Final = "SELECT id FROM parent_job WHERE id = ANY (%(jobs)s) AND created_at <= %(at)s"


class Acknowledged:
    def __init__(self, what: str) -> None:
        """`what`: the store in errors, without a password."""
        self._what = what
        self._seq, self._at = 0, 0
        self._jobs = deque[int](maxlen=_JOBS_KEPT)
        self.lost: StoreLostError | None = None
        """Why nothing more is read or written; None while all is there."""
        self.on_lost: Callable[[StoreLostError], None] = lambda _: None

    def note(self, event: Sequence[int] | None) -> None:
        """The newest event when a write was acknowledged; None: there is none."""
        if event is not None and event[0] > self._seq:
            self._seq, self._at = event

    def note_jobs(self, ids: Iterable[int]) -> None:
        """Submitted by this process."""
        self._jobs += ids

    def require(self) -> None:
        """Raises StoreLostError."""
        if self.lost is not None:
            raise self.lost.with_traceback(None)

    async def check(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """In a new session, before anything else: it may be at another server. Raises psycopg.Error."""
        if not self._seq or self.lost is not None:
            return
        asked = {"seq": self._seq, "at": self._at, "jobs": list(self._jobs)}
        ((is_there,),) = await (await connection.execute(_IS_THERE.encode(), asked)).fetchall()
        if not is_there:
            there = {job for (job,) in await (await connection.execute(_STILL_THERE.encode(), asked)).fetchall()}
            gone = [f"#{job}" for job in self._jobs if job not in there]
            why = "the server that answers now lacks the newest changes that were stored, as after a failover"
            self.lost = StoreLostError(
                self._what,
                why + (f": lost are {listed(gone, _NAMED)}" if gone else ""),
                "see `dbtend history`, and submit missing jobs again",
            )
            self.on_lost(self.lost)
