"""Parses the typed values of options. Pure, apart from the clock for relative dates."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine import JobId, JobOutcome, Operation, StoreLocation
from engine.domain.batches import BatchId, Order, parse_id
from engine.domain.errors import UsageError
from engine.domain.lazy_import import lazy
from engine.domain.masking import holds_password
from engine.domain.number_types import Seconds, Whole
from engine.domain.surveys import FleetLevel
from engine.domain.value_types import ANY_HOST, Choice, FilePath, QueueName, Text

if TYPE_CHECKING:
    from importlib import metadata
else:
    metadata = lazy("importlib.metadata", "it takes a tenth of the start")

OPERATIONS: Final = tuple(operation.value for operation in Operation)
LOOPBACK: Final = "127.0.0.1"
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def version() -> str:
    return metadata.version("dbtend")


def refuse_password(word: str, *, names_store: bool) -> None:
    """Whatever the word is meant as, and without repeating it: who lists the processes here has seen it by now."""
    if holds_password(word):
        scheme = re.search(r"\w+:/{1,2}", word)
        raise UsageError(
            f"{scheme[0]}..." if scheme else "host=...",
            f"a password must not be part of a {'store' if names_store else 'target'}",
            "put it where the database's own tools look: ~/.pgpass, a libpq service file, or ~/.my.cnf",
        )


def path(typed: str) -> Path:
    return Path(FilePath().parse(typed))


def store(typed: str) -> StoreLocation:
    return StoreLocation.parse(typed)


operation: Final[Callable[[str], Operation]] = Choice("operation", Operation).parse
status: Final[Callable[[str], JobOutcome]] = Choice("status", JobOutcome).parse
fleet_level: Final[Callable[[str], FleetLevel]] = Choice("level", FleetLevel).parse
text: Final = Text().parse
seconds: Final = Seconds().parse
limit: Final = Whole("limit", 1_000_000).parse
order: Final[Callable[[str], Order]] = Choice("order", Order).parse
many: Final = Whole("number", 1_000_000).parse


def listen_address(typed: str) -> tuple[str, int]:
    """Read `9187` or `0.0.0.0:9187`."""
    host, _, port = typed.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65_536) or typed == f":{port}":
        raise UsageError(repr(typed), "is no port, and no ADDRESS:PORT", "such as 9187 or 192.0.2.1:9187")
    return host.strip("[]") or LOOPBACK, int(port)


def job_id(typed: str) -> JobId:
    try:
        return JobId.parse(typed)
    except ValueError:
        raise UsageError(repr(typed), "is no job id", "job ids look like 42 or 42.2; see dbtend history") from None


def job_or_batch_id(typed: str) -> JobId | BatchId:
    try:
        return parse_id(typed)
    except ValueError:
        hint = "job ids look like 42 or 42.2, those of batches like b17; see dbtend history"
        raise UsageError(repr(typed), "is no job id", hint) from None


def batch_number(typed: str) -> int:
    """Read `17` or `b17`."""
    try:
        return BatchId.parse(typed if typed[:1] in {"b", "B"} else f"b{typed}").number
    except ValueError:
        raise UsageError(repr(typed), "is no batch id", "batch ids look like b17") from None


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


def queue(typed: str) -> str:
    """A queue that a worker serves. Raises UsageError."""
    return typed if typed == ANY_HOST else QueueName().parse(typed)
