"""One level per target: the fleet, both panes of the console, `advise` and `run --needed` agree."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from engine import Engine, FleetLevel, Level
from engine.config.model import TargetEntry
from engine.domain.surveys import URGENCY
from tests.postgres_databases import Database
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tui.console.views.lists import TargetState, operation_rows, target_rows

_LEVELS: Final = {"none": "ok", "primary": "ok", "-": "ok"}


def most_urgent(words: list[str]) -> str:
    levels = [FleetLevel(_LEVELS.get(word, word)) for word in words]
    return min(levels, key=URGENCY.__getitem__).value


async def panes(dbtend: CommandLine, target: str) -> tuple[str, str, str]:
    """The words of pane 1 with the survey and without it, and the most urgent one of pane 2."""
    entry = TargetEntry(name="it", url=target)
    async with Engine.open(dbtend.store) as engine:
        info, advice = await engine.inspect_and_advise(target, budget=3.0, limits=entry.thresholds)
        (survey,) = [one.survey async for one in engine.survey([entry])]
    states = [
        TargetState(entry, info=info, advice=advice, survey=survey),
        TargetState(entry, info=info, advice=advice),
    ]
    words = [target_rows({0: state}, 0, 60)[0].spans[-1][0].strip() for state in states]
    rows = operation_rows(info.operations, advice, (), None, width=60, height=200)
    verdicts = [row.text.split()[-1] for row in rows if row.text.startswith("[")]
    known = {*FleetLevel, *_LEVELS}
    return words[0], words[1], most_urgent([word for word in verdicts if word in known])


def assert_all_agree(dbtend: CommandLine, target: str, level: str) -> None:
    (row,) = dbtend("fleet", target, "--refresh", "--json").json["targets"]
    advice = dbtend("advise", target, "--json").json["advice"]
    advised = most_urgent(
        [one["facts"].get("severity", one["level"]) for one in advice if one["facts"].get("is_known", True)]
    )
    assert (row["level"], advised, *asyncio.run(panes(dbtend, target))) == (level,) * 5
    called_for = {
        one["operation"]
        for one in advice
        if one["level"] != Level.NONE and not one["facts"].get("by_hand") and one["facts"].get("is_known", True)
    }
    run = dbtend("run", "--needed", target, "--json", "--yes")
    ran = {child["operation"] for job in run.json["jobs"] for child in job["children"]} if run.out.strip() else set()
    assert ran <= called_for
    assert bool(ran) == bool(called_for)


def test_of_a_small_file(dbtend: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE t (a, b); CREATE INDEX t_a ON t (a)")
        db.executemany("INSERT INTO t VALUES (?, 'x')", [(n,) for n in range(1_000)])
        db.commit()
    assert dbtend("run", path, "--op", "check").code == 0
    assert_all_agree(dbtend, str(path), "small")


def test_of_a_file_that_was_never_checked(dbtend: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")
    assert_all_agree(dbtend, str(path), "unchecked")


def test_of_a_damaged_file(dbtend: CommandLine, tmp_path: Path) -> None:
    path = make_database(tmp_path / "shop.db", rows=2_000)
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\x13" * 4096)
    assert dbtend("run", path, "--op", "check").code == 1
    assert_all_agree(dbtend, str(path), "critical")


def test_of_a_server_with_small_tables(dbtend: CommandLine, database: Database) -> None:
    database(
        "CREATE EXTENSION amcheck",
        "CREATE TABLE item (id int PRIMARY KEY, name text)",
        "INSERT INTO item SELECT g, 'name ' || g FROM generate_series(1, 2000) AS g",
        "DELETE FROM item WHERE id % 2 = 0",
    )
    assert dbtend("run", database.url, "--op", "check").code == 0
    assert_all_agree(dbtend, database.url, "small")
