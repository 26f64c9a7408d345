"""A password typed anywhere on the command line is not repeated, nor stored."""

from __future__ import annotations

import pytest

from tests.tui.command_line import CommandLine
from tui.commands.command_table import COMMANDS

URL = "postgresql://ann:s3cret@127.0.0.1:1/shop"
PLACES = (
    *([command, URL] for command in COMMANDS),
    [URL],
    [f"x{URL}"],
    ["--", URL],
    ["history", f"--target={URL}"],
    ["history", "--target", URL],
    ["history", f"target:{URL}"],
    ["history", "--since", URL],
    ["run", "sales.db", "--op", URL],
    ["run", "sales.db", f"--nonsense={URL}"],
    ["run", "sales.db", "--backup-to", URL],
    ["run", "host=h password=s3cret"],
    ["show", "1", "--store", URL],
    [f"--config={URL}", "history"],
    ["cancel", "1", "--confirm", URL],
    ["run", "sales.db", "--debug", "--op", URL],
)


@pytest.mark.parametrize("words", PLACES, ids=lambda words: " ".join(words).replace(URL, "URL")[:40])
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["", "json"])
def test_it_is_not_repeated(words: list[str], more: tuple[str, ...], dbtend: CommandLine) -> None:
    result = dbtend(*words, *more) if "--" not in words else dbtend(*more, *words)
    assert result.code == 2
    assert "s3cret" not in result.out + result.err
    assert "password must not" in result.err
    assert not dbtend.store.exists()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"history --store {URL}", "store"),
        (f"history --store={URL}", "store"),
        (f"store init {URL}", "store"),
        (f"run {URL} --op vacuum", "target"),
        (f"run {URL} --op vacuum --store jobs.db", "target"),
    ],
)
def test_it_is_told_what_it_must_not_be_part_of(line: str, what: str, dbtend: CommandLine) -> None:
    assert f"a password must not be part of a {what} (put it" in dbtend(*line.split()).err


@pytest.mark.parametrize("variable", ["DBTEND_STORE", "DBTEND_CONFIG", "DBTEND_READ_ONLY"])
@pytest.mark.parametrize("command", ["history", "doctor", "pause"])
def test_nor_is_that_of_a_variable(
    variable: str, command: str, dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, URL)
    monkeypatch.chdir(dbtend.home.parent)
    result = dbtend(command)
    assert "s3cret" not in result.out + result.err


@pytest.mark.parametrize(
    "text",
    [
        f'[targets.shop]\nurl = "{URL}"\n',
        f'[targets.shop]\nurl = "{URL}\n',
        f'[targets.shop]\nurl = "a.db"\noperations = ["{URL}"]\n',
        f'[targets.shop]\nurl = "a.db"\nlabel = "{URL}"\ncheck = "{URL}"\n',
        f'[defaults]\n"{URL}" = 1\n',
        f'[targets."{URL}"]\n',
    ],
)
@pytest.mark.parametrize("command", ["doctor", "run shop", "plan shop", "advise shop", "history target:shop"])
def test_nor_is_that_of_the_config(text: str, command: str, dbtend: CommandLine) -> None:
    dbtend.configure(text)
    result = dbtend(*command.split())
    assert "s3cret" not in result.out + result.err
