"""What the pages propose for cron, run as cron runs it: with a short environment, no terminal, by `sh`."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks
from tests.docs.test_commands import Place

LINES = sorted(
    line.split(maxsplit=5)[5]
    for page in PAGES
    for block in blocks(page)
    if block.language == "cron"
    for line in block.text.splitlines()
)
REPORTS_JOBS = "dbtend run "
"""What begins so prints the jobs that it ran: cron mails them, as a page says."""


def as_cron(line: str, place: Place) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(place.directory), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-c", line], cwd=place.directory, env=environment, stdin=subprocess.DEVNULL, text=True,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (tmp_path / "srv" / "www").mkdir()
    (tmp_path / "collected").mkdir()
    return place


@pytest.mark.parametrize("line", LINES)
def test_a_line_says_nothing_while_all_is_well(place: Place, line: str) -> None:
    here = place.here(line).replace("/var/lib/node_exporter/textfile", str(place.directory / "collected"))
    for _ in range(2):
        done = as_cron(here, place)
        assert (done.returncode, done.stderr) == (0, "")
        assert line.startswith(REPORTS_JOBS) or done.stdout == ""


def test_the_lines_of_a_schedule_say_nothing_that_is_due_and_not(place: Place) -> None:
    later = datetime.now() + timedelta(hours=3)
    place.configure(
        '[schedules.now]\nstart = "* * * * *"\ntargets = ["/srv/*.db"]\noperations = "needed"\n'
        f'[schedules.later]\nstart = "0 {later.hour} * * *"\ntargets = ["/srv/*.db"]\n'
    )
    listed = as_cron("dbtend schedules --cron", place)
    assert (listed.returncode, listed.stderr) == (0, "")
    for line in listed.stdout.splitlines():
        for _ in range(2):
            done = as_cron(line.split(maxsplit=5)[5], place)
            assert (done.returncode, done.stderr) == (0, "")
            assert line.endswith("now") or done.stdout == ""


def test_there_are_lines() -> None:
    assert len(LINES) >= 5
