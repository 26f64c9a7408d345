"""The commands on a store that many hosts share: real processes and a real server."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import StoreLocation
from engine.store.postgres.proof import server_is_down
from tests.postgres_databases import Database, as_admin
from tests.postgres_server import PostgresServer, running_server
from tests.shared_stores import copied_store, make_template
from tests.tui.command_line import CommandLine, err_line, write_locked
from tests.waiting import wait_until
from tui.workers.detached import is_served


@pytest.fixture
def shared(postgres: PostgresServer, dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty shared store, which all commands use."""
    with copied_store(postgres) as url:
        dbtend.environment = {**dbtend.environment, "DBTEND_STORE": url}
        monkeypatch.setenv("DBTEND_STORE", url)
        yield url


def test_a_run_is_in_the_history_and_can_be_repeated(dbtend: CommandLine, shared: str, sales: Path) -> None:
    done = dbtend("run", sales, "--op", "vacuum", "--json")
    assert done.code == 0, done.err
    assert [child["status"] for child in done.json["jobs"][0]["children"]] == ["completed"]
    assert "sales.db" in dbtend("history").out
    assert "VACUUM" in dbtend("show", "1").out
    assert dbtend("retry", "1").code == 0
    assert dbtend("pin", "1").code == 0
    assert "2 jobs" in dbtend("doctor").out
    assert "dbtend_jobs_open" in dbtend("metrics").out
    assert "sales.db" in dbtend("fleet", sales).out
    assert not dbtend.store.exists()
    assert sorted(path.name for path in (dbtend.home / "state-home" / "dbtend").iterdir()) == ["stores"]


@pytest.mark.parametrize("how", ["url", "settings", "config"])
def test_all_names_of_a_store_name_the_same(
    how: str, dbtend: CommandLine, shared: str, monkeypatch: pytest.MonkeyPatch, sales: Path
) -> None:
    dbtend("run", sales, "--op", "analyze")
    monkeypatch.delenv("DBTEND_STORE")
    place, _, host = shared.partition("?host=")
    name = place.rpartition("/")[2]
    options = {"url": ["--store", shared], "settings": ["--store", f"host={host} dbname={name} user=postgres"]}
    dbtend.configure(f'[store]\nurl = "{shared}"' if how == "config" else "")
    assert len(dbtend("history", "--json", *options.get(how, [])).json["jobs"]) == 1


def test_a_detached_job_is_carried_out_by_a_worker_process(dbtend: CommandLine, shared: str, sales: Path) -> None:
    with dbtend.start("worker", "--workers", "1") as worker:
        wait_until(lambda: bool(dbtend("workers", "--json").json["workers"]))
        assert dbtend("run", sales, "--op", "vacuum", "--detach").code == 0
        wait_until(lambda: dbtend("history", "--json").json["jobs"][0]["status"] == "completed")
        assert len(dbtend("workers", "--json").json["workers"]) == 1, "no second one was started"
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert worker.returncode == 0


def test_other_workers_take_jobs_of_a_run(dbtend: CommandLine, shared: str, sales: Path) -> None:
    dbtend("pause")
    running = ("run", sales, "--op", "vacuum", "--json")
    with dbtend.start(*running) as run, dbtend.start("worker", "--workers", "1") as other:
        wait_until(lambda: len(dbtend("workers", "--json").json["workers"]) == 2)
        kept = [one for one in dbtend("workers", "--json").json["workers"] if not one["serves_all"]]
        (job,) = dbtend("history", "--json").json["jobs"]
        assert job["status"] == "pending"
        for process in kept:  # only the other one is left to do it
            os.kill(process["pid"], signal.SIGSTOP)
        dbtend("resume")
        wait_until(lambda: dbtend("history", "--json").json["jobs"][0]["status"] == "completed")
        for process in kept:
            os.kill(process["pid"], signal.SIGCONT)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
        assert json.loads(out)["jobs"][0]["status"] == "completed"
        other.send_signal(signal.SIGTERM)
        other.communicate(timeout=60)


def test_what_is_cancelled_never_starts(dbtend: CommandLine, shared: str, sales: Path) -> None:
    dbtend("pause")
    with dbtend.start("run", sales, "--op", "vacuum", "--json") as run:
        wait_until(lambda: bool(dbtend("history", "--json").json["jobs"]))
        assert dbtend("cancel", "1").code == 0
        out, _ = run.communicate(timeout=60)
    assert json.loads(out)["jobs"][0]["status"] == "cancelled"
    assert dbtend("resume").code == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("/store", "/nothere"), "there is no such database"),
        (("postgres@", "nobody_known@"), "role"),
        (("?host=/", "?host=/nowhere/"), "no server answers there"),
    ],
)
@pytest.mark.parametrize("line", ["history", "workers", "pause", "worker", "run sales.db"])
def test_a_store_that_cannot_be_opened_is_one_sentence(
    change: tuple[str, str], why: str, line: str, dbtend: CommandLine, shared: str, sales: Path
) -> None:
    words = line.replace("sales.db", str(sales)).split()
    said = dbtend(*words, "--store", shared.replace(*change))
    assert (said.code, said.out) == (2, "")
    assert why in said.err
    assert said.err.count("\n") == 1


def test_a_database_without_a_store_says_how_to_make_one(dbtend: CommandLine, database: Database) -> None:
    said = dbtend("history", "--store", database.url)
    assert said.code == 2
    assert "holds no store of dbtend (make one with `dbtend store init" in said.err


@pytest.mark.parametrize(
    "name", ["postgresql://ann:geheim@db1/jobs", "host=db1 password=geheim", "postgresql://db1/jobs?password=geheim"]
)
def test_a_password_in_its_name_is_refused_and_not_repeated(name: str, dbtend: CommandLine) -> None:
    said = dbtend("history", "--store", name)
    assert said.code == 2
    assert "password" in said.err
    assert "geheim" not in said.err


def test_what_only_looks_changes_nothing(dbtend: CommandLine, shared: str, sales: Path) -> None:
    dbtend("run", sales, "--op", "analyze")
    assert "sales.db" in dbtend("--read-only", "history").out
    assert dbtend("--read-only", "doctor").code == 0
    refused = dbtend("--read-only", "pause")
    assert (refused.code, "read-only" in refused.err) == (2, True)


def test_the_store_itself_is_no_target(dbtend: CommandLine, shared: str) -> None:
    said = dbtend("run", shared, "--op", "vacuum")
    assert said.code == 2
    assert "is the store of jobs" in said.err


def test_the_demo_keeps_its_jobs_to_itself(dbtend: CommandLine, shared: str) -> None:
    said = dbtend("demo", "--store", shared)
    assert said.code == 2
    assert "--store" in said.err


def test_a_run_waits_while_the_server_is_away_and_says_so(
    postgres: PostgresServer, dbtend: CommandLine, sales: Path
) -> None:
    with running_server(postgres.binaries) as server:
        make_template(server)
        url = server.url("empty_store")
        dbtend("pause", "--store", url)
        with dbtend.start("run", sales, "--op", "vacuum", "--json", "--store", url) as run:
            assert "nothing starts" in err_line(run)
            wait_until(lambda: bool(dbtend("workers", "--store", url, "--json").json["workers"]))
            (worker,) = dbtend("workers", "--store", url, "--json").json["workers"]
            server.stop()
            os.kill(worker["pid"], signal.SIGKILL)  # the one in its place waits, too
            assert "waiting for it" in err_line(run)
            server.start()
            assert "reached again" in err_line(run)
            assert dbtend("resume", "--store", url).code == 0
            out, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
        assert json.loads(out)["jobs"][0]["status"] == "completed"


def test_a_store_whose_server_asks_for_a_password_is_named_by_a_service(
    postgres: PostgresServer, dbtend: CommandLine, sales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(postgres.binaries) as server:
        make_template(server)
        with as_admin(server.url("empty_store")) as admin:
            admin.execute("CREATE ROLE ann LOGIN PASSWORD 's3cret' IN ROLE dbtend_operator, dbtend_worker")
        server.ask_for_a_password("ann")
        services = tmp_path / "services.conf"
        known = f"[jobs]\nhost={server.base}\nuser=ann\ndbname=empty_store\n"
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        for text, told in (
            (known, "it asks for a password, and none was found (put the password into ~/.pgpass"),
            (f"{known}password=wrong\n", "the password is wrong"),
            ("", "the service does not exist (name it in ~/.pg_service.conf"),
        ):
            services.write_text(text)
            refused = dbtend("--store", "service=jobs", "history")
            assert (refused.code, told in refused.err, "s3cret" in refused.err) == (2, True, False), refused.err
        services.write_text(f"{known}password=s3cret\n")
        done = dbtend.process("--store", "service=jobs", "run", sales, "--op", "vacuum")
        assert done.code == 0, done.err
        assert "s3cret" not in done.out + done.err + dbtend("--store", "service=jobs", "show", "1").out
        assert not server_is_down("service=jobs")
        server.stop()
        assert server_is_down("service=jobs")
        server.start()


def test_a_worker_outlives_a_restart_of_the_server(postgres: PostgresServer, dbtend: CommandLine, sales: Path) -> None:
    with running_server(postgres.binaries) as server:
        make_template(server)
        url = server.url("empty_store")

        def pids() -> list[int]:
            return [one["pid"] for one in dbtend("workers", "--store", url, "--json").json["workers"]]

        with dbtend.start("worker", "--workers", "1", "--store", url) as worker:
            wait_until(lambda: bool(pids()))
            before = pids()
            server.stop()
            assert dbtend("history", "--store", url).code == 2
            server.start()
            assert dbtend("run", sales, "--op", "vacuum", "--detach", "--store", url).code == 0
            wait_until(lambda: dbtend("history", "--store", url, "--json").json["jobs"][0]["status"] == "completed")
            assert pids() == before
            server.stop()
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            while "waiting for it" not in (line := err_line(worker)):
                assert " ended with 1" not in line
            server.start()
            wait_until(lambda: is_served(StoreLocation.parse(url).path))  # else another is started
            assert dbtend("run", sales, "--op", "analyze", "--detach", "--store", url).code == 0
            wait_until(lambda: dbtend("history", "--store", url, "--json").json["jobs"][0]["status"] == "completed")
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=60)
        assert worker.returncode == 0


def test_what_a_worker_process_does_is_ended_by_force(dbtend: CommandLine, shared: str, sales: Path) -> None:
    with dbtend.start("worker", "--workers", "1") as worker:
        wait_until(lambda: bool(dbtend("workers", "--json").json["workers"]))
        with write_locked(sales):
            dbtend("run", sales, "--op", "vacuum", "--lock-timeout", "60", "--detach")
            while "#1.1 vacuum" not in err_line(worker):
                pass
            (process,) = dbtend("workers", "--json").json["workers"]
            os.kill(process["pid"], signal.SIGSTOP)  # else it may end by the cancel before it is killed
            ended = dbtend.process("cancel", "1.1", "--force", "--confirm", "1.1")
        assert ended.code == 0, ended.err
        assert "vacuum cancelled in " in ended.out
        assert re.search("process (?:was )?killed", dbtend("show", "1").out)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert worker.returncode == 0


def test_a_permanent_worker_fires_schedules_and_tells_people(
    dbtend: CommandLine, shared: str, sales: Path, tmp_path: Path
) -> None:
    dbtend.configure(f"""
[targets.sales]
url = "{sales}"
[schedules.nightly]
targets = ["sales"]
operations = ["analyze"]
start = "0 3 * * *"
[notify.ops]
command = ["true"]
""")
    assert not dbtend("schedules", "--json").json["is_served"]
    with dbtend.start("worker", "--workers", "1") as worker:
        wait_until(lambda: bool(dbtend("schedules", "--json").json["is_served"]))
        wait_until(lambda: "no message is sent" not in dbtend("notify").err)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert not dbtend("schedules", "--json").json["is_served"]
