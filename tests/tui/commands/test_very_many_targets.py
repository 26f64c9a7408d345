"""More targets than one usually means, and an exclude that leaves out nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.terminal import Terminal
from engine.fleet import expansion
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tui.command_line import CommandLine

COMMAND = """
import sys
from engine.fleet import expansion
from tui.cli import main
expansion.MANY = 3
sys.exit(main(sys.argv[1:]))
"""
"""`dbtend` for which four targets are very many."""


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    directory = tmp_path / "tenants"
    directory.mkdir()
    for n in range(4):
        make_database(directory / f"t{n}.db", rows=10)
    return directory


@pytest.mark.parametrize(
    "words", [("plan",), ("run", "--op", "analyze"), ("advise",), ("fleet",), ()], ids=lambda words: words[0:1]
)
def test_without_a_terminal_very_many_need_yes(
    dbtend: CommandLine, tenants: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(expansion, "MANY", 3)
    refused = dbtend(*words, tenants)
    assert refused.code == 2
    assert f"{tenants}: there are 4 targets (there is no terminal to ask at: give --yes, or leave" in refused.err
    assert dbtend(*words, tenants, "--exclude", "t0").err.count("there are") == 0
    if words:
        assert dbtend(*words, tenants, "--yes").code == 0


@pytest.mark.parametrize(("typed", "said"), [("4", "4 targets: "), ("yes", "was not typed: nothing was done")])
def test_at_a_terminal_the_number_is_typed(dbtend: CommandLine, tenants: Path, typed: str, said: str) -> None:
    command = [sys.executable, "-c", COMMAND, "fleet", str(tenants)]
    with Terminal(command, environment=dbtend.environment) as terminal:
        terminal.read_until("there are 4 targets")
        terminal.read_until("Type 4 to go on: ")
        terminal.send(f"{typed}\n".encode())
        terminal.read_until(said)


def test_an_exclude_that_matches_nothing_is_told(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("plan", tenants, "--op", "analyze", "--exclude", "t0", "--exclude", "T1", "--exclude", "nothing_*")
    assert result.code == 0
    assert [line for line in result.err.splitlines() if "--exclude" in line] == [
        f"dbtend: --exclude {pattern}: matches no target (it is compared with whole names, paths and databases;"
        " upper and lower case differ)"
        for pattern in ("T1", "nothing_*")
    ]


@pytest.mark.parametrize(("command", "said"), [("plan", "planned "), ("advise", "looked at "), ("fleet", "surveyed ")])
def test_at_a_terminal_a_line_says_how_far_it_is(dbtend: CommandLine, tenants: Path, command: str, said: str) -> None:
    for n in range(4, 8):
        make_database(tenants / f"t{n}.db", rows=10)
    words = [sys.executable, "-m", "tui.cli", command, str(tenants)]
    with Terminal(words, environment=dbtend.environment) as terminal:
        terminal.read_until(f"{said}1 of 8")
        terminal.read_until("8 targets: ")
