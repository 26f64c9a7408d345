"""The session that proves a process alive, and what it leaves behind."""

from __future__ import annotations

import asyncio

import pytest

from engine.store.postgres.connections import Connection
from engine.store.postgres.proof import proving


async def nothing(_: Connection) -> None: ...


async def true(_: Connection) -> bool:
    return True


@pytest.mark.parametrize("turns", range(6))
async def test_no_ping_is_on_its_way_when_the_session_is_closed(store_url: str, turns: int) -> None:
    """It would go on in memory that is no longer the connection's. `turns`: of the event loop, before it is closed."""
    before = asyncio.all_tasks()
    async with proving(store_url, "the store", register=nothing, prove_again=true, give_up=nothing):
        for _ in range(turns):
            await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
