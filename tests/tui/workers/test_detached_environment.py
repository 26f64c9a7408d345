"""A variable set in this process only does not reach a running worker process: refused before the submit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine import Status
from tests.postgres_databases import SECRET, Database
from tests.tui.command_line import CommandLine
from tests.tui.commands.test_detach import carried_out_by_one_worker_that_ends
from tui.workers.detached import DetachedWorker, is_served

pytestmark = pytest.mark.usefixtures("no_password_is_known")


@contextmanager
def a_worker(dbtend: CommandLine, **variables: str) -> Iterator[None]:
    """A worker process that somebody has started, with these variables in its environment."""
    environment = {**os.environ, **dbtend.environment, **variables}
    process = subprocess.Popen([sys.executable, "-m", "tui.cli", "worker", "--workers", "1"], env=environment)
    try:
        while not is_served(dbtend.store):
            assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait(60)


def analyze(dbtend: CommandLine, url: str) -> tuple[int, str, str]:
    result = dbtend.process("run", url, "--op", "analyze", "--object", "item", "--detach")
    return result.code, result.out, result.err


def test_a_password_of_the_environment_is_refused_where_the_worker_does_not_have_it(
    dbtend: CommandLine, guarded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = guarded.as_user("ann")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert dbtend.process("run", url, "--op", "vacuum", "--object", "item").code == 0
    for variables in ({}, {"PGPASSWORD": "another"}):
        monkeypatch.delenv("PGPASSWORD")
        with a_worker(dbtend, **variables):
            monkeypatch.setenv("PGPASSWORD", SECRET)
            code, out, err = analyze(dbtend, url)
            assert (code, out) == (2, "")
            assert ": PGPASSWORD is set" in err
            assert err.endswith(" leave out --detach)\n")
            assert SECRET not in err
            again = dbtend.process("retry", "1", "--detach")
            assert (again.code, again.out) == (2, "")
            assert ": PGPASSWORD is set" in again.err
    assert [job["id"] for job in dbtend("history", "--json").json["jobs"]] == [1]


def test_it_is_taken_where_the_worker_has_it_or_inherits_it(
    dbtend: CommandLine, guarded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = guarded.as_user("ann")
    with a_worker(dbtend, PGPASSWORD=SECRET):
        monkeypatch.setenv("PGPASSWORD", SECRET)
        assert analyze(dbtend, url) == (0, "1\n", "")
        assert dbtend.process("retry", "1", "--detach").code in {0, 2}  # it may still run
        while dbtend("show", "1", "--json").json["jobs"][0]["status"] in {"pending", "running"}:
            pass
        assert dbtend("show", "1", "--json").json["jobs"][0]["status"] == "completed"
    while is_served(dbtend.store):
        pass
    code, out, err = analyze(dbtend, url)  # none runs: one is started, with this environment
    assert (code, err) == (0, "")
    assert carried_out_by_one_worker_that_ends(dbtend.store, int(out)) is Status.COMPLETED


def test_what_else_decides_how_it_is_connected_to(dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, refused = DetachedWorker(dbtend.store), set()
    cases = (
        ("PGPASSFILE", "postgresql://ann@db1/shop"),
        ("PGPASSFILE", "postgresql://ann@db1/shop?passfile=/x"),
        ("PGSERVICEFILE", "service=shop"),
        ("PGSERVICEFILE", "postgresql://ann@db1/shop"),
        ("PGSSLMODE", "postgresql://ann@db1/shop"),
        ("PGHOST", "postgresql://ann@db1/shop"),
        ("PGAPPNAME", "postgresql://ann@db1/shop"),
        ("PGPASSWORD", "/srv/sales.db"),
    )
    with a_worker(dbtend):
        for variable, target in cases:
            assert worker.lacks(target) == ""
            with monkeypatch.context() as here:
                here.setenv(variable, "x")
                if worker.lacks(target):
                    assert worker.lacks(target).startswith(f"{variable} ")
                    refused.add((variable, target))
        monkeypatch.setenv("PGSSLMODE", "x")
    assert worker.lacks("postgresql://ann@db1/shop") == ""  # none is up
    assert refused == {cases[0], cases[2], cases[4]}


def test_a_worker_that_cannot_be_looked_at_has_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.workers.detached import not_set_alike

    lock = tmp_path / "worker.lock"
    assert not_set_alike({"PGPASSWORD": "x", "PGSSLMODE": "y"}, lock) == ["PGPASSWORD", "PGSSLMODE"]
    lock.touch()
    assert not_set_alike({"PGPASSWORD": "x"}, lock) == ["PGPASSWORD"]
    assert not_set_alike({}, lock) == []
