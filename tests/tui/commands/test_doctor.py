"""`dbtend doctor`: each problem and its fix."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.system.wal_checkpoint import loses_commits
from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine, out_line, workers_of, write_locked
from tui.commands import estimate_checks


def checks(dbtend: CommandLine, *words: str | Path) -> tuple[int, list[Any]]:
    result = dbtend("doctor", *words, "--json")
    return result.code, result.json["checks"]


def not_ok(found: list[Any]) -> list[tuple[str, str]]:
    """Without the library of this machine."""
    return [(check["level"], check["what"]) for check in found if check["level"] != "ok" and check["what"] != "sqlite"]


def test_a_library_that_can_lose_commits_is_worth_a_word(dbtend: CommandLine) -> None:
    (check,) = [check for check in checks(dbtend)[1] if check["what"] == "sqlite"]
    affected = loses_commits(sqlite3.sqlite_version)
    assert (check["level"], bool(check["fix"])) == (("warn", True) if affected else ("ok", False))


def test_all_is_well(dbtend: CommandLine, sales: Path) -> None:
    dbtend("run", sales, "--op", "optimize")
    code, found = checks(dbtend, sales)
    assert (code, not_ok(found)) == (0, [])
    assert {
        "dbtend",
        "python",
        "sqlite",
        "apsw",
        "psycopg",
        "pymysql",
        "textual",
        "config",
        "store",
        "workers",
        "sales.db",
    } <= {check["what"] for check in found}
    assert "1 job, 0 open" in dbtend("doctor").out


def test_a_target_that_cannot_be_maintained_is_a_problem(dbtend: CommandLine, tmp_path: Path) -> None:
    code, found = checks(dbtend, tmp_path / "missing.db")
    assert (code, not_ok(found)) == (1, [("problem", "missing.db")])
    assert found[-1]["fix"]


def test_a_store_that_others_can_read_is_worth_a_word(dbtend: CommandLine, sales: Path) -> None:
    dbtend("run", sales, "--op", "optimize")
    dbtend.store.chmod(0o644)
    code, found = checks(dbtend)
    assert (code, not_ok(found)) == (0, [("warn", "permissions")])
    assert f"chmod 600 {dbtend.store}" in dbtend("doctor").out


def test_a_broken_store_and_a_broken_config(dbtend: CommandLine) -> None:
    dbtend.store.parent.mkdir(parents=True, mode=0o700)
    dbtend.store.write_text("not a store " * 500)
    dbtend.store.chmod(0o600)
    dbtend.configure("colour = 1")
    code, found = checks(dbtend)
    assert (code, not_ok(found)) == (1, [("problem", "config"), ("problem", "store")])


def test_a_paused_store_is_worth_a_word(dbtend: CommandLine) -> None:
    dbtend("pause")
    code, found = checks(dbtend)
    assert (code, not_ok(found)) == (0, [("warn", "paused")])
    assert found[-1]["fix"] == "dbtend resume"


def test_a_process_that_was_stopped_is_found(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales), dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        out_line(process)
        with closing(sqlite3.connect(dbtend.store, timeout=30)) as db:  # as if it had stood still for an hour
            db.execute("UPDATE child_job SET started_at = started_at - 3600000000 WHERE status = 'running'")
            db.commit()
        (pid,) = workers_of(dbtend.store)
        os.kill(pid, signal.SIGSTOP)
        try:
            for sign_of_life in dbtend.store.with_name("jobs.db.d").glob(f"{'[0-9a-f]' * 32}.lock"):  # the run's, too
                os.utime(sign_of_life, (0, 0))
            code, found = checks(dbtend)
            assert (code, not_ok(found)) == (0, [("warn", "stalled")])
            assert f"process {pid} on " in found[-1]["found"]
            assert f"kill -CONT {pid}" in found[-1]["fix"]
            (worker,) = dbtend("workers", "--json").json["workers"]
            assert worker["stalled"] is True
            assert "stalled: #1.1 sales.db vacuum" in dbtend("workers").out
        finally:
            os.kill(pid, signal.SIGCONT)
            process.send_signal(signal.SIGINT)


def test_targets_come_from_the_config(dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"')
    _, found = checks(dbtend)
    assert found[-1]["what"] == "shop"


@pytest.mark.parametrize(
    ("said", "found"),
    [('theme = "pink"', "unknown theme 'pink'"), ('keys = { retry = "c" }', "also the key of cancel")],
)
def test_what_the_console_would_refuse_is_found(dbtend: CommandLine, said: str, found: str) -> None:
    dbtend.configure(f"[console]\n{said}")
    code, checked = checks(dbtend)
    (problem,) = [check for check in checked if check["what"] == "config"]
    assert (code, problem["level"]) == (1, "problem")
    assert found in problem["found"]
    assert "line 2" in problem["found"]


def of_estimates(found: list[Any]) -> list[Any]:
    return [check for check in found if check["what"] == "estimates"]


@pytest.mark.parametrize(
    ("share", "seconds", "shown"), [(5.81, 0.35, "350 ms"), (0.12, 0.35, "350 ms (12%)"), (5.81, 125.0, "2:05 (581%)")]
)
def test_an_error_of_an_instant_has_no_percent_that_looks_grave(share: float, seconds: float, shown: str) -> None:
    assert estimate_checks.error_size(share, seconds) == shown


def test_estimates_are_compared_with_what_happened(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(sales.read_bytes())
    assert of_estimates(checks(dbtend)[1]) == []
    assert dbtend("run", sales, other, "--op", "vacuum", "--op", "reindex").code == 0
    assert of_estimates(checks(dbtend)[1]) == []  # two runs say nothing
    assert dbtend("run", sales, other, "--op", "vacuum", "--op", "reindex").code == 0
    assert of_estimates(checks(dbtend, sales)[1]) == []
    _, found = checks(dbtend)
    assert [one["facts"]["operation"] for one in of_estimates(found)] == ["vacuum", "reindex"]
    vacuum = of_estimates(found)[0]
    assert vacuum["found"].startswith("vacuum: median error ")
    assert vacuum["found"].endswith(" in 4 runs on 2 targets")
    assert (vacuum["level"], vacuum["facts"]["runs"], vacuum["facts"]["targets"]) == ("ok", 4, 2)
    assert vacuum["facts"]["median_error"] >= 0
    assert dbtend("run", sales, other, "--op", "vacuum", "--op", "reindex").code == 0
    worst = of_estimates(checks(dbtend)[1])[0]["found"].partition("; ")[2]
    assert " in 3 runs on " in worst
    _, found = checks(dbtend, sales)
    assert [one["facts"]["operation"] for one in of_estimates(found)] == ["vacuum", "reindex"]
    assert {one["facts"]["target"] for one in of_estimates(found)} == {f"sqlite://{sales}"}
    assert "vacuum of sales.db: median error " in dbtend("doctor", sales).out
    job = dbtend("show", "1", "--json").json["jobs"][0]
    assert all(child["estimate"] > 0 for child in job["children"])


def test_a_role_that_lacks_rights_is_worth_a_word(dbtend: CommandLine, database: Database) -> None:
    database("CREATE TABLE item (id int)", "CREATE ROLE ann_d LOGIN")
    _, found = checks(dbtend, database.as_user("ann_d"))
    ((level, text),) = [(check["level"], check["found"]) for check in found if "can be maintained" in check["found"]]
    assert level == "warn"
    assert "can be maintained in part; ann_d may not maintain public.item" in text


def test_a_target_whose_options_in_the_config_file_are_refused_is_a_problem(
    dbtend: CommandLine, sales: Path, database: Database
) -> None:
    dbtend.configure(f"""
        [targets.shop]
        url = "{database.url}"
        operations = ["vacuum"]
        pause_while = "SELECT nonsense"
        [targets.sales]
        url = "{sales}"
        jobs = 2
    """)
    code, found = checks(dbtend)
    assert (code, [what for level, what in not_ok(found) if level == "problem"]) == (1, ["shop"])
    (refused,) = [check["found"] for check in found if check["level"] == "problem"]
    assert refused.startswith("refused, as the config file has it: vacuum: --pause-while failed: column")


def test_each_name_of_a_database_is_examined_with_its_own_options(dbtend: CommandLine, database: Database) -> None:
    dbtend.configure(f"""
        [targets.refused]
        url = "{database.url}"
        operations = ["vacuum"]
        pause_while = "SELECT nonsense"
        [targets.well]
        url = "{database.url}"
        operations = ["analyze"]
    """)
    code, found = checks(dbtend)
    assert (code, [what for level, what in not_ok(found) if level == "problem"]) == (1, ["refused"])
