"""Who is alive: a process that lives is never taken for dead, and a dead one leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys

from engine.domain.events import ChangeKind
from engine.domain.requests import OnDuplicate, Operation
from engine.store.rows import decode_change
from engine.store.sqlite import liveness
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job

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


def test_a_change_that_only_a_newer_version_knows_is_one_all_the_same() -> None:
    change = decode_change((7, 1, None, None, "renamed", None, None, 0))
    assert (change.seq, change.kind, change.job) == (7, ChangeKind.UNKNOWN, None)
