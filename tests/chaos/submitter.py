"""A process that submits, cancels some of it, and ends some of what runs by force, until it is killed.

python -m tests.chaos.submitter SEED DATABASE...
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from contextlib import suppress
from pathlib import Path

from engine import Engine, JobId, OnDuplicate, OnFailure, Options, Request
from engine.domain.errors import UsageError
from tests.building import SQLITE_OPERATIONS
from tests.chaos.instruments import DIRECTORY
from tests.chaos.trace import Trace, What

ENOUGH = 20
"""Open parents, beyond which it waits."""
CANCELLED = 0.1
"""The share of jobs that are cancelled again."""
FORCED = 0.25
"""The share of turns at which something that runs is ended by force."""


async def submit_for_ever(trace: Trace, databases: list[str], chance: random.Random) -> None:
    async with Engine.open(trace.store) as engine:
        while True:
            if len(await engine.open_jobs()) < ENOUGH:
                (job,) = await engine.submit([_request(databases, chance)], on_duplicate=OnDuplicate.MERGE)
                trace.tell(What.SUBMITTED, job=job.id, target=job.target, operations=job.request.operations)
                if chance.random() < CANCELLED:
                    await engine.cancel(JobId(job.id))
            if chance.random() < FORCED:
                await _end_by_force(engine, chance)
            await asyncio.sleep(chance.uniform(0, 0.05))


async def _end_by_force(engine: Engine, chance: random.Random) -> None:
    running = [job for worker in await engine.workers() for job in worker.running]
    if running:
        with suppress(UsageError):  # it is over, or its process is gone
            await engine.cancel(chance.choice(running), force=True)


def _request(databases: list[str], chance: random.Random) -> Request:
    operations = chance.sample(list(SQLITE_OPERATIONS), chance.randint(1, 4))
    # Long enough for what is stopped for a moment while it holds a lock.
    options = Options(on_failure=chance.choice(list(OnFailure)), lock_timeout=60.0)
    return Request(target=chance.choice(databases), operations=tuple(operations), options=options)


if __name__ == "__main__":
    asyncio.run(submit_for_ever(Trace(Path(os.environ[DIRECTORY])), sys.argv[2:], random.Random(int(sys.argv[1]))))
