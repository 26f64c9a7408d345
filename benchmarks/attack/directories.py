"""Directories of attacks, which go at the end."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PATIENCE: Final = 30.0
"""Seconds in which worker processes that were left behind write their last."""


@contextmanager
def attack_directory() -> Iterator[str]:
    """A new directory, removed with all that is in it."""
    directory = tempfile.mkdtemp(prefix="dbtend-attack-")
    try:
        yield directory
    finally:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                shutil.rmtree(directory)
                break
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)
