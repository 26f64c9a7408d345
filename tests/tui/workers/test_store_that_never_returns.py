"""A worker that ends when idle does not wait for ever for the server of its store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine import Engine, Retention, StoreLocation
from engine.store.postgres import connections
from tests.postgres_server import PostgresServer, running_server
from tests.shared_stores import make_template
from tui.commands import worker
from tui.presentation.exit_codes import OK
from tui.workers.pool import PoolProcess


def test_it_ends_and_says_so_once(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker, "UNREACHABLE_EXIT", 0.1)
    monkeypatch.setattr(connections, "ANSWERS_WITHIN", 0.5)  # else its end takes longer
    with running_server(postgres.binaries) as server:
        make_template(server)
        store = StoreLocation.parse(server.url("empty_store"))
        host = worker._Host(store, 600.0, 1.0, Retention(), 2, tmp_path / "config.toml")

        async def serves_while_the_server_stops() -> bool:
            async with Engine.open(store, workers=1) as engine:
                await asyncio.to_thread(server.stop)
                return await host._take_jobs(engine, process, asyncio.Event(), asyncio.Event())

        lifeline, _ = pipe = os.pipe()
        process = PoolProcess(0, lifeline, None, os.open(os.devnull, os.O_WRONLY))
        assert not asyncio.run(serves_while_the_server_stops())
        assert worker._begin(host.work, process) == OK
        for number in (*pipe, process._words):
            os.close(number)
    assert sum("this worker ends" in text for text in caplog.messages) == 2  # once each
