"""The man page: groff renders it without a warning, it has every command, and the wheel carries it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from docs.generator.files import MAN_PAGE
from tui.commands.command_table import COMMANDS
from tui.presentation.exit_codes import MEANINGS

ROOT = MAN_PAGE.parents[1]


def rendered() -> str:
    """The page as a terminal shows it, without its bold and underlined letters."""
    if shutil.which("groff") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no groff to render it with")
    command = ["groff", "-ww", "-man", "-Tutf8", "-P-cbou", str(MAN_PAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_it_renders_without_warnings_and_has_every_command_and_exit_code() -> None:
    page = rendered()
    assert {name for name in COMMANDS if f"usage: dbtend {name}" not in page} == set()
    statuses = page.partition("EXIT STATUS")[2]
    assert [int(number) for number in re.findall(r"^ +(\d+) ", statuses, re.MULTILINE)] == list(MEANINGS)


def test_the_wheel_carries_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("engine", "tui", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import setuptools.build_meta as build; build.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("dbtend-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (page,) = (name for name in archive.namelist() if name.endswith("share/man/man1/dbtend.1"))
        assert archive.read(page) == MAN_PAGE.read_bytes()
        assert not [name for name in archive.namelist() if name.startswith("docs/")]
