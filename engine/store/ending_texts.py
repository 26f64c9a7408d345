"""The errors that are stored for children whose worker process died, was killed or left: no process could tell them."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Final

NOT_RECOVERED: Final = "its process died, and the database has not been recovered"
DONE_SINCE: Final = "it was interrupted, and a later job has done the same since"
HANDED_BACK: Final = "it was handed back at a shutdown, and has not run since"
RECOVERY_DIED_TOO: Final = "and so did the one that looked at the database after it"
DIED_BEFORE_ITS_STOP: Final = "its process died before it could stop"
KILLED: Final = "its process was killed"
OVERWRITTEN: Final = "the file was overwritten while it was read"
RECOVERY_FAILED: Final = f"{DIED_BEFORE_ITS_STOP}, {RECOVERY_DIED_TOO}"
PHRASES: Final[Mapping[str, str]] = {
    "not_recovered": NOT_RECOVERED,
    "handed_back": HANDED_BACK,
    "done_since": DONE_SINCE,
    "recovery_died_too": RECOVERY_DIED_TOO,
    "recovery_failed": RECOVERY_FAILED,
    "killed": KILLED,
    "overwritten": OVERWRITTEN,
}
"""The phrases by the name under which the functions of the shared store use them."""

_CRASHES: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}


def format_worker_death(times: int, signal_number: int | None = None) -> str:
    """The text for a worker process that died `times` times; `signal_number`: the signal, if known."""
    crash = next((crash.name for crash in _CRASHES if crash == signal_number), None)
    how = f"crashed ({crash})" if crash else "died"
    return f"the process that ran it {how}" + (f", {times:,} times" if times > 1 else "")
