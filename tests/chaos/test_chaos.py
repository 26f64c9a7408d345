"""Real processes on one store and several databases, killed and stopped: nothing is lost, run twice, or untrue."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.chaos.checker import Finding, Kind
from tests.chaos.instruments import Plant
from tests.chaos.stopped_host import stop_in_the_middle
from tests.chaos.storm import Storm, rage

SEED = int(os.environ.get("DBTEND_CHAOS_SEED", "1"))


@pytest.mark.long
async def test_r7_r8_processes_killed_and_stopped_at_random_lose_and_break_nothing(tmp_path: Path) -> None:
    aftermath = await rage(Storm(seed=SEED, signals=30, seconds=60), tmp_path)
    assert aftermath.findings == [], f"seed {SEED}: {aftermath.counts}\n{aftermath.output}"
    assert "dbtend: " not in aftermath.output
    assert "Traceback" not in aftermath.output
    happened = {what for what, count in aftermath.counts.items() if count}
    assert happened >= {"processes killed", "submissions", "executions", "rescues"}


async def test_a_process_that_was_stopped_keeps_its_job(tmp_path: Path) -> None:
    assert await stop_in_the_middle(tmp_path) == []


async def test_the_checker_sees_a_living_process_declared_dead(tmp_path: Path) -> None:
    findings = await stop_in_the_middle(tmp_path, second=[Plant.LIAR])
    assert kinds(findings) == {Kind.OVERLAP}


async def test_the_checker_sees_a_finish_without_a_fence(tmp_path: Path) -> None:
    findings = await stop_in_the_middle(tmp_path, first=[Plant.UNFENCED], second=[Plant.LIAR])
    assert kinds(findings) == {Kind.OVERLAP, Kind.FINISH}


def kinds(findings: Iterable[Finding]) -> set[Kind]:
    return {finding.kind for finding in findings}
