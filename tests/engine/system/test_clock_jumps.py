"""A clock that is set while something is measured changes no duration."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Engine, Operation, ParentJob, Request, Status
from engine.system.clock import SteadyClock
from tests.sqlite_files import make_database

DAY = 86_400 * 10**9
YEAR = 365 * DAY

ROOT = Path(__file__).parents[3]


class Times:
    """Two sources of nanoseconds that a test sets."""

    def __init__(self) -> None:
        self.wall, self.elapsed = 1_800_000_000 * 10**9, 5 * 10**9

    def pass_by(self, seconds: int) -> None:
        self.wall += seconds * 10**9
        self.elapsed += seconds * 10**9


def test_a_steady_clock_goes_on_whatever_is_set() -> None:
    times = Times()
    clock = SteadyClock(lambda: times.wall, lambda: times.elapsed)
    begin = clock()
    with clock.steady():
        for jump in (DAY, -3 * DAY, YEAR):
            times.pass_by(10)
            times.wall += jump
        assert clock() - begin == 30_000_000
        assert clock.is_off
        with clock.steady():
            times.pass_by(1)
        assert clock() - begin == 31_000_000
    assert clock() == times.wall // 1000
    assert not clock.is_off


def test_a_steady_clock_is_never_behind_what_has_begun() -> None:
    times = Times()
    clock = SteadyClock(lambda: times.wall, lambda: times.elapsed)
    began = clock() + 3_600_000_000  # as the clock was set back since it was submitted
    clock.not_before(began)
    assert clock() < began  # it is not held
    with clock.steady():
        clock.not_before(began)
        times.pass_by(7)
        assert clock() - began == 7_000_000
        clock.not_before(began)
        assert clock() - began == 7_000_000


def jumping(by: int) -> Callable[[], int]:
    """A clock that is set to and fro, each time that it is asked."""
    offsets = itertools.cycle((0, by, -by, 2 * by))
    return lambda: time.time_ns() + next(offsets)


@pytest.mark.parametrize("by", [DAY, -DAY, YEAR], ids=["day", "back", "year"])
async def test_durations_are_those_that_passed(tmp_path: Path, by: int) -> None:
    path = make_database(tmp_path / "a.db", rows=2000)
    began = time.monotonic()
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=SteadyClock(jumping(by))) as engine:
        for _ in range(3):
            (job,) = await engine.submit([Request(target=str(path), operations=(Operation.VACUUM, Operation.REINDEX))])
            (done,) = await engine.wait([job.id])
            assert done.status is Status.COMPLETED
            durations_are_below(done, time.monotonic() - began)


def durations_are_below(job: ParentJob, seconds: float) -> None:
    spans = [(job.started_at, job.finished_at)]
    for child in job.children:
        spans += [(child.started_at, child.finished_at), *((s.started_at, s.finished_at) for s in child.steps)]
        assert child.started_at is not None
        assert all(step.started_at >= child.started_at for step in child.steps)
    for start, end in spans:
        assert start is not None
        assert end is not None
        assert 0 <= end - start <= seconds * 1e6 + 1_000_000


SET_TO_AND_FRO = """
import itertools, time
real, offsets = time.time_ns, itertools.cycle([0, 86_400 * 10**9, -86_400 * 10**9])
time.time_ns = lambda: real() + next(offsets)
"""


def test_a_process_whose_clock_is_set_to_and_fro_measures_right(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SET_TO_AND_FRO)
    path = make_database(tmp_path / "a.db", rows=2000)
    run = [sys.executable, "-m", "tui.cli", "run", str(path), "--json", "--store", str(tmp_path / "jobs.db")]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "XDG_CONFIG_HOME": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60, check=True)
        (job,) = json.loads(done.stdout)["jobs"]
        durations = [job["duration"], *(child["duration"] for child in job["children"])]
        durations += [step["duration"] for child in job["children"] for step in child["steps"]]
        assert all(0 <= seconds < 60 for seconds in durations)
        assert job["duration"] > 0
