"""`dbtend map`: the pages of a file; and the maps that `dbtend show` has of a job."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.targets.sqlite.running import layout
from tests.sqlite_files import content
from tests.tui.command_line import CommandLine
from tui.presentation.exit_codes import OK, USAGE


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LONGEST", 600.0)


@pytest.fixture
def large(sales: Path) -> Path:
    """Large enough for maps of its jobs, with free pages."""
    with closing(sqlite3.connect(sales, isolation_level=None)) as db:
        db.execute('CREATE TABLE "wide\x1b[31m"(a)')
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)"
                   ' INSERT INTO "wide\x1b[31m" SELECT randomblob(1500) FROM n')  # fmt: skip
        db.execute('DELETE FROM "wide\x1b[31m" WHERE rowid % 3 = 0 OR rowid > 2000')
    return sales


def test_it_draws_the_file_in_eighty_columns_and_changes_nothing(dbtend: CommandLine, large: Path) -> None:
    before = content(large)
    done = dbtend("map", large)
    assert (done.code, done.err) == (OK, "")
    lines = done.out.splitlines()
    assert " pages, " in lines[0]
    assert all(len(line) <= 80 and line.isprintable() for line in lines)
    assert any("·" in line for line in lines[2:])
    assert r"█ wide\x1b[31m" in done.out
    assert content(large) == before
    assert not Path("jobs.db").exists()


def test_its_json_has_a_place_for_each_page(dbtend: CommandLine, large: Path) -> None:
    document = dbtend("map", large, "--json").json
    found = document["map"]
    assert document["read_times"] is None
    assert found["pages"] == large.stat().st_size // found["page_size"]
    assert len(found["owners"]) == len(found["fills"]) == len(found["in_order"]) == found["pages"]
    assert found["owners"].count("free") == found["free_pages"] > 0
    assert {one["name"] for one in found["objects"]} >= {"sqlite_schema", "wide\x1b[31m"}


def test_read_times_are_measured_when_they_are_asked_for(dbtend: CommandLine, large: Path) -> None:
    measured = dbtend("map", large, "--read-times", "--json").json["read_times"]
    assert measured["name"] == "wide\x1b[31m"
    assert measured["in_key_order"]["pages"] > 0
    assert measured["in_file_order"]["pages"] > 0
    assert "In file order: " in " ".join(dbtend("map", large, "--read-times").out.split())
    with closing(sqlite3.connect(large)) as db:
        db.execute("VACUUM")
    said = "Nothing was measured: no large table or index is out of order, or none was found in time."
    assert said in " ".join(dbtend("map", large, "--read-times").out.split())


@pytest.mark.parametrize("words", [[], ["a.db", "b.db"], ["postgresql:///sales"]])
def test_it_takes_one_sqlite_file(dbtend: CommandLine, words: list[str]) -> None:
    assert dbtend("map", *words).code == USAGE


def test_show_draws_the_file_before_and_after(dbtend: CommandLine, large: Path) -> None:
    assert dbtend("run", large, "--op", "vacuum").code == OK
    shown = dbtend("show", "1").out
    assert "  before " in shown
    assert r"█ wide\x1b[31m" in shown
    (child,) = dbtend("show", "1", "--json").json["jobs"][0]["children"]
    maps = child["page_maps"]
    assert maps["before"]["free_pages"] > maps["after"]["free_pages"] == 0
    assert maps["after"]["pages"] == large.stat().st_size // 4096
    assert not any(name.startswith("pages_") for name in child["after"])
    (listed,) = dbtend("history", "--json").json["jobs"][0]["children"]
    assert "page_maps" not in listed
    assert not any(name.startswith("pages_") for name in listed["after"])


def test_a_job_that_moves_no_pages_has_no_maps(dbtend: CommandLine, large: Path) -> None:
    assert dbtend("run", large, "--op", "analyze").code == OK
    assert dbtend("show", "1", "--json").json["jobs"][0]["children"][0]["page_maps"] is None
