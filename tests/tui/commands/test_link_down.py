"""A host whose link to the shared store is down, and comes back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.network_hosts import NETWORK, free_port, network_hosts
from tests.postgres_server import PostgresServer, running_server
from tests.shared_stores import copied_store, name_in
from tests.tui.command_line import CommandLine
from tests.waiting import wait_until


@pytest.mark.long
def test_r26_what_ended_meanwhile_is_stored_by_the_process_that_follows_and_a_run_waits_for_it(
    postgres: PostgresServer, dbtend: CommandLine, sales: Path
) -> None:
    with running_server(postgres.binaries) as server, network_hosts(1) as (host,):
        server.stop()
        server.listen_to(NETWORK, free_port())
        server.start()
        with copied_store(server) as url:

            def child() -> dict[str, Any]:
                shown = dbtend("--store", url, "show", "1", "--json")
                return shown.json["jobs"][0]["children"][0] if shown.code == 0 else {"status": "", "steps": []}

            there = f"postgresql://postgres@{host.server}:{server.tcp_port}/{name_in(url)}"
            options = ("--op", "vacuum", "--lock-timeout", "600")
            command = [sys.executable, "-P", "-m", "tui.cli", "--store", there, "run", str(sales), *options]
            environment = {**os.environ, **dbtend.environment, "DBTEND_HOST": "db1"}
            with closing(sqlite3.connect(sales, isolation_level=None)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                with _running([*host.command, *command], environment) as run:
                    wait_until(lambda: bool(child()["steps"]))
                    host.cut()
                    writer.execute("ROLLBACK")
                    wait_until(lambda: child()["status"] == "pending")  # its process has ended
                    host.join()
                    _, told = run.communicate(timeout=120)
            assert run.returncode == 0, told
            assert "waiting for it" in told
            ended = child()
            assert [(one["number"], one["status"]) for one in ended["attempts"]] == [(1, "completed")]
            assert "kept on its host" in ended["log"][-1]["message"]


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
