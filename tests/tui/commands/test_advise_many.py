"""`dbtend advise` on many targets: urgent ones first, by name; the rest is counted."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import Advice, Level, Operation
from engine.config.model import TargetEntry
from engine.domain.advice import ByHand, CheckCause
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tui.commands.advice_overview import overview_lines
from tui.commands.advise import advice_lines


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    """Twelve files, of which t10 and t2 have statistics that are missing."""
    directory = tmp_path / "tenants"
    directory.mkdir()
    first = make_database(directory / "t1.db", rows=20)
    for n in range(2, 13):
        shutil.copy(first, directory / f"t{n}.db")
    for n in (10, 2):
        make_database(tmp_path / "full.db").replace(directory / f"t{n}.db")
    return directory


def test_what_is_needed_comes_first_and_the_rest_is_counted(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("advise", tenants)
    counts = "12 targets: 2 only in small tables or files, 10 need nothing; a check is due on 12\n"
    assert (result.code, result.out) == (0, counts)
    dbtend.configure('[advice]\nsmall = "1kB"')
    result = dbtend("advise", tenants)
    assert (result.code, result.err) == (0, "")
    counts, blank, *lines = result.out.splitlines()
    assert counts == "12 targets: 2 soon, 10 need nothing; a check is due on 12"
    assert blank == ""
    assert [line.split()[:3] for line in lines] == [["t2", "soon", "analyze"], ["t10", "soon", "analyze"]]
    assert len(dbtend("advise", tenants, "--json").json["advice"]) == 12 * 9


def test_of_many_that_cannot_be_inspected_each_is_told(dbtend: CommandLine, tenants: Path) -> None:
    dbtend.configure('[advice]\nsmall = "1kB"')
    with (tenants / "t3.db").open("r+b") as file:
        file.write(b"no database any more")
    result = dbtend("advise", tenants)
    assert result.code == 1
    assert result.out.startswith("11 targets: 2 soon, ")
    assert "t3.db" in result.err
    assert len(result.err.splitlines()) == 1


def test_thresholds_of_the_config_file_hold(dbtend: CommandLine, sales: Path) -> None:
    path = sales
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM item")
        db.commit()

    def level(*words: str | Path) -> str:
        found = dbtend("advise", *words, "--json").json["advice"]
        return str(next(one["level"] for one in found if one["operation"] == "vacuum"))

    assert level(path) == "none"
    dbtend.configure('[advice]\nreclaim_soon = "1kB"\nreclaim_soon_share = "1%"')
    assert level(path) == "soon"
    planned = dbtend("plan", path, "--needed", "--json").json["jobs"][0]
    assert "vacuum" in [child["operation"] for child in planned["children"]]
    dbtend.configure(f'[targets.one]\nurl = "{path}"\nadvice = {{ reclaim_soon = "1kB", reclaim_soon_share = "1%" }}')
    assert (level("one"), level(path)) == ("soon", "none")


def test_what_may_be_done_by_hand_is_counted_though_it_is_not_urgent() -> None:
    drop = ByHand(level=Level.NONE, reason="drop the duplicates that you do not need: two")
    advice = [Advice(operation=Operation.CLEAN_LEFTOVERS, level=Level.NONE, reason="no leftover index", by_hand=drop)]
    shop = TargetEntry(name="shop", url="postgresql://db1/shop")
    assert list(overview_lines([(shop, advice)], width=None)) == [
        "1 target: 1 needs nothing; something may be done by hand on 1"
    ]
    *_, line = advice_lines(shop.url, advice, width=None, coloured=False)
    assert line.split()[:3] == ["by", "hand", "info"]


def test_the_overview_is_wrapped_and_sorted() -> None:
    def needs(name: str, *levels: Level, **facts: str) -> tuple[TargetEntry, list[Advice]]:
        operations = (Operation.REINDEX, Operation.VACUUM, Operation.ANALYZE)
        advice = [
            Advice(operation=operation, level=level, reason="so it is " * 4, facts=facts)
            for operation, level in zip(operations, levels, strict=False)
        ]
        return TargetEntry(name=name, url=f"/{name}.db", label="PROD" if name == "a" else None), advice

    advised = [
        needs("t10", Level.SOON),
        needs("t2", Level.NONE, Level.SOON, Level.NOW),
        needs("a", Level.NOW, severity="critical"),
        needs("b", Level.NONE, Level.UNKNOWN),
    ]
    lines = list(overview_lines(advised, width=60))
    assert lines[:2] == ["4 targets: 1 critical, 1 now, 1 soon, 1 needs nothing", ""]
    heads = [line.split()[:4] for line in lines[2:] if not line.startswith(" ")]
    assert heads == [
        ["a", "[PROD]", "critical", "reindex"],
        ["t2", "now", "analyze", "so"],
        ["t2", "soon", "vacuum", "so"],
        ["t10", "soon", "reindex", "so"],
    ]
    assert max(map(len, lines)) <= 60


def test_a_check_that_is_merely_due_is_counted_and_one_for_what_was_found_is_told() -> None:
    def check(cause: str) -> list[Advice]:
        return [Advice(operation=Operation.CHECK, level=Level.SOON, reason="so it is", cause=cause)]

    due = TargetEntry(name="new", url="/new.db"), check(CheckCause.NEVER_CHECKED)
    found = TargetEntry(name="shop", url="mysql://db1/shop"), check("broken_rule")
    first, _, row = overview_lines([due, found], width=None)
    assert first == "2 targets: 1 soon, 1 needs nothing; a check is due on 1"
    assert row.split()[:3] == ["shop", "soon", "check"]


def test_doctor_tells_first_what_is_wrong(dbtend: CommandLine, tenants: Path, tmp_path: Path) -> None:
    result = dbtend("doctor", tenants / "t1.db", tmp_path / "missing.db")
    assert result.code == 1
    assert result.out.startswith("problem  missing.db")
    levels = [line.split()[0] for line in result.out.splitlines()]
    order = ["problem", "warn", "ok"]
    assert levels == sorted(levels, key=order.index)


def test_doctor_counts_the_targets_of_a_pattern_that_are_well(dbtend: CommandLine, tenants: Path) -> None:
    (tenants / "t3.db").write_text("no database " * 100)
    dbtend.configure(f'[targets.tenants]\nurl = "{tenants}/*.db"\n[targets.none]\nurl = "{tenants}/x*.db"')
    result = dbtend("doctor")
    assert result.code == 1
    lines = result.out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["problem", "none"], ["problem", "t3"]]
    assert "matches no file" in lines[0]
    assert lines[-1].split()[:3] == ["ok", "targets", "11"]
    assert len([one for one in dbtend("doctor", "--json").json["checks"] if one["what"].startswith("t")]) > 11


def test_reasons_stand_below_each_other_where_another_server_does_the_work() -> None:
    advice = [
        Advice(operation=Operation.VACUUM, level=Level.NONE, reason="dead rows", is_for_primary=True),
        Advice(operation=Operation.CHECK, level=Level.SOON, reason="dead check"),
    ]
    _, *lines = advice_lines("postgresql://db1/shop", advice, width=None, coloured=False)
    assert len({line.index("dead") for line in lines}) == 1
