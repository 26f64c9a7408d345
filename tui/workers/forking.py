"""Child processes that share what this process has imported and keeps in memory."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from engine.domain.errors import StoreError

FAILED: Final = 1
"""The exit code of a child that did not get as far as to return one."""
log = logging.getLogger("dbtend")


def fork(work: Callable[[], int]) -> int:
    """Run `work` in a child, which ends with the exit code that it returns; the child's process id.

    To be called where there is no other thread, and no database is open. Raises StoreError where there can be no more
    processes.
    """
    _flush()
    try:
        pid = os.fork()
    except OSError as error:
        raise cannot_start(error) from error
    if pid:
        return pid
    code = FAILED
    try:
        code = work()
    except Exception as error:
        log.error("process %s: %s: %s", os.getpid(), type(error).__name__, error)
    finally:
        _flush()
        os._exit(code)


def cannot_start(error: OSError) -> StoreError:
    """What it means that the system has no more processes, or none of what they take."""
    return StoreError("worker process", f"cannot be started: {error.strerror}", "see ulimit -a, and the memory")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
