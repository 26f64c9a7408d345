"""Maintenance that is killed in the middle leaves a sound database with the same content, and is brought to its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.sqlite_kills import kill_at_random

SEED = int(os.environ.get("DBTEND_CHAOS_SEED", "1"))
KILLS = 12
ROWS = 20_000


@pytest.mark.long
async def test_r7_killed_at_random_moments_no_database_is_harmed(tmp_path: Path) -> None:
    toll = await kill_at_random(tmp_path, seed=SEED, kills=KILLS, rows=ROWS, killed_twice=0)
    output = (tmp_path / "output").read_text()
    assert toll.findings == [], f"seed {SEED}: {toll}\n{output}"
    assert toll.kills.total() == KILLS
    assert toll.taken_over
    assert "Traceback" not in output
