"""A cancel by force from another host ends a process of the pool that is asked, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.store.postgres.connections import parameters
from engine.store.postgres.kill_requests import _kill_asked
from engine.store.postgres.store import PostgresStore
from tests.building import new_job
from tests.postgres_databases import as_admin

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as bystander:
        yield bystander
        bystander.kill()


@pytest.mark.parametrize("is_of_pool", [False, True])
async def test_r33_a_process_that_is_not_of_the_pool_is_not_killed(
    store_url: str, process: subprocess.Popen[bytes], is_of_pool: bool
) -> None:
    """Whatever number a login has registered for it."""
    pool = os.getpid() if is_of_pool else os.getppid()
    async with PostgresStore.open(store_url, what="the store", host="db2", machine="it") as store:
        (job,) = await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        async with store.hosting_workers() as owner:
            await store.claim(owner)
            with as_admin(store_url) as admin:
                admin.execute("UPDATE dbtend.worker SET pid = %s, pool = %s", (process.pid, pool))
            await store.request_force(JobId(job, 1), JobId(job, 1), owner)
            with psycopg.connect(**parameters(store_url, "dbtend kill"), autocommit=True) as connection:
                _kill_asked(connection, {"host": "db2", "machine": "it", "pool": pool})
            if is_of_pool:
                assert process.wait(30) == -9
            else:
                assert process.poll() is None
