"""A test that hangs ends at its time limit, also where what it leaves behind hangs, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HANGS = """
import asyncio
from contextlib import suppress

from tests import conftest

conftest.CLEANED_UP_WITHIN = 0.5

async def ignores_its_cancel():
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1)

async def test_hangs():
    task = asyncio.create_task(ignores_its_cancel())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
"""


def test_a_task_that_ignores_its_cancel_keeps_no_run_up(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(HANGS)
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-o", "timeout=1"]
    command = [sys.executable, "-m", "pytest", *options, str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "test_hangs failed, and its cleanup hangs" in ended.stderr
