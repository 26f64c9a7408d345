"""Asks a store again that cannot be read or written for a while, and says in the log that it does."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.domain.errors import StoreError, StoreUnreachableError
from engine.system.background import pause_loop

T = TypeVar("T")
STORE_RETRY_INTERVAL = 1.0
STORE_RETRIES = 30
STORE_RETRIES_AT_STOP = 3

store_log = logging.getLogger("dbtend.store")
"""Logs when the store cannot be written, and when it can be again."""


class StoreRetries:
    """Whether the store took the last write, and how long it is asked again."""

    def __init__(self) -> None:
        self.is_stopping = False
        """Its process ends: the store is not waited for as long."""
        self._refusal = ""
        """The last error of the store."""

    @property
    def is_refused(self) -> bool:
        """Whether the store did not take the last write."""
        return bool(self._refusal)

    async def until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of the store. Raises its StoreError if waiting does not help."""
        refused = 0
        while True:
            try:
                return await ask()
            except StoreError as error:
                most = STORE_RETRIES_AT_STOP if self.is_stopping else _retries(error)
                if not error.is_transient or refused >= most:
                    raise
                self.note(error)
                refused += 1
                await pause_loop(STORE_RETRY_INTERVAL)

    def note(self, error: StoreError | None) -> None:
        """Log a new error of the store, or that it can be written again. None: a write succeeded."""
        refusal = "" if error is None else str(error)
        if refusal == self._refusal:
            return
        self._refusal = refusal
        if refusal:
            store_log.warning("%s; results are kept and stored later", refusal)
        else:
            store_log.warning("the store of jobs can be written again")


def _retries(error: StoreError) -> float:
    return math.inf if isinstance(error, StoreUnreachableError) else STORE_RETRIES
