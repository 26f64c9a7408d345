"""What holds while a statement runs, and not longer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import psycopg

from engine.targets.postgres.connection.connecting import Connection


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
