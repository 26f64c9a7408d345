"""No name, id, error or command makes a terminal obey, or turns the order of letters round: not in JSON either."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest

from tests.tui.command_line import CommandLine
from tui.commands import output
from tui.console import clipboard

HOSTILE = "a\x1b[2J\x07\x9b31m\u202eb\u2066c\u2028d\x7fe\u200bf\U000e0041"


def harmful(text: str) -> set[str]:
    return {c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}}


def test_the_hostile_name_is_harmful() -> None:
    assert len(harmful(HOSTILE)) == 9


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    path = tmp_path / f"{HOSTILE}.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f'CREATE TABLE "{HOSTILE}" (id INTEGER PRIMARY KEY, name TEXT)')
        db.execute(f'CREATE INDEX "i{HOSTILE}" ON "{HOSTILE}" (name)')
        db.execute(f'INSERT INTO "{HOSTILE}" VALUES (1, ?)', (HOSTILE,))
        db.commit()
    return path


def test_what_is_printed_of_a_hostile_database_is_harmless(dbtend: CommandLine, hostile: Path) -> None:
    assert dbtend("run", hostile, "--op", "reindex", "--op", "analyze", "--op", "check").code == 0
    dbtend.configure(f'[targets.shop]\nurl = "{toml(str(hostile))}"\nlabel = "{toml(HOSTILE)}"\n')
    for words in (
        ("plan", hostile), ("plan", "shop"), ("advise", hostile), ("advise", "shop"), ("show", "1"), ("show", "1.1"),
        ("history",), ("doctor", hostile), ("workers",), ("run", "shop", "--op", "analyze"), ("retry", "1"),
    ):  # fmt: skip
        for more in ((), ("--json",)):
            result = dbtend(*words, *more)
            assert (result.code, harmful(result.out + result.err)) == (0, set())


def toml(text: str) -> str:
    return "".join(f"\\U{ord(char):08x}" for char in text)


def test_what_is_typed_is_repeated_harmlessly(dbtend: CommandLine) -> None:
    for words in (("show", HOSTILE), ("cancel", f"1{HOSTILE}"), (HOSTILE,), ("run", HOSTILE), (f"--{HOSTILE}",),
                  ("run", "x.db", "--op", HOSTILE), ("history", "--since", HOSTILE), ("history", HOSTILE),
                  ("show", "1", "--store", f"/{HOSTILE}"), ("doctor", "--config", f"/{HOSTILE}")):  # fmt: skip
        for more in ((), ("--json",)):
            result = dbtend(*words, *more)
            assert not harmful(result.out + result.err)


def test_json_escapes_what_it_need_not_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    values = [HOSTILE, "plain", "Grüße 北京", "\ud800", "tab\there", "\N{NO-BREAK SPACE}"]
    output.document({"values": values})
    written = capsys.readouterr().out
    assert not harmful(written)
    assert json.loads(written) == {"values": [r"\ud800" if value == "\ud800" else value for value in values]}
    assert "Grüße 北京" in written


def test_what_is_copied_is_harmless(tmp_path: Path) -> None:
    file = tmp_path / "copied.txt"
    said = asyncio.run(clipboard.copy("it", f"one {HOSTILE}\ntwo", print, file, {"TERM": "dumb"}))
    assert said.startswith("Written to")
    copied = file.read_text()
    assert not harmful(copied)
    assert copied.startswith("one a\\x1b[2J")
    assert copied.endswith("\ntwo")


def test_no_blanks_follow_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.line("name   \n  of a longer one  \n")
    assert capsys.readouterr().out == "name\n  of a longer one\n\n"
