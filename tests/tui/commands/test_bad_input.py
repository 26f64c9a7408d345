"""Bad input: the right exit code, one line with the fix, nothing stored, never a traceback."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.tui.command_line import CommandLine, Result


def refused(result: Result, code: int, *said: str) -> None:
    assert result.code == code
    (line,) = result.err.splitlines()
    assert line.startswith("dbtend: ")
    assert all(words in line for words in said), line
    assert result.out == ""


def stored(dbtend: CommandLine) -> list[object]:
    jobs: list[object] = dbtend("history", "--json").json["jobs"]
    return jobs


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_missing_file_is_never_created(dbtend: CommandLine, tmp_path: Path, command: str) -> None:
    missing = tmp_path / "missing.db"
    refused(dbtend(command, missing), 2, str(missing), "there is no such file", "check the path")
    assert not missing.exists()
    assert stored(dbtend) == []


def test_one_bad_target_fails_alone(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    result = dbtend("run", sales, tmp_path / "missing.db", "--op", "analyze")
    assert result.code == 1
    jobs = dbtend("history", "--json").json["jobs"]
    assert [(job["status"], job["batch"]) for job in jobs] == [("failed", 1), ("completed", 1)]


@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_is_no_database(dbtend: CommandLine, tmp_path: Path, command: str) -> None:
    (tmp_path / "no" / "databases").mkdir(parents=True)
    refused(dbtend(command, tmp_path / "no"), 2, "matches no file", str(tmp_path / "no" / "databases"))
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("not a database, but text " * 100)
    refused(dbtend(command, tmp_path / "e*.db"), 2, "no database")
    refused(dbtend(command, tmp_path / "empty.db"), 2, "empty")
    refused(dbtend(command, tmp_path / "text.db"), 2, "text.db")
    assert stored(dbtend) == []


def test_an_unreadable_file(dbtend: CommandLine, sales: Path) -> None:
    sales.chmod(0)
    refused(dbtend("run", sales), 2, "permission")
    assert stored(dbtend) == []


def test_a_read_only_file_is_refused_by_preflight(dbtend: CommandLine, sales: Path) -> None:
    sales.chmod(0o444)
    refused(dbtend("run", sales), 4, "read-only")
    assert stored(dbtend) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--op", ""], "''"),
        (["--op", "vacum"], "did you mean vacuum?"),
        (["--op", "vacuum", "--op", "vacuum"], "named twice"),
        (["--frobnicate"], "no option of dbtend run"),
        (["--lock-timeout", "100000"], "not possible"),
        (["--time-limit", "soon"], "is no time limit"),
        (["--until", "25:00"], "is no time of day"),
        (["--stop-at-limit"], "there is no limit"),
    ],
)
def test_operations_and_options(dbtend: CommandLine, sales: Path, words: list[str], said: str) -> None:
    refused(dbtend("run", sales, *words), 2, said)
    assert stored(dbtend) == []


@pytest.mark.parametrize("command", ["run", "plan"])
def test_targets(dbtend: CommandLine, sales: Path, command: str) -> None:
    refused(dbtend(command), 2, "no TARGET was given")
    refused(dbtend(command, ""), 2, "empty")
    refused(dbtend(command, "oracle://prod/shop"), 2, "unknown")
    secret = dbtend(command, "postgresql://me:hunter2@prod/shop")
    refused(secret, 2, "password")
    assert "hunter2" not in secret.err
    assert stored(dbtend) == []


def test_a_file_name_cannot_write_on_the_terminal(dbtend: CommandLine, tmp_path: Path) -> None:
    refused(dbtend("run", tmp_path / "evil\x1b[2J\n.db"), 2, "evil\\x1b[2J\\n.db")


def test_an_unknown_key_in_the_config(dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure("[defaults]\nworkres = 1")
    refused(dbtend("run", sales), 2, "config.toml, line 2: defaults.workres", "did you mean workers?")
    assert not dbtend.store.exists()


def test_a_retention_that_means_nothing(dbtend: CommandLine) -> None:
    dbtend.configure('[retention]\ncompleted = "ninety days"')
    refused(dbtend("prune"), 2, "config.toml, line 2: retention.completed must be an age")


def test_a_mistyped_name_from_the_config(dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure(f'[targets.shop]\nurl = "{sales}"')
    refused(dbtend("run", "shpo"), 2, "'shpo': is no target of the config file", "did you mean shop?")


def test_a_config_file_that_was_named_must_exist(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    refused(dbtend("run", sales, "--config", tmp_path / "no.toml"), 2, "no such config file")


@pytest.mark.parametrize(
    "command", ["run", "history", "show", "cancel", "retry", "pin", "prune", "pause", "resume", "workers"]
)
def test_a_store_from_a_newer_version(dbtend: CommandLine, sales: Path, command: str) -> None:
    dbtend("run", sales, "--op", "optimize")
    with closing(sqlite3.connect(dbtend.store)) as db:
        db.execute("PRAGMA user_version = 999")
    needs_a_job = command in {"show", "cancel", "retry", "pin"}
    words = [str(sales)] if command == "run" else ["1"] if needs_a_job else []
    refused(dbtend(command, *words), 2, str(dbtend.store), "newer")


def test_a_store_that_cannot_be_written(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "text.db").write_text("not a store " * 500)
    refused(dbtend("run", sales, "--store", tmp_path), 2, "is a directory", "--store")
    refused(dbtend("run", sales, "--store", tmp_path / "file" / "jobs.db"), 2, "not a directory", "--store")
    refused(dbtend("run", sales, "--store", tmp_path / "text.db"), 2, "not a store", "--store")
    refused(dbtend("run", sales, "--store", "/proc/dbtend/jobs.db"), 2, "cannot be created", "--store")


def test_with_json_the_error_is_a_document_too(dbtend: CommandLine, tmp_path: Path) -> None:
    for words in (["run", str(tmp_path / "x.db")], ["run"], ["run", "--frobnicate"], ["show", "x"], ["advise", "x"]):
        result = dbtend(*words, "--json")
        assert result.code == 2
        problem = result.json["error"]
        assert set(problem) == {"kind", "message", "hint"}
        assert problem["message"] in result.err
        assert problem["hint"] in result.err


def test_a_defect_is_one_line_too(dbtend: CommandLine, sales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("oh\nno")

    monkeypatch.setattr("tui.commands.plan.requests", broken)
    refused(dbtend("plan", sales), 1, "internal error: RuntimeError: oh\\nno", "--debug")
    assert "Traceback" in dbtend("plan", sales, "--debug").err


def test_a_job_id_beyond_all_jobs_is_refused(dbtend: CommandLine) -> None:
    refused(dbtend("show", "9" * 20), 2, "is no job id")
