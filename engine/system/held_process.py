"""A process by its number, held so that a later one with that number is never meant."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    import subprocess
else:
    subprocess = lazy("subprocess", "only a cancel by force needs it")

_ANSWERS_IN: Final = 10.0
"""Seconds within which `ps` must answer."""


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


def parent_of(pid: int) -> int:
    """The number of its parent process. Raises ProcessLookupError."""
    if Path("/proc/self/stat").exists():
        try:
            return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError as error:
            raise ProcessLookupError(*error.args) from error
    asked = ["/bin/ps", "-o", "ppid=", "-p", str(pid)]
    try:
        told = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_ANSWERS_IN
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessLookupError(pid) from error
    if not told.stdout.strip().isdigit():
        raise ProcessLookupError(pid)
    return int(told.stdout)
