"""Parses the typed values of options. Pure, apart from the clock for relative dates."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from engine import CheckLevel, JobId, OnFailure, Operation, Status
from engine.config.model import MAX_ANALYSIS_LIMIT, MAX_JOBS, MAX_WORKERS
from engine.domain.errors import UsageError
from engine.domain.humanize import parse_duration, span
from engine.domain.masking import holds_password
from engine.domain.requests import MAX_WAIT
from engine.domain.time_limits import is_time_of_day

OPERATIONS: Final = tuple(operation.value for operation in Operation)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_Choice = TypeVar("_Choice", bound=StrEnum)


def version() -> str:
    import importlib.metadata  # it costs a tenth of the start, and only --version and doctor ask for it

    return importlib.metadata.version("dbtend")


def refuse_password(word: str) -> None:
    """Whatever the word is meant as, and without repeating it: who lists the processes here has seen it by now."""
    if holds_password(word):
        scheme = re.search(r"\w+:/{1,2}", word)
        raise UsageError(
            f"{scheme[0]}..." if scheme else "host=...",
            "a password must not be part of a target",
            "put it where the database's own tools look: ~/.pgpass, a libpq service file, or ~/.my.cnf",
        )


def text(typed: str) -> str:
    if not typed:
        raise UsageError("an empty value", "says nothing", "leave the option out, or give it a value")
    return typed


def path(typed: str) -> Path:
    if "://" in typed:
        raise UsageError(repr(typed), "is a URL, and not the path of a file", "give a path")
    return Path(text(typed)).expanduser().absolute()


def flag(typed: str) -> bool:
    """What an environment variable says that is on or off."""
    if (word := typed.strip().lower()) in {"1", "true", "yes", "on"}:
        return True
    if word in {"", "0", "false", "no", "off"}:
        return False
    raise UsageError(repr(typed), "is neither on nor off", "give 1 or 0")


def operation(typed: str) -> Operation:
    return _one_of(typed, Operation, "operation")


def on_failure(typed: str) -> OnFailure:
    return _one_of(typed, OnFailure, "value of --on-failure")


def on_step_failure(typed: str) -> OnFailure:
    return _one_of(typed, OnFailure, "value of --on-step-failure")


def status(typed: str) -> Status:
    return _one_of(typed, Status, "status")


def seconds(typed: str) -> float:
    try:
        value = float(typed)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e9:
        raise UsageError(repr(typed), "is no number of seconds", "give 0 or more, such as 5 or 0.5")
    return value


def time_limit(typed: str) -> float:
    try:
        return parse_duration(typed)
    except ValueError:
        raise UsageError(repr(typed), "is no time limit", "give a duration such as 90s, 30m, 2h or 1h30m") from None


def wait(typed: str) -> float:
    """For how long something is waited for; `0s`: not at all."""
    try:
        value = parse_duration(typed)
    except ValueError:
        value = math.inf
    if value > MAX_WAIT:
        hint = f"give a duration up to {span(MAX_WAIT)}, such as 90s, 30m, 2h or 1h30m"
        raise UsageError(repr(typed), "is no duration", hint)
    return value


def time_of_day(typed: str) -> str:
    if not is_time_of_day(typed):
        raise UsageError(repr(typed), "is no time of day", "give HH:MM, such as 06:00")
    return typed.zfill(5)


def check_level(typed: str) -> CheckLevel:
    return _one_of(typed, CheckLevel, "level of a check")


def jobs(typed: str) -> int:
    return _whole(typed, "number of objects at once", MAX_JOBS)


def analysis_limit(typed: str) -> int:
    """0 for all rows, as SQLite counts."""
    return _whole(typed, "number of rows", MAX_ANALYSIS_LIMIT, least=0)


def workers(typed: str) -> int:
    return _whole(typed, "number of workers", MAX_WORKERS)


def limit(typed: str) -> int:
    return _whole(typed, "limit", 1_000_000)


def job_id(typed: str) -> JobId:
    try:
        return JobId.parse(typed)
    except ValueError:
        raise UsageError(repr(typed), "is no job id", "job ids look like 42 or 42.2; see dbtend history") from None


def parent_id(typed: str) -> int:
    job = job_id(typed)
    if job.ordinal is not None:
        raise UsageError(typed, "names one operation of a job", f"give the job itself: {job.parent}")
    return job.parent


def since(typed: str, now: datetime | None = None) -> int:
    return _micros(moment(typed, now or datetime.now().astimezone()))


def until(typed: str, now: datetime | None = None) -> int:
    """A bare date means its last moment."""
    end = moment(typed, now or datetime.now().astimezone())
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", typed):
        end += timedelta(days=1, microseconds=-1)
    return _micros(end)


def moment(typed: str, now: datetime) -> datetime:
    """A date, a date and time (local where it names no zone), or an age such as `7d`. Raises UsageError."""
    age = re.fullmatch(r"([0-9]{1,6})([mhdw])", typed)
    try:
        if age:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.fromisoformat(typed).astimezone()
    except (ValueError, OverflowError):
        hint = "give 2026-11-24, 2026-11-24T15:00, or an age such as 30m, 12h, 7d, 2w"
        raise UsageError(repr(typed), "is no date", hint) from None


def _micros(when: datetime) -> int:
    return round(when.timestamp() * 1_000_000)


def _whole(typed: str, noun: str, most: int, *, least: int = 1) -> int:
    if not (typed.isascii() and typed.isdigit() and least <= int(typed[:9]) <= most and len(typed) < 9):
        raise UsageError(repr(typed), f"is no {noun}", f"give a whole number from {least} to {most:,}")
    return int(typed)


def _one_of(typed: str, choices: type[_Choice], noun: str) -> _Choice:
    known = [choice.value for choice in choices]
    try:
        return choices(typed)
    except ValueError:
        close = get_close_matches(typed.lower(), known, 1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise UsageError(repr(typed), f"is no {noun}", f"{meant}known: {', '.join(known)}") from None
