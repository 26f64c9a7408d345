"""A worker process of a shared store that tells what it does: python -m tests.chaos.shared_worker URL HOST"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from engine.domain.errors import StoreError
from engine.execution import supervision, worker_runtime
from engine.store.location import StoreLocation
from engine.store.postgres.store import PostgresStore
from engine.system.clock import now
from tests.chaos import instruments
from tests.chaos.trace import Trace

AT_ONCE = 2


async def work(url: str, host: str) -> None:
    async with (
        PostgresStore.open(url, what="the store", host=host) as store,
        supervision.supervising(store),
        worker_runtime.hosted_workers(
            store,
            StoreLocation.shared(url),
            worker_runtime.HostedWorkers(workers=AT_ONCE),
            now,
        ),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    trace = Trace(Path(os.environ[instruments.DIRECTORY]))
    instruments.tell_work(trace)
    instruments.tell_ends(PostgresStore, trace)
    try:
        asyncio.run(work(sys.argv[1], sys.argv[2]))
    except StoreError as error:  # it is started again
        sys.exit(str(error))
