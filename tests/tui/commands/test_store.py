"""`dbtend store init`, `check` and `copy`."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.store.postgres.schema import newest_version
from tests.engine.store.copying.embedded_stores import make_history
from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine
from tui.presentation.exit_codes import FAILED, OK, USAGE


def test_a_store_is_made_checked_filled_and_used(dbtend: CommandLine, database: Database, tmp_path: Path) -> None:
    history = make_history(tmp_path / "old.db", 40)
    made = dbtend("store", "init", database.url)
    assert made.code == OK, made.err
    assert f"made: store version {newest_version()}" in made.out
    assert "nothing to upgrade" in dbtend("store", "init", database.url).out
    checked = dbtend("store", "check", database.url)
    assert checked.code == OK, checked.out
    assert "all 5 hold" in checked.out
    assert "rights       each role has those" in checked.out
    copied = dbtend("store", "copy", history, database.url)
    assert copied.code == OK, copied.err
    assert "40 jobs with 80 operations" in copied.out
    assert "nothing to do" in dbtend("store", "copy", history, database.url).out
    shown = dbtend("--store", database.url, "show", "7", "--json")
    assert shown.json["jobs"][0]["id"] == 7
    assert shown.json["jobs"][0]["target"] == "sqlite:///srv/t7.db"
    assert dbtend("--store", database.url, "store", "check").code == OK
    assert "of all hosts" in dbtend("--store", database.url, "prune", "--dry-run").err


def test_each_action_prints_json(dbtend: CommandLine, database: Database, tmp_path: Path) -> None:
    history = make_history(tmp_path / "old.db", 10)
    assert dbtend("store", "init", database.url, "--json").json["earlier_version"] is None
    assert dbtend("store", "check", database.url, "--json").json["checks"]
    assert dbtend("store", "copy", history, database.url, "--json").json["rows"]["parent_job"] == 10
    refused = dbtend("store", "check", database.url.replace(database.name, "nowhere"), "--json")
    assert refused.json["error"]["kind"] == "store"


def test_a_broken_store_is_a_problem(dbtend: CommandLine, database: Database) -> None:
    dbtend("store", "init", database.url)
    database("GRANT UPDATE ON dbtend.event TO dbtend_viewer")
    checked = dbtend("store", "check", database.url)
    assert checked.code == FAILED
    assert "not made by `dbtend store init`" in checked.out
    dbtend("store", "init", database.url)
    assert dbtend("store", "check", database.url).code == OK


@pytest.mark.parametrize(
    "words",
    [
        (), ("init",), ("make", "x"), ("copy", "x"), ("check", "a", "b"), ("init", "jobs.db"),
        ("copy", "a.db", "b.db"), ("init", "mysql://db1/dbtend"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_line_and_makes_nothing(dbtend: CommandLine, words: tuple[str, ...]) -> None:
    done = dbtend("store", *words)
    assert done.code == USAGE
    assert done.err.count("\n") == 1
    assert not dbtend.store.exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:corect-h0rse@db1/dbtend",
        "host=db1 password=corect-h0rse",
        "postgresql:///x?password=corect-h0rse",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(dbtend: CommandLine, url: str) -> None:
    for words in (("store", "init", url), ("store", "check", url), ("store", "copy", "jobs.db", url)):
        done = dbtend(*words)
        assert done.code == USAGE
        assert "corect" not in done.err + done.out
        assert "pgpass" in done.err


def test_a_server_that_is_down_is_one_line(dbtend: CommandLine) -> None:
    done = dbtend("store", "check", "postgresql://ann@127.0.0.1:1/dbtend")
    assert done.code == USAGE
    assert done.err.count("\n") == 1


def test_while_reading_only_a_store_is_checked_alone(dbtend: CommandLine, database: Database) -> None:
    assert dbtend("--read-only", "store", "init", database.url).code == USAGE
    dbtend("store", "init", database.url)
    assert dbtend("--store", database.url, "pause").code == OK
    checked = dbtend("--read-only", "store", "check", database.url)
    assert checked.code == OK
    assert "nothing new starts" in checked.out
