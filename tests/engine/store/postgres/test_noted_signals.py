"""The process that started another one notes the signal that ended it, whatever other processes there are."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from threading import Timer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg

from engine.execution.worker_identity import WorkerIdentity
from engine.store.location import StoreLocation
from engine.store.postgres import worker_signal
from engine.store.postgres.store import PostgresStore
from tests.postgres_databases import as_admin

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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


def test_r32_a_server_that_freezes_once_it_is_connected_to_is_waited_for_for_a_moment(
    store_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    thaws, frozen = list[Timer](), list[int]()

    def connect(**settings: Any) -> psycopg.Connection:
        connection = psycopg.connect(**settings)
        frozen.append(connection.info.backend_pid)
        thaws.append(Timer(30, os.kill, (frozen[0], signal.SIGCONT)))
        thaws[0].start()
        os.kill(frozen[0], signal.SIGSTOP)
        return connection

    monkeypatch.setattr(worker_signal, "psycopg", SimpleNamespace(connect=connect, Error=psycopg.Error))
    try:
        worker_signal.note_signal(store_url, "h:1.1", signal.SIGKILL)
        assert thaws[0].is_alive()
    finally:
        thaws[0].cancel()
        os.kill(frozen[0], signal.SIGCONT)
    assert "is not told of signal 9" in caplog.text
