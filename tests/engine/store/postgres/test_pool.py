"""The pool of connections to the store's server, and tasks that are cancelled while they wait for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from engine.domain.errors import StoreError
from engine.store.postgres.connections import Connection, Pool


@pytest.mark.parametrize("turns", range(8))
async def test_a_task_that_is_cancelled_while_it_gets_a_connection_ends(store_url: str, turns: int) -> None:
    """`turns`: of the event loop, since the connection is free. With 2 to 4 the pool's library forgets the cancel."""
    pool, is_taken, is_free = Pool(store_url, "the store", program="test", size=1), asyncio.Event(), asyncio.Event()

    async def occupy(_: Connection) -> None:
        is_taken.set()
        await is_free.wait()

    async def ask_until_cancelled() -> None:
        while True:
            with suppress(StoreError):
                await pool.rows("SELECT 1")
            await asyncio.Event().wait()

    await pool.open()
    occupying = asyncio.create_task(pool._on_connection(occupy))
    await is_taken.wait()
    asking = asyncio.create_task(ask_until_cancelled())
    while not pool._pool.get_stats()["requests_waiting"]:  # noqa: ASYNC110 - each turn counts
        await asyncio.sleep(0)
    is_free.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    ended, _ = await asyncio.wait({asking}, timeout=20)
    asking.cancel()
    await occupying
    await pool.close()
    assert ended


async def test_connections_that_are_made_early_end_when_they_are_idle(store_url: str) -> None:
    pool = Pool(store_url, "the store", program="test", size=3, at_once=3)
    await pool.open()
    stats = pool._pool.get_stats()
    await pool.close()
    assert (stats["pool_size"], stats["pool_min"], stats["pool_max"]) == (3, 1, 3)


async def test_a_write_follows_one_that_was_rolled_back(store_url: str) -> None:
    """After a rollback the driver takes back all that it has prepared on a connection."""
    pool = Pool(store_url, "the store", program="test", size=1)
    await pool.open()
    assert await pool.write("SELECT 1", ()) == [(1,)]
    for _ in range(10):  # from the fifth on the driver prepares it
        await pool.rows("SELECT 1")
    with pytest.raises(StoreError):
        await pool.write("SELECT 1 / 0", ())
    await pool.rows("SELECT 1")
    assert await pool.write("SELECT 2", ()) == [(2,)]
    await pool.close()
