"""A short form of the attacks in benchmarks/attack, with mutants that are the same every time."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("attack", "count"),
    [("databases", 40), ("database-runs", 3), ("stores", 5), ("command-lines", 60), ("configs", 12), ("limits", 30)],
)
def test_mutants_are_met_with_plain_sentences(attack: str, count: int) -> None:
    command = [sys.executable, "-m", "benchmarks.attack", attack, "--count", str(count), "--seed", "17"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (said.returncode, said.stderr) == (0, ""), said.stdout
    assert said.stdout.rstrip().endswith(": 0 findings")
