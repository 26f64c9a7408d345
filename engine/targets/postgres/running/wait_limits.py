"""How long a step may wait, by what it waits for.

The server has one lock_timeout. For a concurrent rebuild it would end two kinds of waits: for a lock, behind which
others queue, and for transactions that may still see the old index, which blocks no reader and no
writer. So the server gets the longer of both limits, and this module enforces the shorter one.
"""

from __future__ import annotations

import math
from typing import Final

from engine.domain.requests import MAX_WAIT
from engine.domain.steps import WaitsFor
from engine.targets.postgres.planning.steps import Method
from engine.targets.stop_signal import StopSignal

SNAPSHOT_WAIT: Final = 3600.0
"""Seconds, where neither an option nor a time limit says how long."""
UNWATCHED: Final = 2.0
"""Seconds."""
CONCURRENT: Final = frozenset({Method.REINDEX_CONCURRENTLY, Method.DROP_LEFTOVER})


class WaitLimits:
    """How long one step may wait: in seconds, by any clock."""

    def __init__(self, lock_timeout: float, snapshot_wait: float | None, closes_at: float | None) -> None:
        """`closes_at`: when its time limit passes. No wait for transactions goes on then, whatever `snapshot_wait`
        says, unless it is shorter than one for a lock may be."""
        self._lock_timeout = lock_timeout
        self._snapshot_wait = snapshot_wait
        self._closes_at = closes_at
        self.waits_for: WaitsFor | None = None
        """What its latest wait is for."""
        self.waited = 0.0
        """Seconds of that wait: for a lock this time, for transactions in total."""
        self._for_transactions = 0.0
        self._observed_at: float | None = None
        """When the latest poll saw it wait."""
        self.exceeded = StopSignal()
        """Set when a limit is exceeded."""
        self.is_closed = False
        """Whether the time limit ends the wait that it waits for now."""

    def server_limit(self, now: float) -> float:
        """The lock_timeout for the server of a concurrent step: enough for either wait, and a little more, so that it
        only ends waits that this module does not watch."""
        longest = self._snapshot_wait
        if longest is None:
            longest = SNAPSHOT_WAIT if self._closes_at is None else self._closes_at - now
        return min(max(longest, self._lock_timeout) + UNWATCHED, MAX_WAIT)

    def observe(self, waits_for: WaitsFor | None, now: float) -> None:
        """Record what it waits for now."""
        if waits_for is None:
            self._observed_at = None
            return
        if waits_for is not self.waits_for:
            self.waits_for, self._observed_at = waits_for, None
            self.waited = self._for_transactions if waits_for is WaitsFor.TRANSACTIONS else 0.0
        elif self._observed_at is None and waits_for is WaitsFor.LOCK:
            self.waited = 0.0
        self.waited += now - self._observed_at if self._observed_at is not None else 0.0
        self._observed_at = now
        if waits_for is WaitsFor.TRANSACTIONS:
            self._for_transactions = self.waited
        self.is_closed = waits_for is WaitsFor.TRANSACTIONS and self._has_closed(now)
        if self.is_closed or self.waited >= self._longest(waits_for):
            self.exceeded.set()

    def _has_closed(self, now: float) -> bool:
        """Whether the time limit has passed, and it has waited as long as it may for a lock."""
        return self._closes_at is not None and now >= self._closes_at and self.waited >= self._lock_timeout

    def _longest(self, waits_for: WaitsFor) -> float:
        """How long such a wait may take before the time limit."""
        if waits_for is WaitsFor.LOCK:
            return self._lock_timeout
        if self._snapshot_wait is not None:
            return self._snapshot_wait
        return SNAPSHOT_WAIT if self._closes_at is None else math.inf
