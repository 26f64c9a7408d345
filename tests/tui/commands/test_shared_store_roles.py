"""What people with different roles can do on a shared store, and who is named for what was done."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store
from tests.tui.command_line import CommandLine
from tui.presentation.exit_codes import OK

ME = f"{getpass.getuser()}@{socket.gethostname()}"
As = Callable[[str], str]


@pytest.fixture
def as_role(postgres: PostgresServer) -> Iterator[As]:
    """The URL of an empty shared store for a login of the same name as the role, without `dbtend_`; or for `both`."""
    with copied_store(postgres) as url:
        with as_admin(url) as admin:
            for name in ("viewer", "operator", "worker"):
                admin.execute(f"CREATE ROLE joe_{name} LOGIN IN ROLE dbtend_{name}")
            admin.execute("CREATE ROLE joe_both LOGIN IN ROLE dbtend_operator, dbtend_worker")
        yield lambda name: url.replace("//postgres@", f"//joe_{name}@")
        with as_admin(url) as admin:
            admin.execute("DROP ROLE joe_viewer, joe_operator, joe_worker, joe_both")


def test_a_viewer_looks_and_is_told_in_one_line_what_it_may_not(dbtend: CommandLine, as_role: As, sales: Path) -> None:
    assert dbtend("--store", as_role("both"), "run", sales, "--op", "vacuum").code == OK
    viewer = ("--store", as_role("viewer"))
    for line in ("history", "show 1", "workers", "store check", f"fleet {sales}", "schedules"):
        assert dbtend(*viewer, *line.split()).code == OK, line
    for words in (
        ("run", sales, "--op", "vacuum"), ("run", sales, "--op", "vacuum", "--detach"), ("cancel", "1"), ("retry", "1"),
        ("pause",), ("resume",), ("pin", "1"), ("prune",),
    ):  # fmt: skip
        done = dbtend(*viewer, *words)
        assert done.code != OK, words
        assert done.err.count("\n") == 1, (words, done.err)
        assert "role" in done.err, (words, done.err)
    worker = dbtend(*viewer, "worker")
    assert worker.code != OK
    assert worker.err == "dbtend: the store: your role may not run jobs (ask for the role dbtend_worker)\n"
    run = dbtend(*viewer, "run", sales, "--op", "vacuum")
    assert "(ask for the roles dbtend_operator and dbtend_worker)" in run.err
    assert len(dbtend(*viewer, "history", "--json").json["jobs"]) == 1


def test_an_operator_lets_others_run_jobs(dbtend: CommandLine, as_role: As, sales: Path) -> None:
    done = dbtend("--store", as_role("operator"), "run", sales, "--op", "vacuum")
    assert done.code != OK
    assert "dbtend_worker" in done.err
    assert done.err.count("\n") == 1
    assert dbtend("--store", as_role("operator"), "history", "--json").json["jobs"] == []
    assert dbtend("--store", as_role("operator"), "pause").code == OK


def test_a_worker_alone_is_told_which_role_it_lacks(dbtend: CommandLine, as_role: As, sales: Path) -> None:
    assert dbtend("--store", as_role("both"), "run", sales, "--op", "vacuum").code == OK
    dbtend.configure(f'[schedules.nightly]\ntargets = ["{sales}"]\noperations = ["vacuum"]\nstart = "0 22 * * *"\n')
    for words in (
        ("run", sales, "--op", "vacuum"), ("run", sales, "--op", "vacuum", "--detach"), ("cancel", "1"), ("retry", "1"),
        ("pause",), ("resume",), ("pin", "1"), ("worker", "--drain", "db1"), ("worker", "--undrain", "db1"),
        ("schedules", "--disable", "nightly"), ("schedules", "--enable", "nightly"),
    ):  # fmt: skip
        done = dbtend("--store", as_role("worker"), *words)
        assert done.code != OK, words
        assert done.err.count("\n") == 1, (words, done.err)
        assert "your user needs the role dbtend_operator for that" in done.err, (words, done.err)
        assert "GRANT dbtend_operator TO" in done.err, (words, done.err)


def test_who_did_what_is_shown(dbtend: CommandLine, as_role: As, sales: Path) -> None:
    both = ("--store", as_role("both"))
    assert dbtend(*both, "run", sales, "--op", "vacuum").code == OK
    assert f"by {ME} as joe_both" in dbtend(*both, "show", "1").out
    job = dbtend(*both, "show", "1", "--json").json["jobs"][0]
    assert (job["submitted_by"], job["cancelled_by"]) == (f"{ME} as joe_both", None)
    paused = dbtend("--store", as_role("operator"), "pause", "--json").json["paused"]
    assert paused["by"] == f"{ME} as joe_operator"
    assert dbtend("--store", as_role("operator"), "resume").code == OK
