"""The results of `dbtend doctor` and of the page of the doctor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen
from tui.presentation.text import counted


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    PROBLEM = "problem"


@frozen
class Check:
    """One check of the doctor; `fix` says what to do if it is not ok."""

    level: Level
    what: str
    found: str
    fix: str = ""
    is_target: bool = False
    """Whether it is about a database."""
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    """The numbers in `found`, by name."""


_MANY: Final = 5
"""More targets than this that are well are counted, not named."""
_ORDER: Final = (Level.PROBLEM, Level.WARN, Level.OK)


def to_show(checks: Sequence[Check]) -> list[Check]:
    """The checks, problems first; of very many healthy targets only the number."""
    well = [check for check in checks if check.is_target and check.level is Level.OK]
    shown = list(checks)
    if len(well) > _MANY:
        counts = Check(Level.OK, "targets", f"{counted(len(well), 'target')} can be opened")
        shown = [*(check for check in checks if not (check.is_target and check.level is Level.OK)), counts]
    return sorted(shown, key=lambda check: _ORDER.index(check.level))
