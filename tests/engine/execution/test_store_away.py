"""What a job must know of its store before it begins: it is waited for, as long as it can come back."""

from __future__ import annotations

from typing import cast

import pytest

from engine.domain.errors import StoreBusyError, StoreError, StoreUnreachableError
from engine.execution import store_retries
from engine.execution.processor import Hosting, JobProcessor
from engine.store.protocol import Store
from engine.system.clock import now


class Away:
    """Answers after so many refusals."""

    def __init__(self, refusals: int, error: type[StoreError]) -> None:
        self.left, self._error = refusals, error

    async def ask(self) -> str:
        if self.left:
            self.left -= 1
            raise self._error("the store", "does not answer")
        return "well"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_retries, "STORE_RETRY_INTERVAL", 0)


async def until_answered(away: Away) -> str:
    store = cast(Store, None)  # it is not asked for anything else
    processing = JobProcessor(store, {}, Hosting(owner="", concurrency=1, own_jobs_only=True), now)
    return await processing.before_start(away.ask)


async def test_a_server_that_is_away_is_waited_for_as_long_as_that_takes() -> None:
    away = Away(10 * store_retries.STORE_RETRIES, StoreUnreachableError)
    assert await until_answered(away) == "well"


async def test_a_file_that_others_lock_is_waited_for_for_a_while() -> None:
    assert await until_answered(Away(store_retries.STORE_RETRIES, StoreBusyError)) == "well"
    with pytest.raises(StoreBusyError):
        await until_answered(Away(store_retries.STORE_RETRIES + 1, StoreBusyError))


async def test_an_error_that_stays_is_told_at_once() -> None:
    away = Away(2, StoreError)
    with pytest.raises(StoreError):
        await until_answered(away)
    assert away.left == 1
