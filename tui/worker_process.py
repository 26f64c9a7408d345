"""Starts the detached worker process that outlives the console."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

IDLE_EXIT_SECONDS = 60


def start_worker(store: Path) -> None:
    """Start `dbtend worker` in a session of its own, so that a dropped terminal does not end it.

    What it has to say goes to `worker.log` in the store's own directory.
    """
    directory = store.with_name(store.name + ".d")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tui.cli", "worker", "--idle-exit", str(IDLE_EXIT_SECONDS), "--store", str(store)]
    with (directory / "worker.log").open("ab") as log:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
