"""The words that name targets: patterns, groups, excludes, all databases of a server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.postgres_databases import Database
from tests.tui.command_line import CommandLine


@pytest.fixture
def tenants(sales: Path) -> Path:
    directory = sales.parent / "tenants"
    directory.mkdir()
    for n in (1, 2, 10):
        shutil.copy(sales, directory / f"t{n}.db")
    return directory


def targets_of(dbtend: CommandLine, *words: str | Path) -> list[str]:
    result = dbtend("plan", *words, "--op", "analyze", "--json")
    assert result.code == 0, result.err
    return [Path(job["target"]).name for job in json.loads(result.out)["jobs"]]


def test_a_pattern_a_directory_and_excludes(dbtend: CommandLine, tenants: Path) -> None:
    assert targets_of(dbtend, tenants / "*.db") == ["t1.db", "t2.db", "t10.db"]
    assert targets_of(dbtend, tenants, "--exclude", "t1*") == ["t2.db"]


def test_a_group_stands_for_its_targets(dbtend: CommandLine, tenants: Path, sales: Path) -> None:
    dbtend.configure(
        f"""
[targets.tenants]
url = "{tenants}/*.db"
groups = ["eu"]
exclude = ["t2"]

[targets.sales]
url = "{sales}"
groups = ["eu", "us"]
"""
    )
    assert targets_of(dbtend, "@eu") == ["t1.db", "t10.db", sales.name]
    assert targets_of(dbtend, "@tenants") == targets_of(dbtend, "tenants") == ["t1.db", "t10.db"]
    unknown = dbtend("plan", "@asia")
    assert unknown.code == 2
    assert "@us" in unknown.err


def test_a_member_of_a_pattern_goes_by_its_name(dbtend: CommandLine, tenants: Path) -> None:
    dbtend.configure(f'[targets.tenants]\nurl = "{tenants}"\nlabel = "PROD"\n')
    assert targets_of(dbtend, "t10") == targets_of(dbtend, "t10.db") == ["t10.db"]
    assert dbtend("run", "t10", "--op", "vacuum").code == 2
    assert dbtend("plan", "t11", "--op", "vacuum").code == 2


def test_what_is_left_out_is_told(dbtend: CommandLine, tenants: Path) -> None:
    (tenants / "new.db").touch()
    (tenants / "notes.txt").write_text("text")
    result = dbtend("plan", tenants, tenants / "t1.db", "--op", "analyze")
    assert result.code == 0
    assert "new.db" in result.err
    assert "notes.txt" in result.err
    assert "1 repeated name" in result.err


def test_a_name_that_stands_for_nothing_but_what_is_left_out(dbtend: CommandLine, tenants: Path) -> None:
    assert dbtend("plan", tenants, "--exclude", "*").code == 2


def test_all_databases_of_a_server(dbtend: CommandLine, database: Database, tenants: Path) -> None:
    result = dbtend("plan", database.url, "--all-databases", "--exclude", "postgres", "--op", "analyze", "--json")
    assert result.code == 0, result.err
    urls = [job["target"] for job in json.loads(result.out)["jobs"]]
    assert any(f"/{database.name}?" in url for url in urls)
    assert len(urls) > 1
    assert dbtend("plan", tenants / "t1.db", "--all-databases").code == 2


def test_words_restrict_the_targets_by_their_survey(dbtend: CommandLine, tenants: Path) -> None:
    with (tenants / "t2.db").open("ab") as file:
        file.truncate(40_000_000)
    assert targets_of(dbtend, tenants, "size:>20MB") == ["t2.db"]
    assert targets_of(dbtend, tenants, "size:<20MB", "engine:sqlite") == ["t1.db", "t10.db"]
    nothing = dbtend("run", tenants, "level:critical", "--json")
    assert (nothing.code, nothing.json) == (0, {"batch": None, "jobs": []})
    assert dbtend("advise", tenants, "level:critical").out == ""
    assert dbtend("run", tenants, "level:urgent").code == 2
    dbtend.configure(f'[targets.tenants]\nurl = "{tenants}"\n')
    assert targets_of(dbtend, "size:>20MB") == ["t2.db"]


def test_advice_on_several_tells_of_a_server_that_lists_nothing(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("advise", tenants / "t1.db", f"postgresql://nobody@/*?host={tenants}")
    assert result.code == 1
    assert "no server answers" in result.err


@pytest.mark.parametrize("word", ["lvel:now", "Level:now", "level=now", "name:t1"])
def test_a_mistyped_filter_is_an_error_and_no_target(dbtend: CommandLine, tenants: Path, word: str) -> None:
    result = dbtend("run", tenants, word, "--op", "analyze")
    assert result.code == 2
    assert word in result.err
    assert not dbtend.store.exists()
