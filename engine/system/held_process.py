"""A process by its number, held so that a later one with that number is never meant."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def hold_of(pid: int) -> Iterator[Callable[[signal.Signals], None]]:
    """What sends signals to the process that has this number now, and to no later one. Raises ProcessLookupError."""
    if sys.platform != "linux":
        os.kill(pid, 0)
        yield lambda number: os.kill(pid, number)
        return
    try:
        process = os.pidfd_open(pid)
    except OSError as error:
        if error.errno == errno.EINVAL:  # a thread has this number now
            raise ProcessLookupError(*error.args) from error
        raise
    try:
        yield lambda number: signal.pidfd_send_signal(process, number)
    finally:
        os.close(process)
