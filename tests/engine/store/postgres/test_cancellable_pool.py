"""Whoever waits for a connection ends where it is cancelled, at whatever moment that is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.store.postgres.connections import CancellablePool

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancel_that_comes_with_the_connection_is_not_lost(postgres: PostgresServer, turns: int) -> None:
    async with CancellablePool(postgres.url(), min_size=1, max_size=1, open=False) as pool:
        held = await pool.getconn()
        waiting = asyncio.create_task(pool.getconn())
        while not pool.get_stats()["requests_waiting"]:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)
        await pool.putconn(held)
        for _ in range(turns):
            await asyncio.sleep(0)
        was_too_late = waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=10)
        assert waiting.cancelled() is not was_too_late
        if was_too_late:
            await pool.putconn(waiting.result())
        async with asyncio.timeout(10), pool.connection():
            pass
