"""The signal that ended a process decides what becomes of its jobs; its parent process records it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from engine.execution.worker_identity import WorkerIdentity
from engine.store.ending_texts import format_worker_death
from engine.store.sqlite import liveness

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.sqlite.store import SqliteStore


def test_only_a_crash_is_told_with_its_signal() -> None:
    assert format_worker_death(2, signal.SIGSEGV) == "the process that ran it crashed (SIGSEGV), 2 times"
    assert format_worker_death(1, signal.SIGKILL) == format_worker_death(1) == "the process that ran it died"


def test_who_is_found_dead_has_its_signal_noted_already(tmp_path: Path) -> None:
    """Its lock is free only after the process that started it has told how it ended."""
    store = tmp_path / "jobs.db"
    identity = WorkerIdentity(store, pool=4711, size=1)
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert liveness.is_alive(store, identity.owner, None, None)
    identity.note_signal(signal.SIGKILL)
    identity.close()
    assert not liveness.is_alive(store, identity.owner, None, None)
    assert liveness.signal_of(store, identity.owner) == signal.SIGKILL


async def test_a_process_is_registered_under_the_identity_that_it_was_given(store: SqliteStore) -> None:
    identity = WorkerIdentity(store.path, pool=4711, size=3)
    try:
        async with store.hosting_workers(identity=identity) as owner:
            (process,) = await store.workers()
            assert (owner, process.pool, process.pool_size, process.alive) == (identity.owner, 4711, 3, True)
        assert await store.workers() == []
        assert not (store.path.with_name(f"{store.path.name}.d") / f"{owner}.lock").exists()
    finally:
        identity.close()
