"""Hosts of a shared store, and the queues that their workers serve."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_databases import Database, as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine, write_locked
from tests.waiting import wait_until


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty shared store."""
    with copied_store(postgres) as url:
        yield url


@contextmanager
def worker_of(
    dbtend: CommandLine, shared: str, host: str, *options: str, **environment: object
) -> Iterator[subprocess.Popen[str]]:
    """A worker process of a host, once it is up."""
    words = ("worker", "--workers", "1", *options)
    variables = {"DBTEND_HOST": host, **{name: str(value) for name, value in environment.items()}}
    with dbtend.start("--store", shared, *words, environment=variables) as process:
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
        assert [one["pool_size"] for one in workers(dbtend, shared)] == [1, 1]
        with closing(as_admin(shared)) as admin:
            admin.execute("UPDATE dbtend.worker SET pool_size = 2 WHERE host = 'db2'")
        reduced = re.compile(r"db2: 1 of 2 processes of pool \d+ is up")
        assert reduced.search(dbtend("--store", shared, "workers").err)
        assert reduced.search(dbtend("--store", shared, "store", "check").out)


def test_workers_of_a_drained_host_leave_and_none_starts_there(
    dbtend: CommandLine, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker_of(dbtend, shared, "db1"), worker_of(dbtend, shared, "db2") as second:
        drained = dbtend("--store", shared, "worker", "--drain", "db2")
        assert drained.code == 0
        assert "db2 is drained: its workers take no more jobs, and leave (1 worker process up, 0 jobs" in drained.err
        assert second.wait(30) == 0
        assert [one["host"] for one in workers(dbtend, shared)] == ["db1"]
        waits = dbtend.process("--store", shared, "run", "sqlite://db2/srv/a.db", "--op", "analyze", "--detach")
        assert "no worker serves queue host:db2 (dbtend worker --undrain db2 lets it take jobs again)" in waits.err
        assert dbtend("--store", shared, "cancel", "1").code == 0
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


def test_a_worker_serves_the_queues_that_it_is_given(dbtend: CommandLine, shared: str) -> None:
    with worker_of(dbtend, shared, "db1", "--queue", "eu", "--queue", "us"):
        assert [one["queues"] for one in workers(dbtend, shared)] == [["eu", "us", "host:db1"]]
    refused = dbtend("--store", shared, "worker", "--queue", "host:db2")
    assert refused.code == 2
    assert "is no name of a queue" in refused.err
    assert "one host alone uses this store" in dbtend("worker", "--queue", "eu").err


def test_a_worker_of_a_queue_leaves_jobs_for_any_host_to_others_on_its_host(dbtend: CommandLine, shared: str) -> None:
    with worker_of(dbtend, shared, "db1", "--queue", "eu"), worker_of(dbtend, shared, "db1"):
        wait_until(lambda: len(workers(dbtend, shared)) == 2)
        assert sorted(one["queues"][0] for one in workers(dbtend, shared)) == ["any", "eu"]


def test_jobs_of_a_queue_that_nobody_serves_say_so_at_submit_in_show_and_to_the_doctor(
    dbtend: CommandLine, shared: str, database: Database
) -> None:
    dbtend.configure(f'[targets.shop]\nurl = "{database.url}"\nqueue = "eu"\n')
    told = dbtend.process("--store", shared, "run", "shop", "--op", "analyze", "--detach")
    sentence = "1 job waits, and no worker serves queue eu (dbtend worker --queue eu serves it)"
    assert told.code == 0, told.err
    assert sentence in told.err
    assert sentence in dbtend("--store", shared, "show", "1").err
    checks = dbtend("--store", shared, "doctor", "--json").json["checks"]
    assert "dbtend worker --queue eu serves it" in [check["fix"] for check in checks]
    with worker_of(dbtend, shared, "db2", "--queue", "eu"):
        wait_until(lambda: dbtend("--store", shared, "show", "1", "--json").json["jobs"][0]["status"] == "completed")


def test_a_file_of_another_host_is_tended_there(dbtend: CommandLine, shared: str, sales: Path) -> None:
    there = f"sqlite://db2{sales}"
    told = dbtend.process("--store", shared, "run", there, "--op", "vacuum", "--detach")
    assert told.code == 0, told.err
    assert "1 job waits, and no worker serves queue host:db2 (start dbtend worker on db2)" in told.err
    assert not list(dbtend.home.rglob("worker.log"))  # no worker was started here, which could not take it
    with worker_of(dbtend, shared, "db2"):
        done = dbtend.process("--store", shared, "run", there, "--op", "analyze", "--json")
        assert done.code == 0, done.err
        (job,) = done.json["jobs"]
        assert (job["target"], job["children"][0]["status"]) == (there, "completed")
        failed = dbtend.process("--store", shared, "run", "sqlite://db2/missing.db", "--op", "vacuum", "--json")
        assert failed.code == 4
        assert "sales.db@db2" in dbtend("--store", shared, "history").out
        assert "there is no such file" in failed.json["jobs"][0]["children"][0]["error"]
    assert [job["children"][0]["status"] for job in dbtend("--store", shared, "history", "--json").json["jobs"]] == [
        "failed",
        "completed",
        "completed",
    ]


def test_what_is_known_of_a_file_of_another_host_is_its_last_survey(
    dbtend: CommandLine, shared: str, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = f"sqlite://db2{sales}"
    for command in ("plan", "map"):
        assert "is a file of the host db2" in dbtend("--store", shared, command, there).err
    unknown = dbtend("--store", shared, "fleet", there, "--json")
    assert (unknown.code, unknown.json["targets"][0]["level"]) == (0, "unknown")
    dbtend.configure(f'[schedules.nightly]\ntargets = ["{there}"]\noperations = ["check"]\nstart = "0 22 * * *"\n')
    dbtend("--store", shared, "schedules", "--disable", "nightly")
    planned = dbtend("--store", shared, "schedules", "nightly").out
    assert "\nNext night if it is enabled, " in planned
    assert "planned on db2 when it is due" in planned
    monkeypatch.setenv("DBTEND_HOST", "db2")
    assert dbtend("--store", shared, "fleet", sales).code == 0
    (here,) = dbtend("--store", shared, "fleet", sales, "--json").json["targets"]
    monkeypatch.delenv("DBTEND_HOST")
    (known,) = dbtend("--store", shared, "fleet", there, "--refresh", "--json").json["targets"]
    assert (known["size"], known["level"]) == (here["size"], here["level"])
    assert "before the last job" not in dbtend("--store", shared, "fleet", there).out
    monkeypatch.setenv("DBTEND_HOST", "db2")
    assert dbtend.process("--store", shared, "run", sales, "--op", "vacuum").code == 0
    monkeypatch.delenv("DBTEND_HOST")
    outdated = dbtend("--store", shared, "fleet", there).out
    assert "surveyed before the last job: 1 target; dbtend fleet on db2 surveys again" in outdated


@pytest.mark.long
def test_one_run_tends_the_files_of_two_hosts_and_a_server_that_one_of_them_reaches(
    dbtend: CommandLine, shared: str, database: Database, tmp_path: Path
) -> None:
    hosts = ("db1", "db2")
    for host in hosts:
        (tmp_path / host).mkdir()
    files = {make_database(tmp_path / host / f"{n}.db"): host for host in hosts for n in range(2)}
    database.admin.execute("CREATE TABLE item AS SELECT generate_series(1, 1000) AS id")
    targets = [f'[targets.{host}-{path.stem}]\nurl = "sqlite://{host}{path}"\n' for path, host in files.items()]
    targets += [
        f'[targets.shop]\nurl = "{database.url}"\n',
        '[targets.hidden]\nurl = "service=hidden"\nqueue = "eu"\n',  # a service that one host alone knows
    ]
    grouped = [one.replace("\nurl", '\ngroups = ["all"]\nurl') for one in targets]
    dbtend.configure("".join(["[defaults]\nworkers = 1\n", *grouped]))
    services = tmp_path / "services.conf"
    services.write_text(f"[hidden]\nhost={database.server.base}\nuser=postgres\ndbname={database.name}\n")
    with ExitStack() as up:
        up.enter_context(worker_of(dbtend, shared, "db1"))
        up.enter_context(worker_of(dbtend, shared, "db2", "--queue", "any", "--queue", "eu", PGSERVICEFILE=services))
        done = dbtend.process("--store", shared, "run", "@all", "--needed", "--json")
        assert done.code == 0, done.err
        jobs = done.json["jobs"]
        assert len({job["batch"] for job in jobs}) == 1
        ran = {job["target"]: {one["status"] for one in job["children"]} for job in jobs}
        assert len(ran) == len(files) + 2
        assert all(statuses == {"completed", "skipped"} for target, statuses in ran.items() if "sqlite" in target)
        again = dbtend.process("--store", shared, "run", "@all", "--needed")
        assert again.code == 0, again.err
    planned = dbtend("--store", shared, "plan", "@all", "--needed")
    assert planned.code == 0, planned.err
    assert "5 targets cannot be planned here: a worker decides what is needed" in planned.err
    for job in [one for one in jobs if "sqlite" in one["target"]]:
        found = dbtend("--store", shared, "history", f"target:{job['target']}", "--json").json["jobs"]
        assert [one["status"] for one in found] == ["completed", "completed"]
    for path in files:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0]


def test_a_pattern_of_another_host_stands_for_the_files_that_it_has_surveyed_lately(
    dbtend: CommandLine, shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "test_c"):
        make_database(tmp_path / f"{name}.db", rows=10)
    pattern = f"sqlite://db2{tmp_path}/*.db"
    unknown = dbtend("--store", shared, "run", pattern, "--op", "analyze", "--detach")
    assert unknown.code == 2
    assert "matches no file that db2 has surveyed in the last 24 hours (let db2" in unknown.err
    assert f"dbtend fleet '{tmp_path}/*.db')" in unknown.err
    monkeypatch.setenv("DBTEND_HOST", "db2")
    assert dbtend("--store", shared, "fleet", f"{tmp_path}/*.db").code == 0
    assert dbtend("--store", shared, "plan", pattern, "--op", "vacuum").code == 0, "there they are its own"
    monkeypatch.delenv("DBTEND_HOST")
    shown = dbtend("--store", shared, "fleet", pattern, "--json").json["targets"]
    assert sorted(one["target"] for one in shown) == [f"sqlite://db2{tmp_path}/{n}.db" for n in ("a", "b", "test_c")]
    left = dbtend("--store", shared, "fleet", pattern, "--exclude", "test_*", "--json").json["targets"]
    assert sorted(one["target"] for one in left) == [f"sqlite://db2{tmp_path}/{name}.db" for name in "ab"]
    dbtend.configure(
        f'[targets.there]\nurl = "{pattern}"\n[schedules.nightly]\ntargets = ["there"]\nstart = "0 3 * * *"\n'
    )
    checks = dbtend("--store", shared, "doctor", "--json").json["checks"]
    assert "1 target of other hosts, examined there" in [check["found"] for check in checks]
    assert not [check for check in checks if pattern in check["found"]]
    with as_admin(shared) as admin:
        admin.execute("UPDATE dbtend.survey SET surveyed_at = surveyed_at - 86400000000")
    assert "matches no file that db2 has surveyed" in dbtend("--store", shared, "fleet", pattern).err
    refused = dbtend("run", pattern, "--op", "analyze")
    assert "is a pattern of files of db2, which only a store knows that hosts share" in refused.err


def test_a_server_that_cannot_be_reached_has_the_databases_that_other_hosts_have_surveyed_lately(
    dbtend: CommandLine, shared: str, database: Database, tmp_path: Path
) -> None:
    way = tmp_path / "way"
    way.symlink_to(database.server.base)
    pattern, known = (f"postgresql://postgres@/{name}?host={way}" for name in ("*", database.name))
    assert dbtend("--store", shared, "fleet", known).code == 0
    way.unlink()  # from now on this is another host
    (there,) = dbtend("--store", shared, "fleet", pattern, "--json").json["targets"]
    assert there["name"] == database.name
    with as_admin(shared) as admin:
        admin.execute("UPDATE dbtend.survey SET surveyed_at = surveyed_at - 86400000000")
    assert "no server answers there" in dbtend("--store", shared, "fleet", pattern).err


def test_an_embedded_store_has_no_files_of_other_hosts(dbtend: CommandLine) -> None:
    refused = dbtend("run", "sqlite://db2/srv/a.db", "--op", "vacuum")
    assert refused.code != 0
    assert "is a file of the host db2" in refused.err


def test_a_server_that_answers_is_asked_before_the_store_and_its_error_comes_first(
    dbtend: CommandLine, database: Database, tmp_path: Path
) -> None:
    store = f"postgresql://postgres@:5432/dbtend?host={tmp_path}"  # which no server has
    on_server, elsewhere = (f"postgresql://postgres@/*?host={host}" for host in (database.server.base, tmp_path))
    none_such = on_server.replace("/*", "/none_such_*")
    unmatched = dbtend("--store", store, "run", none_such, "--op", "analyze")
    assert "matches none of" in unmatched.err
    for pattern in (on_server, f"sqlite://db2{tmp_path}/*.db"):
        refused = dbtend("--store", store, "run", pattern, "--op", "analyze")
        assert refused.err.startswith(f"dbtend: {store}: cannot be reached")
    unreachable = dbtend("--store", store, "run", elsewhere, "--op", "analyze")
    assert "no server answers there" in unreachable.err
    assert store not in unreachable.err


def test_another_machine_of_the_same_name_is_refused_whatever_it_asks(
    dbtend: CommandLine, shared: str, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBTEND_HOST", "db1")
    sentence = "another machine that works for this store is called db1, too"
    with worker_of(dbtend, shared, "db1"), closing(as_admin(shared)) as admin:
        admin.execute("UPDATE dbtend.worker SET machine = 'another'")
        for words in (("run", str(sales), "--op", "vacuum", "--detach"), ("fleet", str(sales)), ("history",)):
            refused = dbtend("--store", shared, *words)
            assert refused.code == 2
            assert sentence in refused.err
        assert sentence in dbtend("--store", shared, "plan", str(sales), "--op", "vacuum").err
        for command in ("store check", "doctor"):
            assert sentence in dbtend("--store", shared, *command.split()).out


def test_a_stopped_process_of_another_host_is_killed_by_its_pool_where_that_lives(
    dbtend: CommandLine, shared: str, sales: Path
) -> None:
    def cancelled() -> bool:
        (process,) = [one for one in workers(dbtend, shared) if one["running"]]
        done = dbtend("--store", shared, "cancel", "1", "--force", "--confirm", "1.1")
        if done.code == 0:
            assert f"process {process['pid']} on db2 was killed" in done.err
            assert "cancelled" in done.out
            return True
        assert "runs on db2, where no process can be asked to kill it" in done.err  # the pool has just begun
        return False

    with write_locked(sales), worker_of(dbtend, shared, "db2"):
        there = ("run", f"sqlite://db2{sales}", "--op", "vacuum", "--lock-timeout", "600", "--detach")
        assert dbtend.process("--store", shared, *there).code == 0
        wait_until(lambda: any(one["running"] for one in workers(dbtend, shared)))
        for one in workers(dbtend, shared):
            os.kill(one["pid"], signal.SIGSTOP)
        wait_until(cancelled)
