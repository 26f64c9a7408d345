"""`dbtend advise`, and `--needed` of plan and run, on real files."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import Advice, Level, Operation, Request
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.another_process import BEGINS_TO_WRITE, another_process
from tests.sqlite_files import make_database, remove_index_entries, transaction
from tests.tui.command_line import CommandLine
from tui.commands.advise import advice_lines
from tui.commands.advising import nothing_needed
from tui.presentation.exit_codes import OK, REFUSED

FIELDS = {"target", "operation", "level", "reason", "gain", "facts"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database whose tables are big enough for statistics to matter."""
    return make_database(tmp_path / "shop.db")


def levels(advice: dict[str, Any]) -> dict[str, str]:
    return {one["operation"]: one["level"] for one in advice["advice"]}


def operations(jobs: dict[str, Any]) -> list[list[str]]:
    return [[child["operation"] for child in job["children"]] for job in jobs["jobs"]]


def test_advice_as_json(dbtend: CommandLine, shop: Path) -> None:
    result = dbtend("advise", shop, "--json")
    assert (result.code, result.err) == (0, "")
    assert [one.keys() for one in result.json["advice"]] == [FIELDS] * len(SQLITE_OPERATIONS)
    assert {one["target"] for one in result.json["advice"]} == {f"sqlite://{shop}"}
    found = levels(result.json)
    assert found.pop("analyze") == "small"
    assert found.pop("check") == "unchecked"
    assert set(found.values()) == {"none"}


def test_neither_advice_nor_a_plan_rolls_back_what_a_crash_left(dbtend: CommandLine, shop: Path) -> None:
    with another_process(shop, program=BEGINS_TO_WRITE) as pid:
        os.kill(pid, signal.SIGKILL)
    before = {file: file.read_bytes() for file in shop.parent.glob("shop.db*")}
    assert len(before) == 2
    for command in (("advise",), ("plan", "--op", "vacuum"), ("plan", "--needed")):
        result = dbtend(*command, shop)
        assert (result.code, result.out) == (REFUSED, "")
        assert "a hot journal, which must be rolled back first" in result.err
    assert {file: file.read_bytes() for file in shop.parent.glob("shop.db*")} == before
    assert dbtend("run", shop, "--needed", "--quiet").code == OK


def test_advice_in_words(dbtend: CommandLine, shop: Path, sales: Path) -> None:
    result = dbtend("advise", shop, sales)
    assert (result.code, result.err) == (0, "")
    first, second = result.out.split("\n\n")
    heading, *lines = first.splitlines()
    assert heading == f"sqlite://{shop}"
    assert second.splitlines()[0] == f"sqlite://{sales}"
    assert "\x1b" not in result.out
    words = {line.split()[0]: line.split()[1] for line in lines}
    assert words["analyze"] == "small"
    assert words["vacuum"] == "none"
    assert len({line.index(words[line.split()[0]], 20) for line in lines}) == 1  # aligned


def test_advice_creates_nothing(dbtend: CommandLine, shop: Path) -> None:
    before = shop.read_bytes()
    for words in (["advise"], ["advise", "--thorough"], ["plan", "--needed"]):
        assert dbtend(*words, shop).code == 0
    assert not dbtend.store.exists()
    assert shop.read_bytes() == before


def test_thorough_advice(dbtend: CommandLine, shop: Path) -> None:
    assert levels(dbtend("advise", "--thorough", shop, "--json").json)["analyze"] == "small"


def test_a_name_from_the_config_can_be_asked_for(dbtend: CommandLine, shop: Path) -> None:
    dbtend.configure(f'[targets.prod]\nurl = "{shop}"')
    assert dbtend("advise", "prod").out.startswith(f"sqlite://{shop}\n")


def test_what_cannot_be_advised_on(dbtend: CommandLine, shop: Path, tmp_path: Path) -> None:
    nothing = dbtend("advise")
    assert nothing.code == 2
    assert nothing.err.startswith("dbtend: advise: ")
    missing = dbtend("advise", tmp_path / "missing.db")
    assert (missing.code, missing.out) == (2, "")
    assert "no such file" in missing.err
    with transaction(shop, "EXCLUSIVE"):
        busy = dbtend("advise", shop, "--json")
    assert busy.code == 4
    assert busy.json["error"]["kind"] == "busy"


def test_a_target_that_cannot_be_looked_at_keeps_nobody_from_knowing_of_the_others(
    dbtend: CommandLine, shop: Path, tmp_path: Path
) -> None:
    words = ("advise", tmp_path / "missing.db", shop)
    as_text, as_json = dbtend(*words), dbtend(*words, "--json")
    assert (as_text.code, as_json.code) == (1, 1)
    assert as_text.out.startswith(f"sqlite://{shop}\n")
    assert len(as_text.err.splitlines()) == 1
    assert levels(as_json.json)["analyze"] == "small"
    assert [error["kind"] for error in as_json.json["errors"]] == ["target"]


def test_a_store_that_cannot_be_read_is_done_without(dbtend: CommandLine, shop: Path) -> None:
    dbtend.store.parent.mkdir(parents=True)
    dbtend.store.write_text("This is no store of jobs. " * 100)
    for words in (["advise"], ["plan"]):
        result = dbtend(*words, shop, "--json")
        assert result.code == 0
        assert "without the history" in result.err
        assert result.json


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_levels_are_coloured_on_a_terminal(
    dbtend: CommandLine, shop: Path, no_color: str | None, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm"} | ({"NO_COLOR": no_color} if no_color else {})
    with dbtend.start("advise", shop, stdout=theirs, environment=environment) as process:
        os.close(theirs)
        assert process.wait(timeout=60) == 0
        shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert ("\x1b[36msmall\x1b[0m" in shown) is coloured
    assert "small" in shown


def test_long_reasons_are_wrapped_and_untrusted_names_made_visible() -> None:
    advice = Advice(
        operation=Operation.REINDEX, level=Level.NOW, reason="the last check found \x1b[31m" + "index " * 20, gain="all"
    )
    heading, first, *rest = advice_lines("sqlite:///a.db", [advice], width=60, coloured=False)
    assert heading == "sqlite:///a.db"
    assert first.split()[:2] == ["reindex", "now"]
    assert "\\x1b[31m" in first
    assert rest
    assert all(line.startswith(" " * 17 + "index") or line.strip() == "(all)" for line in rest)
    assert all(len(line) < 60 for line in (first, *rest))


def test_what_is_not_known_is_not_said_to_be_well() -> None:
    vacuum = Advice(
        operation=Operation.VACUUM, level=Level.UNKNOWN, reason="no page is free; partly filled pages were not"
    )
    backup = Advice(operation=Operation.BACKUP, level=Level.NONE, reason="none was made here lately")
    _, *lines = advice_lines("sqlite:///a.db", [vacuum, backup], width=None, coloured=False)
    assert [line.split()[1] for line in lines] == ["unknown", "none"]
    assert lines[0].index("no page") == lines[1].index("none was")
    request = Request(target="/srv/a.db", operations=(Operation.VACUUM, Operation.BACKUP))
    summary, *_ = nothing_needed(request, [vacuum, backup])
    assert summary.startswith("a.db needs nothing, as far as is known; unknown: vacuum (dbtend advise --thorough")
    summary, *_ = nothing_needed(request, [replace(vacuum, inspection_can_tell=False), backup])
    assert summary == "a.db needs nothing, as far as is known; unknown: vacuum"


def test_what_has_to_be_put_right_by_hand_is_not_passed_over() -> None:
    check = Advice(
        operation=Operation.CHECK, level=Level.SOON, reason="found 1 orphan: repair it", needs_manual_fix=True
    )
    summary, reason = nothing_needed(Request(target="/srv/a.db", operations=(Operation.CHECK,)), [check])
    assert summary == "a.db needs nothing before what check found is put right"
    assert reason == "  check  found 1 orphan: repair it"


def test_a_plan_gives_the_reason_of_the_advice(dbtend: CommandLine, shop: Path) -> None:
    advised = {one["operation"]: one["reason"] for one in dbtend("advise", shop, "--json").json["advice"]}
    (job,) = dbtend("plan", shop, "--op", "vacuum", "--op", "optimize", "--json").json["jobs"]
    planned = {child["operation"]: child["steps"][0]["reason"] for child in job["children"]}
    assert planned == {operation: advised[operation] for operation in planned}
    assert "partly filled" in planned["vacuum"]


# --needed


def test_only_what_is_needed_runs_until_nothing_is(dbtend: CommandLine, shop: Path) -> None:
    planned = dbtend("plan", "--needed", shop, "--json")
    assert (planned.code, operations(planned.json)) == (0, [["check", "analyze"]])
    first = dbtend("run", "--needed", shop, "--json")
    assert (first.code, operations(first.json)) == (0, [["check", "analyze"]])
    second = dbtend("run", "--needed", shop, "--json")  # one run is enough
    assert (second.code, second.json) == (0, {"batch": None, "jobs": []})
    assert second.err.startswith("dbtend: shop.db ")
    as_text = dbtend("run", "--needed", shop)
    assert (as_text.code, as_text.err) == (0, "")
    summary, *reasons = as_text.out.splitlines()
    assert summary == "shop.db needs nothing"
    assert [line.split()[0] for line in reasons] == [
        one["operation"] for one in dbtend("advise", shop, "--json").json["advice"]
    ]
    assert all(one["reason"] in as_text.out for one in dbtend("advise", shop, "--json").json["advice"])
    assert (dbtend("plan", "--needed", shop).out, dbtend("plan", "--needed", shop, "--json").json) == (
        as_text.out,
        {"jobs": []},
    )
    assert len(dbtend("history", "--json").json["jobs"]) == 1


def test_what_was_asked_for_by_name_runs_whether_needed_or_not(dbtend: CommandLine, shop: Path) -> None:
    result = dbtend("run", "--needed", "--op", "optimize", "--op", "vacuum", shop, "--json")
    assert operations(result.json) == [["optimize", "vacuum"]]
    assert {"--needed", "--op:"} <= {*result.err.split()}
    assert operations(dbtend("plan", "--needed", "--op", "reindex", shop, "--json").json) == [["reindex"]]


def test_what_the_config_names_runs_only_where_it_is_needed(dbtend: CommandLine, shop: Path) -> None:
    dbtend.configure(f'[targets.prod]\nurl = "{shop}"\noperations = ["vacuum", "analyze"]')
    assert operations(dbtend("run", "prod", "--needed", "--json").json) == [["analyze"]]
    assert dbtend("run", "prod", "--needed", "--json").json == {"batch": None, "jobs": []}


def test_of_analyze_and_optimize_the_one_that_the_config_names(dbtend: CommandLine, shop: Path) -> None:
    dbtend.configure(f'[targets.prod]\nurl = "{shop}"\noperations = ["vacuum", "optimize"]')
    assert operations(dbtend("plan", "prod", "--needed", "--json").json) == [["optimize"]]


def test_of_several_targets_only_those_that_need_something(dbtend: CommandLine, shop: Path, sales: Path) -> None:
    dbtend.configure(f'[targets.small]\nurl = "{sales}"\noperations = ["analyze"]')
    result = dbtend("run", "--needed", "small", shop, "--json")
    assert operations(result.json) == [["check", "analyze"]]
    assert result.err.startswith("dbtend: small ")


def test_a_damaged_index_comes_first_and_alone(dbtend: CommandLine, shop: Path) -> None:
    dbtend("run", shop, "--op", "analyze")
    remove_index_entries(shop, "my-index")
    assert dbtend("run", shop, "--op", "check").code == 1
    result = dbtend("run", "--needed", shop, "--json")
    assert (result.code, operations(result.json)) == (0, [["reindex", "check"]])
    assert result.json["jobs"][0]["options"]["objects"] == ["my-index"]


def test_what_somebody_has_to_put_right_is_refused_every_night(dbtend: CommandLine, shop: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copy(shop, tmp_path / "broken.db"))
    with broken.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 4096)
    assert dbtend("run", broken, "--op", "check").code == 1
    for command in ("run", "plan"):
        refused = dbtend(command, broken, "--needed")
        assert (refused.code, refused.out) == (4, "")
        assert refused.err.startswith("dbtend: broken.db: damaged: ")
        assert "(#1)" in refused.err
        assert len(refused.err.splitlines()) == 1
        as_json = dbtend(command, broken, "--needed", "--json")
        assert (as_json.code, as_json.json["jobs"], as_json.err) == (4, [], refused.err)

    others = dbtend("run", broken, shop, "--needed", "--json")
    assert (others.code, operations(others.json)) == (4, [["check", "analyze"]])
    assert others.err.startswith("dbtend: broken.db: damaged: ")
    dbtend.configure(f'[targets.broken]\nurl = "{broken}"\noperations = ["vacuum"]')
    assert dbtend("run", "broken", "--needed").code == 4
    assert dbtend("run", broken, "--op", "check").code == 1

    shutil.copy(shop, broken)
    assert dbtend("run", broken, "--op", "check").code == 0
    assert dbtend("run", broken, "--needed").code == 0


def test_rows_that_break_a_rule_are_refused_until_they_are_mended(dbtend: CommandLine, sales: Path) -> None:
    with closing(sqlite3.connect(sales)) as db:
        db.executescript(
            "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (1)"
        )
    assert dbtend("run", sales, "--op", "analyze", "--op", "check").code == 1
    refused = dbtend("run", sales, "--needed")
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.startswith("dbtend: sales.db: ")
    assert "found 1 orphan" in refused.err
    dbtend.configure(f'[targets.only]\nurl = "{sales}"\noperations = ["vacuum"]')
    assert dbtend("run", "only", "--needed").code == 0


def test_needed_and_left_to_a_worker(dbtend: CommandLine, shop: Path) -> None:
    while dbtend("run", "--needed", shop, "--json").json["jobs"]:
        pass
    result = dbtend("run", "--needed", "--detach", shop, "--json")
    assert (result.code, result.json) == (0, {"batch": None, "jobs": []})


def test_needed_on_what_cannot_be_opened(dbtend: CommandLine, tmp_path: Path) -> None:
    result = dbtend("run", "--needed", tmp_path / "missing.db", "--json")
    assert result.code == 2
    assert result.json["error"]["kind"] == "target"
    assert not dbtend.store.exists()


def test_a_plan_without_a_store_says_too_what_does_not_fit(dbtend: CommandLine, shop: Path) -> None:
    passed = (datetime.now().astimezone() - timedelta(minutes=10)).strftime("%H:%M")
    (job,) = dbtend("plan", shop, "--op", "vacuum", "--until", passed, "--json").json["jobs"]
    assert not dbtend.store.exists()
    assert [step["not_begun"] for step in job["children"][0]["steps"]] == ["time_limit"]


def test_a_plan_goes_by_earlier_runs_of_the_store(dbtend: CommandLine, shop: Path) -> None:
    def estimated_from() -> object:
        (job,) = dbtend("plan", shop, "--op", "reindex", "--json").json["jobs"]
        return job["children"][0]["estimated_from"]

    assert estimated_from() == "a first guess: by size alone"
    assert not dbtend.store.exists()
    dbtend("run", shop, "--op", "reindex")
    assert "earlier runs" in str(estimated_from())
