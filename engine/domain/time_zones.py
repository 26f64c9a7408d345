"""Time zones by name, and that of the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

_LOCALTIME: Final = Path("/etc/localtime")
_ZONES: Final = "zoneinfo/"


def zone_named(name: str) -> ZoneInfo:
    """The zone of this name, such as `Europe/Berlin`; of "" that of the machine. Raises ValueError."""
    if not name:
        return _machine_zone()
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # no such zone, a directory, or a name that leads out of it
        raise ValueError(name) from None


def has_machine_time(name: str) -> bool:
    """Whether the zone of this name has the same time as that of the machine in each hour of a year."""
    zone, machine = zone_named(name), zone_named("")
    hours = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(366 * 24))
    return all(at.astimezone(zone).utcoffset() == at.astimezone(machine).utcoffset() for at in hours)


def _machine_zone() -> ZoneInfo:
    """The zone by TZ and /etc/localtime, as libc reads them; UTC if neither names one."""
    given = os.environ.get("TZ", "").removeprefix(":")
    candidates = [given] if given else [str(_LOCALTIME.resolve()).rpartition(_ZONES)[2]]
    for name in candidates:
        with suppress(OSError, ValueError, KeyError):
            return ZoneInfo(name)
    with suppress(OSError, ValueError), _LOCALTIME.open("rb") as file:
        return ZoneInfo.from_file(file, key="localtime")
    return ZoneInfo("UTC")
