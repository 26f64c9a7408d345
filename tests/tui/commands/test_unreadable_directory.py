"""A directory that this user may not read, as a target and in a pattern: its known databases are not forgotten."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine, Result
from tui.presentation.exit_codes import FAILED, OK, USAGE

_UNPRIVILEGED = """
import ctypes, os, sys
for capability in (1, 2):  # to read what the mode forbids, as root may
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # not after the next exec
os.execv(sys.executable, [sys.executable, "-m", "tui.cli", *sys.argv[1:]])
"""


def run(dbtend: CommandLine, *words: str | Path) -> Result:
    """With the rights of a user that is not root."""
    command = [sys.executable, "-c", _UNPRIVILEGED, *map(str, words)]
    environment = {**os.environ, **dbtend.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[Path]:
    """`a.db`, and `b.db` and `c.db` in a directory below that nobody may read; the fleet knows all three."""
    directory = tmp_path / "tenants"
    (directory / "sub").mkdir(parents=True)
    first = make_database(directory / "a.db", rows=5)
    for name in ("b.db", "c.db"):
        shutil.copy(first, directory / "sub" / name)
    yield directory
    (directory / "sub").chmod(0o755)


@pytest.fixture
def known(dbtend: CommandLine, tenants: Path) -> Path:
    assert dbtend("fleet", tenants).code == OK
    (tenants / "sub").chmod(0)
    return tenants


@pytest.mark.parametrize("where", ["sub", "sub/*.db", "*/*.db", "s*/[bc].db"])
def test_its_known_databases_are_unreachable_and_not_forgotten(dbtend: CommandLine, known: Path, where: str) -> None:
    found = run(dbtend, "fleet", known / where, "--json")
    assert (found.code, found.err) == (FAILED, "")
    assert {row["name"]: row["level"] for row in found.json["targets"]} == dict.fromkeys("bc", "unreachable")
    done = run(dbtend, "run", known / where, "--op", "check", "--json")
    assert done.code == FAILED
    assert [job["children"][0]["reason"] for job in done.json["jobs"]] == ["unreachable"] * 2
    metrics = dbtend("metrics").out
    assert len(re.findall(r'^dbtend_target_level{.*level="unreachable".*/[bc]\.db"} 1', metrics, re.MULTILINE)) == 2


@pytest.mark.parametrize("where", ["", "**/*.db"])
def test_below_a_directory_it_is_told_beside_what_can_be_read(dbtend: CommandLine, known: Path, where: str) -> None:
    rows = json.loads(run(dbtend, "fleet", known / where, "--json").out)["targets"]
    levels = {row["name"]: row["level"] for row in rows}
    assert levels == {"a": "unchecked", **dict.fromkeys(["b", "c", "sub/"], "unreachable")}
    done = run(dbtend, "run", known / where, "--op", "check", "--json")
    assert (done.code, [job["status"] for job in done.json["jobs"]]) == (FAILED, ["completed"] + ["failed"] * 3)


@pytest.mark.parametrize(
    ("command", "where"),
    [
        *((command, where) for command in ("run", "fleet", "plan") for where in ("sub", "sub/*.db", "sub/x*/*.db")),
        ("run", "sub/b.db"),
        ("plan", "sub/b.db"),
    ],
)
def test_where_nothing_is_known_it_is_one_sentence(
    dbtend: CommandLine, tenants: Path, command: str, where: str
) -> None:
    (tenants / "sub").chmod(0)
    done = run(dbtend, command, tenants / where)
    assert (done.code, done.out, done.err.count("\n")) == (USAGE, "", 1)
    assert "ermission" in done.err


@pytest.mark.parametrize("option", ["--store", "--config"])
@pytest.mark.parametrize("command", ["history", "run", "fleet", "metrics"])
def test_a_store_and_a_config_file_below_it_are_one_sentence(
    dbtend: CommandLine, tenants: Path, command: str, option: str
) -> None:
    (tenants / "sub").chmod(0)
    targets = [tenants / "a.db"] if command in {"run", "fleet"} else []
    done = run(dbtend, command, *targets, option, tenants / "sub" / "own")
    assert (done.code, done.out, done.err.count("\n")) == (USAGE, "", 1)
    assert "Permission denied (" in done.err
