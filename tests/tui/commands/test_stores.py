"""Stores that cannot be used: every command gives one line, with --read-only as without."""

from __future__ import annotations

import os
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
        file.execute("PRAGMA user_version = 999")
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


def fifo(store: Path) -> None:
    store.unlink()
    os.mkfifo(store)


BROKEN: dict[Callable[[Path], None], str] = {
    newer: "was written by a newer dbtend (store version 999, this one knows",
    noise: "is not a store of dbtend (give another path with --store)",
    damaged: "is damaged (move it away to start a new one, or restore it from a backup)",
    foreign: "is a database, but not a store of dbtend (give another path with --store)",
    directory: "is a directory (give the path of a file with --store)",
    fifo: "is no ordinary file (give the path of a file with --store)",
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


@pytest.mark.parametrize("line", ["history", "history --read-only", "pause", "doctor"])
@pytest.mark.parametrize("device", ["/dev/null", "/dev/full", "/dev/zero"])
def test_a_device_is_no_store_and_its_mode_is_nobodys_business(device: str, line: str, dbtend: CommandLine) -> None:
    said = dbtend(*line.split(), "--store", device)
    assert said.code != 0
    assert device in said.out + said.err
    assert "no ordinary file" in said.out + said.err
    assert "chmod" not in said.out + said.err


@pytest.mark.parametrize("line", ["history", "pause"])
def test_what_lies_beside_a_store_is_a_file_too(line: str, dbtend: CommandLine) -> None:
    dbtend("pause")
    journal = f"{dbtend.store}-journal"
    os.mkfifo(journal)
    said = dbtend(line)
    assert (said.code, said.err.startswith(f"dbtend: {journal}: ")) == (2, True)
    assert "no ordinary file" in said.err


@pytest.mark.parametrize("line", ["history", "pause", "doctor", "worker"])
@pytest.mark.parametrize("url", ["mysql://u@h/d", "sqlite:///jobs.db", "file:///tmp/jobs.db"])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_url_is_no_path_and_makes_no_directory(
    by: str, url: str, line: str, dbtend: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBTEND_STORE", url)
    said = dbtend(line, *(["--store", url] if by == "option" else []))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"dbtend: '{url}': ")
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_tells_of_a_job_that_was_changed_by_hand(dbtend: CommandLine, sales: Path) -> None:
    dbtend("run", sales, "--op", "analyze")
    with closing(sqlite3.connect(dbtend.store)) as file:
        file.execute("UPDATE child_job SET before = '[]'")
        file.commit()
    doctor = dbtend("doctor")
    assert doctor.code == 1
    assert "job #1: facts " in doctor.out
