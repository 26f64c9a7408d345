"""What holds while a statement runs, and not longer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import psycopg

from engine.targets.postgres.connection.connecting import Connection


@contextlib.asynccontextmanager
async def either(*events: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """Set as soon as one of these is."""
    if len(events) == 1:
        yield events[0]
        return
    any_of_them = asyncio.Event()

    async def follow(event: asyncio.Event) -> None:
        await event.wait()
        any_of_them.set()

    following = [asyncio.create_task(follow(event)) for event in events]
    try:
        yield any_of_them
    finally:
        for task in following:
            task.cancel()


@contextlib.asynccontextmanager
async def with_settings(connection: Connection, settings: Sequence[tuple[str, str]]) -> AsyncIterator[None]:
    """These settings meanwhile."""
    for name, value in settings:
        await connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.Error):
            for name, _ in settings:
                await connection.execute(f"RESET {name}")
