"""What tests write goes with their process, also if that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from tests.scratch import make_scratch
print(own := make_scratch(), flush=True)
(own / "file").touch()
if not os.fork():
    sys.exit()
os.wait()
assert (own / "file").exists()
sys.stdin.read()
"""


def test_what_a_process_made_is_removed_at_its_end_or_by_the_next_one() -> None:
    with _process() as killed, _process() as other:
        left, theirs = _scratch(killed), _scratch(other)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with _process() as next_one:
            own = _scratch(next_one)
            assert not left.exists()
            assert theirs.exists()
            next_one.communicate(timeout=30)
            assert next_one.returncode == 0
        assert not own.exists()
        other.communicate(timeout=30)
    assert not theirs.exists()


def _process() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _scratch(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())
