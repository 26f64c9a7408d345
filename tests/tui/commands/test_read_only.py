"""`--read-only`: commands that read work; all others refuse at once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.engine.test_read_only import everything_below
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine, command_line
from tui.commands.arguments import COMMANDS

TELL = (
    "history",
    "show 1",
    "plan sales.db",
    "advise sales.db",
    "fleet sales.db",
    "map sales.db",
    "doctor sales.db",
    "workers",
    "prune --dry-run",
    "notify",
    "metrics",
    "report --html /dev/null",
    "schedules",
    "completion bash",
)
CHANGE = (
    "run sales.db",
    "run sales.db --detach",
    "cancel 1",
    "cancel 1 --force --confirm 1.1",
    "retry 1",
    "pin 1",
    "unpin 1",
    "prune",
    "pause",
    "resume",
    "notify ops --test",
    "schedules --run nightly",
    "schedules --disable nightly",
    "worker --idle-exit 0",
    "demo",
    "store init postgresql://127.0.0.1:1/jobs",
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("prepared")
    with command_line(directory / "home") as dbtend:
        assert dbtend("run", make_database(directory / "sales.db", rows=10), "--op", "analyze").code == 0
    return directory


@pytest.fixture
def home(prepared: Path, dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything lies, after a job."""
    directory = dbtend.home.parent
    shutil.copytree(prepared, directory, dirs_exist_ok=True)
    monkeypatch.chdir(directory)
    return directory


def test_every_command_either_tells_or_changes_something() -> None:
    assert {line.split()[0] for line in (*TELL, *CHANGE)} == set(COMMANDS)


@pytest.mark.parametrize("line", CHANGE)
def test_what_would_change_something_is_refused_in_a_line(line: str, home: Path, dbtend: CommandLine) -> None:
    before = everything_below(home)
    refused = dbtend(*line.split(), "--read-only")
    assert (refused.code, refused.out) == (2, "")
    command = line.split()[0]
    assert refused.err.startswith(f"dbtend: dbtend {command}: ")
    assert "unset DBTEND_READ_ONLY" in refused.err
    assert refused.err.count("\n") == 1
    assert everything_below(home) == before


@pytest.mark.parametrize("line", TELL)
def test_what_only_tells_says_the_same_and_leaves_no_trace(line: str, home: Path, dbtend: CommandLine) -> None:
    usual = dbtend(*line.split())
    before = everything_below(home)
    shown = dbtend("--read-only", *line.split())
    assert (shown.code, without_the_machine(shown.out), shown.err) == (
        usual.code,
        without_the_machine(usual.out),
        usual.err,
    )
    assert everything_below(home) == before


def without_the_machine(text: str) -> str:
    """The text, without what is free on the machine, and without the time: both change between two commands."""
    text = re.sub(r"^(dbtend_collected\w+) .*", r"\1 now", text, flags=re.MULTILINE)
    return re.sub(r"[\d.]+ \wB (available|free)", r"something \1", text)


def test_by_the_environment(home: Path, dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBTEND_READ_ONLY", "1")
    assert dbtend("pause").code == 2
    assert dbtend("pause", "--json").json["error"]["kind"] == "read_only"
    assert dbtend("history").code == 0
    monkeypatch.setenv("DBTEND_READ_ONLY", "0")
    assert dbtend("pause").code == 0
    monkeypatch.setenv("DBTEND_READ_ONLY", "maybe")
    refused = dbtend("pause")
    assert (refused.code, refused.err.startswith("dbtend: DBTEND_READ_ONLY='maybe': ")) == (2, True)


def test_without_a_store_none_is_made(dbtend: CommandLine, sales: Path) -> None:
    assert "no store yet" in dbtend("history", "--read-only").err
    assert dbtend("advise", sales, "--read-only").code == 0
    assert dbtend("plan", sales, "--read-only").code == 0
    assert not dbtend.store.exists()
