"""The commands on a store that many hosts share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.tui.command_line import CommandLine, wait_until


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty shared store."""
    with copied_store(postgres) as url:
        yield url


def test_a_run_is_in_the_history_of_the_shared_store(dbtend: CommandLine, shared: str, sales: Path) -> None:
    done = dbtend("--store", shared, "run", str(sales), "--op", "vacuum", "--json")
    assert done.code == 0, done.err
    assert [child["status"] for child in done.json["jobs"][0]["children"]] == ["completed"]
    assert "sales.db" in dbtend("--store", shared, "history").out
    assert not dbtend.store.exists()


@contextmanager
def worker_of(dbtend: CommandLine, shared: str, host: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A worker process of a host, once it is up."""
    words = ("worker", "--workers", "1", *options)
    with dbtend.start("--store", shared, *words, environment={"DBTEND_HOST": host}) as process:
        try:
            wait_until(lambda: host in {one["host"] for one in workers(dbtend, shared)})
            yield process
        finally:
            process.terminate()


def workers(dbtend: CommandLine, shared: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = dbtend("--store", shared, "workers", "--json").json["workers"]
    return shown


def test_workers_are_told_by_host_with_version_and_queues(dbtend: CommandLine, shared: str) -> None:
    with worker_of(dbtend, shared, "db2"), worker_of(dbtend, shared, "db1"):
        told = [(one["host"], one["queues"], one["version"]) for one in workers(dbtend, shared)]
        assert sorted(told) == [(host, ["any", f"host:{host}"], version("dbtend")) for host in ("db1", "db2")]
        heading, first, second = dbtend("--store", shared, "workers").out.splitlines()
        assert heading.split() == ["PID", "POOL", "HOST", "VERSION", "SINCE", "TAKES", "RUNS"]
        assert "any, host:db1" in first
        assert "any, host:db2" in second


def test_workers_of_a_drained_host_leave_and_none_starts_there(
    dbtend: CommandLine, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker_of(dbtend, shared, "db1"), worker_of(dbtend, shared, "db2") as second:
        drained = dbtend("--store", shared, "worker", "--drain", "db2")
        assert drained.code == 0
        assert "db2 is drained: its workers take no more jobs, and leave (1 worker process up, 0 jobs" in drained.err
        assert second.wait(30) == 0
        assert [one["host"] for one in workers(dbtend, shared)] == ["db1"]
    monkeypatch.setenv("DBTEND_HOST", "db2")
    refused = dbtend("--store", shared, "worker", "--idle-exit", "0")
    assert refused.code == 2
    assert "this host, db2, takes no jobs since" in refused.err
    assert "dbtend worker --undrain db2" in refused.err
    assert "workers of db2 take jobs again" in dbtend("--store", shared, "worker", "--undrain", "db2").err
    assert dbtend.process("--store", shared, "worker", "--idle-exit", "0").code == 0


def test_an_embedded_store_has_no_hosts_to_drain(dbtend: CommandLine) -> None:
    refused = dbtend("worker", "--drain", "db2")
    assert refused.code == 2
    assert "one host alone uses this store" in refused.err


def test_the_name_of_a_host_is_checked(dbtend: CommandLine, shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBTEND_HOST", "a b")
    refused = dbtend("--store", shared, "workers")
    assert refused.code == 2
    assert "DBTEND_HOST=a b: is no name of a host" in refused.err
