"""A result of `dbtend doctor` and of the page of the doctor."""

from __future__ import annotations

from enum import StrEnum

from engine.domain.frozen import frozen


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
