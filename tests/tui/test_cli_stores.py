"""Stores that cannot be used: each is told in one line, by every command, with --read-only as without."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.engine.test_read_only import everything_below
from tests.tui.command_line import CommandLine

PAGE = 4096
TELL = ("history", "show 1", "workers")
CHANGE = ("pause", "run sales.db", "cancel 1", "worker")


def newer(store: Path) -> None:
    with closing(sqlite3.connect(store)) as file:
        file.execute("PRAGMA user_version = 99")
        file.commit()


def noise(store: Path) -> None:
    store.write_bytes(b"this is no database, not at all " * 64)


def damaged(store: Path) -> None:
    content = store.read_bytes()
    store.write_bytes(content[: 2 * PAGE] + b"\xa5" * (len(content) - 2 * PAGE))


def foreign(store: Path) -> None:
    store.unlink()
    with closing(sqlite3.connect(store)) as file:
        file.execute("CREATE TABLE item(id)")


def directory(store: Path) -> None:
    store.unlink()
    store.mkdir()


BROKEN: dict[Callable[[Path], None], str] = {
    newer: "was written by a newer dbtend (store version 99, this one knows",
    noise: "is not a store of dbtend (give another path with --store)",
    damaged: "is damaged (move it away to start a new one, or restore it from a backup)",
    foreign: "is a database, but not a store of dbtend (give another path with --store)",
    directory: "is a directory (give the path of a file with --store)",
}


@pytest.mark.parametrize("line", [*TELL, *(f"{line} --read-only" for line in TELL), *CHANGE])
@pytest.mark.parametrize("how", BROKEN, ids=lambda how: how.__name__)
def test_it_is_a_sentence(
    how: Callable[[Path], None],
    line: str,
    sales: Path,
    dbtend: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(sales.parent)
    dbtend("pause")
    how(dbtend.store)
    before = everything_below(dbtend.home)
    said = dbtend(*line.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"dbtend: {dbtend.store}: {BROKEN[how]}")
    assert said.err.count("\n") == 1
    if "--read-only" in line:
        assert everything_below(dbtend.home) == before


def test_the_doctor_tells_of_a_job_that_was_changed_by_hand(dbtend: CommandLine, sales: Path) -> None:
    dbtend("run", sales, "--op", "analyze")
    with closing(sqlite3.connect(dbtend.store)) as file:
        file.execute("UPDATE child_job SET before = '[]'")
        file.commit()
    doctor = dbtend("doctor")
    assert doctor.code == 1
    assert "is damaged, or was changed by hand: job #1: facts are []" in doctor.out
