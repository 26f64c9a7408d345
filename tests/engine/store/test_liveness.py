"""Who is alive: a process that lives is never taken for dead, and a dead one leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.domain.claims import Claim, Outcome, Report
from engine.domain.events import ChangeKind
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.store.rows import decode_change
from engine.store.sqlite import liveness
from engine.store.sqlite.store import SqliteStore
from tests.building import CANCELLED, new_job

AN_OWNER = """
import asyncio, pathlib, sys
from engine.store.sqlite.store import SqliteStore

async def main():
    async with SqliteStore.open(pathlib.Path(sys.argv[1])) as store, store.hosting_workers() as owner:
        await store.claim(owner)
        print(owner, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_who_lives_is_not_dead_because_somebody_removed_its_file(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    with subprocess.Popen(
        [sys.executable, "-c", AN_OWNER, str(store.path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        (store.path.with_name(store.path.name + ".d") / f"{name}.lock").unlink()
        assert await store.rescue() == []
        (process,) = await store.workers()
        assert (process.pid, process.alive) == (owner.pid, True)
        owner.kill()
        owner.wait()
        assert len(await store.rescue()) == 1
        assert await store.workers() == []


async def test_files_that_no_row_names_are_removed_once_they_are_old(store: SqliteStore) -> None:
    directory = store.path.with_name(store.path.name + ".d")
    directory.mkdir(exist_ok=True)
    old, young, held = (directory / f"{letter * 32}.lock" for letter in "abc")
    others = [directory / "worker.lock", directory / "worker.log"]
    for path in (old, young, *others):
        path.touch()
    with liveness.proof_of_life(store.path, held.stem):
        for path in (old, held, *others):
            os.utime(path, (1, 1))
        async with store.hosting_workers():
            assert [path.exists() for path in (old, young, held, *others)] == [False, True, True, True, True]


async def test_a_process_that_ends_in_order_leaves_no_file(store: SqliteStore) -> None:
    async with store.hosting_workers() as owner:
        assert liveness.last_beat(store.path, owner) is not None
    assert liveness.last_beat(store.path, owner) is None


async def running(store: SqliteStore, owner: str) -> Claim:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim(owner)
    assert claim is not None
    return claim


@pytest.mark.parametrize("reason", [Reason.CANCELLED_BY_USER, Reason.TIME_LIMIT, Reason.SHUTDOWN])
async def test_an_orphan_that_was_to_be_cancelled_is_so_for_the_reason_it_was_asked(
    store: SqliteStore, reason: Reason
) -> None:
    claim = await running(store, "who has died since")
    await store.request_cancel(claim.job, reason)
    assert await store.rescue() == [claim.job]
    recovery = await store.claim("me")
    assert recovery is not None
    assert (recovery.job, recovery.attempt, recovery.recovering, recovery.forced) == (claim.job, 2, reason, False)
    await store.finish(recovery, CANCELLED, Report())
    (child,) = (await store.job(claim.job.parent)).children
    assert (child.status, child.reason) == (Status.CANCELLED, reason)


async def test_a_child_ended_when_its_worker_said_so_not_when_it_could_be_stored(store: SqliteStore) -> None:
    claim = await running(store, "me")
    started_at = (await store.job(1)).children[0].started_at
    assert started_at is not None
    await store.finish(claim, Outcome(status=Status.COMPLETED, ended_at=started_at + 5), Report())
    job = await store.job(1)
    assert (job.finished_at, job.children[0].finished_at) == (started_at + 5, started_at + 5)


def test_a_change_that_only_a_newer_version_knows_is_one_all_the_same() -> None:
    change = decode_change((7, 1, None, None, "renamed", None, None, 0))
    assert (change.seq, change.kind, change.job) == (7, ChangeKind.UNKNOWN, None)
