"""Completion by Tab in the real shells: commands, options, their values, files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from tests.tui.command_line import CommandLine
from tests.waiting import wait_until
from tui.commands.command_table import COMMANDS
from tui.commands.completion_script import SHELLS

BASH = """
source ./script
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2)) COMPREPLY=()
"$1" && for word in "${COMPREPLY[@]}"; do echo "$word"; done
"""
# zsh completes at a prompt only: what it finds there is written to a file.
ZSH = r"""
mkdir -p functions && cp script functions/_dbtend
fpath=("$PWD/functions" $fpath)
autoload -Uz compinit && compinit -u -d "$KNOWN_FUNCTIONS"
compadd() {
  if (( ! ${argv[(I)-[ADO]*]} )); then
    local -a found; builtin compadd -O found "$@"; (( $#found )) && print -rl -- $found >> offered
  fi
  builtin compadd "$@"
}
finish() { mv offered complete; exit }
zle -N finish
bindkey "^I" complete-word "^X" finish
touch offered
print ready
"""


def in_bash(line: str) -> list[str]:
    words = line.split(" ")
    return _run(["bash", "-c", BASH, "bash", "_shtab_dbtend", *words]).splitlines()


def in_zsh(line: str) -> list[str]:
    Path("setup").write_text(ZSH)
    complete = Path("complete")
    complete.unlink(missing_ok=True)
    with Terminal(["zsh", "-f", "-i"]) as terminal:
        terminal.send(b"source ./setup\n")
        terminal.read_until("ready")
        terminal.send(line.encode() + b"\t\x18")
        wait_until(complete.exists)
    return complete.read_text().splitlines()


def in_fish(line: str) -> list[str]:
    said = _run(["fish", "--no-config", "-c", "source ./script; complete -C $argv[1]", line])
    return [candidate.partition("\t")[0] for candidate in said.splitlines()]


def _run(command: Iterable[str]) -> str:
    return subprocess.run(
        [*command], capture_output=True, text=True, check=True, timeout=60, stdin=subprocess.DEVNULL
    ).stdout


COMPLETE: Mapping[str, Callable[[str], list[str]]] = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}


@pytest.fixture(params=SHELLS)
def complete(
    request: pytest.FixtureRequest, dbtend: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[str]]:
    """What a shell offers after a line, in a directory with `sales.db`, once it has read dbtend's script."""
    if shutil.which(request.param) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no {request.param} to test with")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    # zsh reads a thousand files for it the first time.
    monkeypatch.setenv("KNOWN_FUNCTIONS", str(Path(tempfile.gettempdir()) / "zcompdump"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "sales.db").touch()
    (tmp_path / "script").write_text(dbtend("completion", request.param).out)
    return COMPLETE[request.param]


def test_the_first_word_is_a_command_or_a_file(complete: Callable[[str], list[str]]) -> None:
    assert set(complete("dbtend re")) == {name for name in COMMANDS if name.startswith("re")}
    assert "sales.db" in complete("dbtend sal")


def test_a_command_completes_its_options_and_no_others(complete: Callable[[str], list[str]]) -> None:
    assert {"--op", "--object", "--on-failure", "--offline"} <= set(complete("dbtend run --o"))
    assert not [option for option in complete("dbtend show --o") if option.startswith("--o")]


def test_an_option_completes_its_values(complete: Callable[[str], list[str]]) -> None:
    assert set(complete("dbtend run sales.db --op vac")) == {"vacuum", "vacuum-full"}
    assert set(complete("dbtend plan --speed ")) == {"gentle", "normal", "full"}
    assert set(complete("dbtend history --status ca")) == {"cancelled"}
    assert set(complete("dbtend completion f")) == {"fish"}


def test_a_target_and_a_path_complete_as_files(complete: Callable[[str], list[str]]) -> None:
    assert "sales.db" in complete("dbtend run sal")
    assert "sales.db" in complete("dbtend run other.db sal")
    assert "sales.db" in complete("dbtend run --backup-to sal")
    assert "sales.db" in complete("dbtend other.db sal")


def test_a_target_completes_as_a_name_from_the_config_file(
    complete: Callable[[str], list[str]], dbtend: CommandLine
) -> None:
    dbtend.configure(
        '[targets.shop]\nurl = "/srv/shop.db"\n[targets."sh op"]\nurl = "/srv/x.db"\n'
        '[targets."sh$(touch evil)"]\nurl = "/srv/y.db"\n[targets."sh\\nx"]\nurl = "/srv/z.db"\n'
    )
    for line in ("dbtend run sh", "dbtend sh", "dbtend advise sales.db sh"):
        assert {word.replace("\\", "") for word in complete(line)} >= {"shop", "sh op", "sh$(touch evil)"}
    assert not Path("evil").exists()
    dbtend.configure("[targets.shop]")  # what is wrong there is said by every other command
    assert complete("dbtend run sal") == ["sales.db"]


def test_what_is_no_option_for_people_is_not_offered(complete: Callable[[str], list[str]]) -> None:
    assert "--passwords-from-stdin" not in complete("dbtend worker --p")
    assert "--detach" not in complete("dbtend plan --d")


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_anything_but_one_known_shell_is_wrong_usage(dbtend: CommandLine, words: list[str]) -> None:
    result = dbtend("completion", *words)
    assert result.code == 2
    assert "bash, zsh, fish" in result.err
