"""The errors of children that end without a process that could tell why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.humanize import OVERWRITTEN

NOT_RECOVERED: Final = "its process died, and the database has not been recovered"
HANDED_BACK: Final = "it was handed back at a shutdown, and has not run since"
RECOVERY_DIED_TOO: Final = "and so did the one that looked at the database after it"
RECOVERY_FAILED: Final = f"its process died before it could stop, {RECOVERY_DIED_TOO}"
KILLED: Final = "its process was killed"
PHRASES: Final[Mapping[str, str]] = {
    "not_recovered": NOT_RECOVERED,
    "handed_back": HANDED_BACK,
    "recovery_died_too": RECOVERY_DIED_TOO,
    "recovery_failed": RECOVERY_FAILED,
    "killed": KILLED,
    "overwritten": OVERWRITTEN,
}
"""By the name under which the functions of the shared store use them."""
