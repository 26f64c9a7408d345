"""Commands while a standby takes over from the server of the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.store.postgres.proof import server_is_down
from tests.failover import STORE, Pair, streaming_pair
from tests.postgres_server import PostgresServer
from tests.tui.command_line import CommandLine, write_locked
from tests.waiting import wait_until


@pytest.fixture
def pair(postgres: PostgresServer, dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with streaming_pair(postgres.binaries) as both:
        dbtend.environment = {name: value for name, value in dbtend.environment.items() if name != "DBTEND_STORE"}
        monkeypatch.delenv("DBTEND_STORE")
        dbtend.configure(f'[store]\nurl = "{both.url}"')
        yield both


def until_it_runs(dbtend: CommandLine) -> None:
    wait_until(lambda: [job["status"] for job in dbtend("history", "--json").json["jobs"]] == ["running"])


def test_a_run_goes_on_at_the_new_primary(dbtend: CommandLine, pair: Pair, sales: Path) -> None:
    pair.synchronize()
    with ExitStack() as lock:
        lock.enter_context(write_locked(sales))
        with dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600", "--json") as run:
            until_it_runs(dbtend)
            pair.fail_over()
            lock.close()
            out, err = run.communicate(timeout=60)
    (child,) = json.loads(out)["jobs"][0]["children"]
    assert (run.returncode, child["status"], child["attempt"]) == (0, "completed", 1), err


def test_r35_a_run_whose_job_is_lost_says_so_and_ends(dbtend: CommandLine, pair: Pair, sales: Path) -> None:
    pair.fall_behind()
    with write_locked(sales), dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600", "--json") as run:
        until_it_runs(dbtend)
        pair.fail_over()
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 2
    assert json.loads(out)["error"]["message"].endswith("lost are #1")
    assert dbtend("history", "--json").json["jobs"] == []


def test_a_check_says_what_a_failover_would_lose(dbtend: CommandLine, pair: Pair) -> None:
    connected = "1 standby server connected"
    assert replication(dbtend) == ("ok", f"{connected}, asynchronous: a failover may lose the newest changes")
    pair.synchronize()
    assert replication(dbtend) == ("ok", f"{connected}; each write waits for *: a failover loses nothing")
    pair.fall_behind()
    assert replication(dbtend) == ("problem", "0 standby servers connected: each write waits for *")


def replication(dbtend: CommandLine) -> tuple[str, str]:
    checks = dbtend("doctor", "--json").json["checks"]
    ((level, text),) = [(check["level"], check["found"]) for check in checks if check["what"] == "replication"]
    return level, text


def test_it_is_the_same_store_by_all_its_names_before_and_after(
    dbtend: CommandLine, pair: Pair, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = f"{pair.primary.tcp_port},{pair.standby.tcp_port}"
    services = dbtend.home / "services"
    services.write_text(f"[jobs]\nhost=127.0.0.1,127.0.0.1\nport={ports}\nuser=postgres\ndbname={STORE}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    pair.synchronize()
    assert dbtend("run", sales, "--op", "analyze", "--store", pair.url).code == 0
    assert not server_is_down("service=jobs")
    pair.kill_primary()
    assert server_is_down("service=jobs")
    refused = dbtend("history", "--store", "service=jobs")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "only a standby server answers" in refused.err
    pair.promote()
    assert not server_is_down("service=jobs")
    for store in (pair.url, "service=jobs"):
        assert "1 job" in dbtend("store", "check", "--store", store).out
        for name in (pair.url, pair.standby.url(STORE), "service=jobs"):
            assert "is the store of jobs" in dbtend("run", name, "--op", "vacuum", "--store", store).err
