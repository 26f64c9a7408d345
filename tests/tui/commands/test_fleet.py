"""`dbtend fleet`: many targets at a glance, the most urgent first."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.surveys import FleetLevel
from tests.postgres_databases import Database, as_admin, new_database
from tests.sqlite_files import make_database, transaction
from tests.tui.command_line import CommandLine

FIELDS = {
    "target", "name", "engine", "groups", "label", "level", "reason", "size", "reclaimable", "checked_at",
    "surveyed_at", "last_job", "next_due",
}  # fmt: skip


@pytest.fixture
def tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten files: one damaged, one that gives much back by a low threshold, one that is no database any more."""
    monkeypatch.delenv("COLUMNS", raising=False)
    directory = tmp_path / "tenants"
    directory.mkdir()
    first = make_database(directory / "t1.db", rows=200)
    for n in range(2, 11):
        shutil.copy(first, directory / f"t{n}.db")
    with (directory / "t2.db").open("r+b") as file:
        file.seek(16)
        file.write(b"\xff" * 84)
    with closing(sqlite3.connect(directory / "t9.db")) as db:
        db.execute("DELETE FROM item")
        db.commit()
    return directory


def lines_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if re.match(r"t\d", line)]


def test_the_table_begins_with_the_counts_and_the_most_urgent(dbtend: CommandLine, tenants: Path) -> None:
    (tenants / "t3.db").unlink()
    result = dbtend("fleet", *[tenants / f"t{n}.db" for n in range(1, 11)])
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    assert lines[0] == "10 targets: 1 critical, 8 unchecked, 1 unreachable"
    assert lines[2].split() == ["target", "engine", "size", "reclaim", "level", "checked", "last", "run", "why"]
    rows = lines_of(result.out)
    assert [row[0] for row in rows][:2] == ["t2.db", "t3.db"]
    assert sorted(row[0] for row in rows[2:]) == sorted(f"t{n}.db" for n in (1, *range(4, 11)))
    assert "this is not a SQLite database" in lines[3]
    assert (
        lines[3].index("critical") == lines[4].index("unreachable") == lines[5].index("unchecked")
    )  # the columns line up
    assert "\x1b" not in result.out


def test_as_json(dbtend: CommandLine, tenants: Path) -> None:
    dbtend.configure(
        f"""
[targets.tenants]
url = "{tenants}/*.db"
label = "PROD"
groups = ["eu"]
advice = {{ reclaim_soon = "5kB" }}
"""
    )
    result = dbtend("fleet", "--json")
    assert result.code == 1  # one is critical
    assert result.json["counts"] == {
        "critical": 1, "now": 0, "soon": 1, "unchecked": 8, "small": 0, "ok": 0,
        "unknown": 0, "unreachable": 0,
    }  # fmt: skip
    assert [*result.json["counts"]] == [*FleetLevel]
    targets = {one["name"]: one for one in result.json["targets"]}
    assert len(targets) == 10
    assert all(one.keys() >= FIELDS for one in targets.values())
    damaged, wasteful = targets["t2"], targets["t9"]
    assert (damaged["level"], damaged["size"], damaged["label"], damaged["groups"]) == (
        "critical",
        None,
        "PROD",
        ["eu"],
    )
    assert (wasteful["level"], wasteful["engine"], wasteful["last_job"]) == ("soon", "sqlite", None)
    assert wasteful["reclaimable"] > 5_000
    assert wasteful["reason"].endswith(("in free pages", "reclaimable"))
    assert wasteful["target"] == f"sqlite://{tenants}/t9.db"


def test_only_some_are_shown_and_all_are_counted(dbtend: CommandLine, tenants: Path) -> None:
    for words in (["--only", "critical"], ["level:critical"]):
        result = dbtend("fleet", tenants, *words)
        assert result.out.splitlines()[:2] == ["10 targets: 1 critical, 9 unchecked", "1 shown"]
        assert [row[0] for row in lines_of(result.out)] == ["t2"]
    assert len(dbtend("fleet", tenants, "--only", "unchecked", "--only", "critical", "--json").json["targets"]) == 10
    assert len(dbtend("fleet", tenants, "size:<1MB", "checked:never", "--json").json["targets"]) == 9
    assert dbtend("fleet", tenants, "engine:postgresql", "--json").json["targets"] == []
    assert len(dbtend("fleet", tenants, "--exclude", "t1*", "--json").json["targets"]) == 8


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--only", "urgent"], "'urgent': is no level"),
        (["/x.db", "level:urgent"], "level:urgent: is no level"),
        (["/x.db", "size:1GB"], "size:1GB: cannot be compared"),
        ([], "no TARGET was given, and the config file names none"),
        (["@eu"], "is no group"),
    ],
)
def test_wrong_words(dbtend: CommandLine, words: list[str], error: str) -> None:
    result = dbtend("fleet", *words)
    assert (result.code, result.out) == (2, "")
    assert error in result.err


def test_a_survey_is_kept_and_made_again_on_request(dbtend: CommandLine, tenants: Path) -> None:
    def at(*words: str) -> str:
        return str(dbtend("fleet", tenants / "t1.db", "--json", *words).json["targets"][0]["surveyed_at"])

    first = at()
    assert at() == first
    assert at("--refresh") > first


def test_a_job_shows_in_the_fleet(dbtend: CommandLine, tenants: Path) -> None:
    path = tenants / "t1.db"
    assert dbtend("fleet", path, "--json").json["targets"][0]["checked_at"] is None
    dbtend("run", path, "--op", "check")
    found = dbtend("fleet", path, "--json").json["targets"][0]
    assert found["last_job"] == 1
    assert found["checked_at"] is not None
    assert "completed" in dbtend("fleet", path).out


def test_a_locked_file_is_unknown_and_no_failure(dbtend: CommandLine, tenants: Path) -> None:
    with transaction(tenants / "t1.db", "EXCLUSIVE"):
        result = dbtend("fleet", tenants / "t1.db")
    assert result.code == 0
    assert result.out.startswith("1 target: 1 unknown\n")
    assert "no lock within" in result.out


def test_a_pattern_that_cannot_be_listed_is_one_of_several(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("fleet", tenants / "t1.db", tenants / "nothing-*.db")
    assert result.code == 1
    assert result.out.startswith("2 targets: 1 unchecked, 1 unreachable\n")
    assert "matches no file" in result.out
    assert dbtend("fleet", tenants / "nothing-*.db").code == 2


def levels_of(dbtend: CommandLine, *words: str | Path) -> dict[str, tuple[str, str | None]]:
    """By name: the level, and the cause of it."""
    rows = json.loads(dbtend("fleet", *words, "--json").out)["targets"]
    return {row["name"]: (row["level"], row["reasons"][0]["cause"] if row["reasons"] else None) for row in rows}


@pytest.fixture
def lost(dbtend: CommandLine, tenants: Path) -> dict[str, tuple[str, str]]:
    """Databases that were surveyed, and then emptied, removed, renamed, overwritten, or replaced by a directory or a
    pipe; how the fleet shows each."""
    (tenants / "t5.db").rename(tenants / "plain")
    (tenants / "t6.db").rename(tenants / "bare")
    shutil.copy(tenants / "t1.db", tenants / "mounted.db")
    shutil.copy(tenants / "t1.db", tenants / "pipe.db")
    levels_of(dbtend, tenants)
    for name in ("mounted.db", "pipe.db"):
        (tenants / name).unlink()
    (tenants / "mounted.db").mkdir()
    os.mkfifo(tenants / "pipe.db")
    (tenants / "t3.db").write_bytes(b"")
    (tenants / "t4.db").unlink()
    (tenants / "t7.db").rename(tenants / "renamed.db")
    for name in ("t8.db", "plain"):
        with (tenants / name).open("r+b") as file:
            file.write(b"\0" * 16)
    (tenants / "bare").write_bytes(b"")
    broken, gone = ("critical", "no_longer_a_database"), ("unreachable", "gone")
    replaced = {"mounted.db": broken, "pipe.db": broken}
    return replaced | {"t3.db": broken, "t4.db": gone, "t7.db": gone, "t8.db": broken, "plain": broken, "bare": broken}


def test_a_known_database_that_is_no_longer_one_stays_in_the_fleet(
    dbtend: CommandLine, tenants: Path, lost: dict[str, tuple[str, str]]
) -> None:
    expected = {name.removesuffix(".db"): how for name, how in lost.items()}
    for words in (["--read-only", tenants], [tenants], [tenants / "*"], [tenants, "--refresh"]):
        found = levels_of(dbtend, *words)
        assert expected.items() <= found.items()
        assert found["renamed"][0] == found["t1"][0]
        assert dbtend("fleet", *words).code == 1
    for name, how in lost.items():  # alone, too
        assert [*levels_of(dbtend, tenants / name).values()] == [how]
        assert dbtend("fleet", tenants / name).code == 1
    assert set(levels_of(dbtend, tenants / "t*.db", "--exclude", "t[3478]*")) == {"t1", "t2", "t9", "t10"}
    with closing(sqlite3.connect(dbtend.store)) as store, store:
        store.execute("UPDATE survey SET surveyed_at = surveyed_at - 300 * 86400000000")
    assert expected.items() <= levels_of(dbtend, tenants).items()


def test_a_run_on_a_pattern_fails_on_known_databases_that_are_no_longer_there(
    dbtend: CommandLine, tenants: Path, lost: dict[str, tuple[str, str]]
) -> None:
    result = dbtend("run", tenants / "*", "--op", "check", "--json")
    assert result.code == 1
    failed = {Path(job["target"]).name for job in json.loads(result.out)["jobs"] if job["status"] == "failed"}
    assert failed == {"t2.db", *lost}
    assert_levels_on_record(dbtend, lost)
    dbtend("fleet", tenants, "--refresh")
    assert_levels_on_record(dbtend, lost)
    assert dbtend("run", tenants / "*", "--op", "check").code == 1
    assert_levels_on_record(dbtend, lost)


def assert_levels_on_record(dbtend: CommandLine, lost: dict[str, tuple[str, str]]) -> None:
    """That metrics and the report say of each what the fleet says, whatever command was used last."""
    metrics, report = dbtend("metrics").out, dbtend.store.with_name("report.html")
    assert dbtend("report", "--html", report).code == 0
    for name, (level, _) in lost.items():
        assert re.search(rf'^dbtend_target_level{{.*level="{level}".*/{name}"}} 1', metrics, re.MULTILINE)
        assert re.search(rf"{name}.{{0,200}}{level}", report.read_text(), re.DOTALL)


def test_a_run_on_one_known_database_that_is_empty_now_puts_its_level_on_record_until_it_is_back(
    dbtend: CommandLine, sales: Path
) -> None:
    content = sales.read_bytes()
    assert dbtend("run", sales, "--op", "analyze").code == 0
    unknown = sales.with_name("unknown.db")
    for path in (sales, unknown):
        path.write_bytes(b"")
        assert dbtend("run", path, "--op", "check").code == 2
    lost = {sales.name: ("critical", "no_longer_a_database")}
    assert_levels_on_record(dbtend, lost)
    assert unknown.name not in dbtend("metrics").out
    sales.write_bytes(content)
    assert dbtend("run", sales, "--op", "check").code == 0
    assert_levels_on_record(dbtend, {sales.name: ("unknown", "")})


def test_a_filter_leaves_out_a_known_database_that_is_gone_unless_it_names_its_level(
    dbtend: CommandLine, tenants: Path
) -> None:
    pattern, gone = tenants / "t1*.db", tenants / "t10.db"
    assert set(levels_of(dbtend, pattern)) == {"t1", "t10"}
    gone.unlink()
    others = [f"level:{level}" for level in FleetLevel if level is not FleetLevel.UNREACHABLE]

    def targets(*words: str) -> list[str]:
        jobs = dbtend("run", pattern, *words, "--op", "analyze", "--json").json["jobs"]
        return [Path(job["target"]).name for job in jobs]

    assert targets(*others) == ["t1.db"]
    alone = dbtend("run", pattern, "level:unreachable", "--op", "analyze", "--json")
    assert (alone.code, alone.json["error"]["kind"]) == (2, "target")
    assert targets("size:>1B") == ["t1.db", "t10.db"]
    (tenants / "t1.db").unlink()
    assert dbtend("run", pattern, *others, "--op", "analyze").code == 1


def test_a_name_that_the_store_knows_is_no_pattern(dbtend: CommandLine, tenants: Path) -> None:
    for name in ("a*.db", "ab.db"):
        shutil.copy(tenants / "t1.db", tenants / name)
    levels_of(dbtend, tenants)
    (tenants / "a*.db").unlink()
    assert levels_of(dbtend, tenants / "a*.db") == {"a*.db": ("unreachable", "gone")}
    assert dbtend("run", tenants / "a*.db", "--op", "check").code == 2
    (tenants / "ab.db").unlink()
    assert dbtend("fleet", "--forget", tenants / "a*.db").code == 0
    assert levels_of(dbtend, tenants)["ab"] == ("unreachable", "gone")


def test_a_directory_that_is_not_mounted_is_not_empty(dbtend: CommandLine, tenants: Path) -> None:
    levels_of(dbtend, tenants)
    tenants.rename(tenants.parent / "elsewhere")
    for words in ([tenants], [tenants / "*.db"]):
        found = levels_of(dbtend, *words)
        assert len(found) == 9  # the damaged one was no database before
        assert set(found.values()) == {("unreachable", "gone")}
        assert dbtend("run", *words, "--op", "check").code == 1
    (tenants.parent / "elsewhere").rename(tenants)
    assert "gone" not in {cause for _, cause in levels_of(dbtend, tenants).values()}


def test_a_person_says_that_a_database_may_go(
    dbtend: CommandLine, tenants: Path, lost: dict[str, tuple[str, str]]
) -> None:
    assert f"dbtend fleet --forget {tenants / 't4.db'}\n" in dbtend("fleet", tenants / "t4.db").err
    assert " others)\n" in dbtend("fleet", tenants).err
    assert dbtend("fleet", "--forget").code == 2
    assert dbtend("fleet", "--forget", tenants / "t1.db").code == 2  # it is there
    forgotten = dbtend("fleet", "--forget", tenants / "t4.db", "--json")
    assert (forgotten.code, forgotten.json) == (0, {"forgotten": [f"sqlite://{tenants / 't4.db'}"]})
    assert "t4" not in levels_of(dbtend, tenants)
    assert dbtend("fleet", "--forget", tenants, "level:critical").code == 0
    assert set(levels_of(dbtend, tenants)) == {"t1", "t2", "t7", "t8", "t9", "t10", "renamed"}  # t8.db by its name
    assert dbtend("fleet", "--forget", tenants).code == 0
    assert "t7" not in levels_of(dbtend, tenants)
    make_database(tenants / "t4.db", rows=10)
    assert levels_of(dbtend, tenants)["t4"] == levels_of(dbtend, tenants)["t1"]


def test_a_database_that_was_restored_is_as_before(
    dbtend: CommandLine, tenants: Path, lost: dict[str, tuple[str, str]]
) -> None:
    assert levels_of(dbtend, tenants)["t3"] == lost["t3.db"]
    shutil.copy(tenants / "t1.db", tenants / "t3.db")
    found = levels_of(dbtend, tenants)
    assert found["t3"] == found["t1"]


def test_a_database_that_was_dropped_from_a_server_is_unreachable(dbtend: CommandLine, database: Database) -> None:
    pattern = database.server.url(f"{database.name[:-1]}*")
    assert levels_of(dbtend, pattern)[database.name][0] != "unreachable"
    name = database.name
    database.admin.close()
    with as_admin(database.server.url("postgres")) as other:
        other.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert levels_of(dbtend, pattern)[name] == ("unreachable", "gone")
    assert dbtend("fleet", "--forget", pattern).code == 0


def test_a_file_whose_name_leaves_no_room_for_a_journal_keeps_no_other_from_being_shown(
    dbtend: CommandLine, tenants: Path
) -> None:
    long = tenants / f"{'x' * 250}.db"
    shutil.copy(tenants / "t1.db", long)
    assert "the length of the name" in dbtend("run", long, "--op", "vacuum").out
    result = dbtend("fleet", tenants, "--json")
    levels = {Path(target["name"]).stem: target["level"] for target in json.loads(result.out)["targets"]}
    assert result.code == 1  # for another one
    assert levels.pop("t2") == "critical"
    assert set(levels.values()) == {"unchecked"}
    assert len(levels) == 10


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_a_terminal(dbtend: CommandLine, tenants: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    shutil.copy(tenants / "t1.db", tenants / ("a-very-long-name-of-a-tenant-" * 4 + ".db"))
    monkeypatch.setenv("COLUMNS", str(width))
    result = dbtend("fleet", tenants)
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= width
    header = lines[2].split()
    assert {"target", "level", "why"} <= {*header}
    assert ("checked" in header) is (width == 120)


def test_read_only_shows_everything_and_keeps_nothing(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("fleet", tenants, "--read-only")
    assert result.code == 1
    assert result.out.startswith("10 targets: 1 critical, 9 unchecked\n")
    assert not dbtend.store.exists()


def test_names_cannot_make_a_terminal_do_anything(dbtend: CommandLine, tenants: Path) -> None:
    shutil.copy(tenants / "t1.db", tenants / "evil\x1b[2J\nname.db")
    result = dbtend("fleet", tenants)
    assert "\x1b" not in result.out
    assert len(result.out.splitlines()) == len(dbtend("fleet", tenants, "--exclude", "evil*").out.splitlines()) + 1


def test_databases_of_a_server(dbtend: CommandLine, database: Database) -> None:
    found = dbtend("fleet", database.url, "--json").json["targets"][0]
    assert (found["engine"], found["level"]) == ("postgresql", "unchecked")
    assert found["size"] > 1_000_000
    assert f"pg {database.major}" in dbtend("fleet", database.url).out


def test_on_a_terminal_it_tells_how_far_it_is(dbtend: CommandLine, tenants: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "fleet", str(tenants)],
        env={**os.environ, **dbtend.environment, "TERM": "xterm", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    out, _ = process.communicate(timeout=60)
    told = os.read(master, 65_536).decode()
    os.close(master)
    assert "surveyed 1 of 10;" in told
    assert out.decode().startswith("10 targets: 1 critical, 9 unchecked\n")


def test_the_age_of_what_is_shown_is_told(dbtend: CommandLine, tenants: Path) -> None:
    assert "ago" not in dbtend("fleet", tenants / "t1.db").out
    with closing(sqlite3.connect(dbtend.store, isolation_level=None)) as store:
        store.execute("UPDATE survey SET surveyed_at = surveyed_at - 600000000")
    told = dbtend("fleet", tenants / "t1.db").out
    assert "10 min ago" in told
    assert "--refresh" in told


def test_a_server_that_hangs_is_told_and_the_others_go_on(dbtend: CommandLine, tenants: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # nobody ever answers there
        port = silent.getsockname()[1]
        result = dbtend("fleet", tenants, *(f"postgresql://a@127.0.0.1:{port}/db{n}" for n in range(10)))
    assert result.code == 1
    assert result.out.splitlines()[0].partition(": ")[2].split(", ") == ["1 critical", "9 unchecked", "10 unreachable"]
    assert result.out.count("no answer") == 10


def test_a_known_database_that_accepts_no_connections_any_more_is_unreachable_at_once(
    dbtend: CommandLine, database: Database
) -> None:
    pattern = database.server.url(f"{database.name}*")
    (target,) = dbtend("fleet", pattern, "--json").json["targets"]
    assert target["level"] != "unreachable"
    with new_database(database.server) as other:
        database.admin.close()
        other(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        try:
            shut = dbtend("fleet", pattern, "--json")
        finally:
            other(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
            database.reconnect()
    assert [one["level"] for one in shut.json["targets"] if one["name"] == database.name] == ["unreachable"]
    assert shut.code == 1
