"""The process that started another one notes the signal that ended it, whatever other processes there are."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from engine.execution.worker_identity import WorkerIdentity
from engine.store.location import StoreLocation
from engine.store.postgres.store import PostgresStore
from tests.postgres_databases import as_admin

if TYPE_CHECKING:
    from pathlib import Path


async def test_each_process_has_the_signal_noted_that_ended_it(store_url: str, tmp_path: Path) -> None:
    location = StoreLocation(tmp_path / "jobs", store_url)
    ended = {
        WorkerIdentity(location, pool=4711, size=1): number
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS)
    }
    async with PostgresStore.open(store_url, what="the store") as store, AsyncExitStack() as stack:
        for identity in ended:
            await stack.enter_async_context(store.hosting_workers(identity=identity))
        for identity, number in ended.items():
            identity.note_signal(number)
        with as_admin(store_url) as admin:
            noted = admin.execute("SELECT id, signal FROM dbtend.worker").fetchall()
    assert dict(noted) == {identity.owner: number for identity, number in ended.items()}
