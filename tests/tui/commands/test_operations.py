"""The operations beyond the usual four, on real files, as a script calls them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.sqlite_files import integrity, make_database, remove_index_entries
from tests.tui.command_line import CommandLine


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A third of the entries of two indexes are missing."""
    path = make_database(tmp_path / "damaged.db")
    for index in ("order", "my-index"):
        remove_index_entries(path, index)
    return path


def test_a_checkpoint_without_a_log_is_no_failure_and_says_why(dbtend: CommandLine, sales: Path) -> None:
    result = dbtend("run", sales, "--op", "checkpoint")
    assert result.code == 0
    assert "skipped (not needed): " in result.out
    (child,) = dbtend("show", "1", "--json").json["jobs"][0]["children"]
    assert (child["status"], child["reason"]) == ("skipped", "not_needed")
    planned = dbtend("plan", sales, "--op", "checkpoint")
    assert planned.code == 0
    assert "checkpoint  nothing to" in planned.out


@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_operation_of_other_engines_is_refused_with_those_that_there_are(
    dbtend: CommandLine, sales: Path, command: str
) -> None:
    for place in (sales, f"sqlite://elsewhere{sales}"):
        result = dbtend(command, place, "--op", "repair")
        assert (result.code, result.out) == (2, "")
        assert "repair: is not offered for sqlite (choose from vacuum, " in result.err


def test_a_check_that_finds_nothing_says_so(dbtend: CommandLine, sales: Path) -> None:
    result = dbtend("run", sales, "--op", "check", "--check", "quick")
    assert result.code == 0
    assert result.out.splitlines()[-1].endswith("no findings (quick)")
    (child,) = dbtend("show", "1", "--json").json["jobs"][0]["children"]
    assert (child["findings"], child["after"]["findings"], child["after"]["level"]) == ([], 0, "quick")


def test_what_a_check_finds_is_shown_and_the_rest_is_where_it_says(dbtend: CommandLine, damaged: Path) -> None:
    result = dbtend("run", damaged, "--op", "check")
    assert result.code == 1
    *first, rest, to_do = result.out.splitlines()[-7:]
    assert "Run reindex" in to_do
    shown = dbtend("show", "1.1").out.splitlines()
    assert f"  to do    {to_do.strip()}" in shown
    found = [line.removeprefix("  found    ") for line in shown if line.startswith("  found    ")]
    assert len(found) > 5
    assert [line.strip() for line in first] == found[:5]
    assert rest.endswith(f" {len(found) - 5} more: dbtend show 1.1")
    assert not [line for line in shown if "error: " in line]  # not once more in the log
    assert not [line for line in shown if found[0] in line and not line.startswith("  found    ")]  # nor with its step


def test_findings_are_a_list_for_scripts(dbtend: CommandLine, damaged: Path) -> None:
    (ran,) = dbtend("run", damaged, "--op", "check", "--json").json["jobs"][0]["children"]
    (shown,) = dbtend("show", "1", "--json").json["jobs"][0]["children"]
    assert ran["findings"] == shown["findings"]
    assert len(ran["findings"]) == ran["after"]["findings"]
    assert [found for found in ran["findings"] if "row 2 " in found]
    assert sorted(ran["after"]["damaged_indexes"]) == ["my-index", "order"]


def test_named_indexes_are_rebuilt_and_no_others(dbtend: CommandLine, damaged: Path) -> None:
    line = ("--op", "reindex", "--object", "order", "--object", "my-index", "--json")
    (child,) = dbtend("run", damaged, *line).json["jobs"][0]["children"]
    assert {step["object"] for step in child["steps"]} == {"order", "my-index"}
    assert integrity(damaged) == []
    assert "2 indexes rebuilt" in dbtend("show", "1").out


@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_object_that_is_not_there_is_named(dbtend: CommandLine, sales: Path, command: str) -> None:
    result = dbtend(command, sales, "--op", "reindex", "--object", "nope")
    assert "nope" in result.err + result.out
    assert result.code != 0


def test_a_check_that_is_named_fails_where_nothing_can_be_checked_and_those_of_verify_are_skipped(
    dbtend: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db:
        db.create_collation("german", lambda one, other: (one > other) - (one < other))
        db.executescript("CREATE TABLE t (a TEXT COLLATE german); CREATE INDEX i ON t(a); INSERT INTO t VALUES ('x')")
    words = (path, "--op", "check", "--op", "backup", "--verify", "--json")
    plans = dbtend("plan", *words).json["jobs"][0]["children"]
    assert [one["verdict"] for one in plans[:2]] == ["warn", "refuse"]
    done = dbtend("run", *words)
    ended = [(one["operation"], one["status"], one["reason"]) for one in done.json["jobs"][0]["children"]]
    skipped = ("check", "skipped", "not_needed")
    assert ended == [skipped, ("check", "failed", "refused"), ("backup", "completed", None), skipped]
    assert done.code == 4


def test_verify_checks_before_and_after_and_stops_at_damage(dbtend: CommandLine, sales: Path, damaged: Path) -> None:
    (job,) = dbtend("run", sales, "--op", "vacuum", "--verify", "--json").json["jobs"]
    assert [(c["operation"], c["status"]) for c in job["children"]] == [
        ("check", "completed"), ("vacuum", "completed"), ("check", "completed"),
    ]  # fmt: skip
    size = damaged.stat().st_size
    (job,) = dbtend("run", damaged, "--op", "vacuum", "--verify", "--check", "full", "--json").json["jobs"]
    assert [c["status"] for c in job["children"]] == ["failed", "skipped", "skipped"]
    assert damaged.stat().st_size == size
    plans = dbtend("plan", sales, "--op", "vacuum", "--verify", "--json").json["jobs"][0]["children"]
    assert [plan["operation"] for plan in plans] == ["check", "vacuum", "check"]


def test_a_backup_goes_where_it_is_told_to_as_seen_from_here(
    dbtend: CommandLine, sales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = dbtend("run", sales, "--op", "backup", "--backup-to", "copy.db")
    copy = tmp_path / "copy.db"
    assert result.code == 0
    assert f"to {copy}, checked" in result.out.splitlines()[-1]
    assert integrity(copy) == []
    again = dbtend("run", sales, "--op", "backup", "--backup-to", "copy.db")
    assert again.code == 4
    assert str(copy) in again.out


def test_a_backup_into_a_directory_that_is_missing_makes_no_file_of_its_name(
    dbtend: CommandLine, sales: Path, tmp_path: Path
) -> None:
    result = dbtend("run", sales, "--op", "backup", "--backup-to", f"{tmp_path}/copies/")
    assert result.code == 4
    assert f"there is no directory {tmp_path}/copies: make it" in result.out
    (tmp_path / "copies").mkdir()
    assert dbtend("run", sales, "--op", "backup", "--backup-to", f"{tmp_path}/copies/").code == 0
    (copy,) = (tmp_path / "copies").iterdir()
    assert integrity(copy) == []


def test_pages_are_given_back_and_counted(dbtend: CommandLine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "inc.db", auto_vacuum="incremental")
    result = dbtend("run", path, "--op", "incremental-vacuum")
    assert result.code == 0
    (child,) = dbtend("show", "1", "--json").json["jobs"][0]["children"]
    freed = child["before"]["pages"] - child["after"]["pages"]
    assert freed == child["steps"][0]["effect"]["freed_pages"] > 0
    assert f"{freed} pages freed, " in result.out.splitlines()[-1]
    assert f"(freed {freed} pages)" in dbtend("show", "1").out


def test_a_plan_for_scripts_says_all_that_is_known_beforehand(dbtend: CommandLine, sales: Path) -> None:
    (plan,) = dbtend("plan", sales, "--op", "vacuum", "--op", "reindex", "--json").json["jobs"]
    assert plan["warnings"]
    for child in plan["children"]:
        assert child["verdict"] in {"ok", "warn"}
        assert child.keys() >= {"warnings", "not_needed", "settings", "tuned", "parallel", "estimate", "error"}
        assert all(step["after_cancel"] for step in child["steps"])
