"""Whether a schedule has targets at all, by the config file and the files of this host."""

from __future__ import annotations

import asyncio

from engine.config.model import Config
from engine.domain.errors import DbtendError
from engine.domain.schedules import Schedule
from engine.fleet.expansion import expand
from engine.fleet.surveyed_elsewhere import is_pattern_elsewhere
from engine.fleet.target_words import entries_named
from engine.inspection import inspector


async def no_targets(schedule: Schedule, config: Config) -> str:
    """Why it has no targets; "" if it has some, or a server or a shared store would have to be asked."""
    try:
        entries = await asyncio.to_thread(entries_named, schedule.targets, config)
        if any(_is_asked_for(entry.url) for entry in entries):
            return ""
        found = await expand(entries, exclude=schedule.exclude, confirm_many=_accept)
    except DbtendError as error:
        return str(error)
    if found.targets:
        return ""
    return str(found.unlisted[0].error) if found.unlisted else "its targets are no databases, or are excluded"


def _is_asked_for(url: str) -> bool:
    """Whether a server or a shared store says what it stands for. Raises UsageError, NotAvailableError."""
    return not inspector.engine_of(url).is_file or is_pattern_elsewhere(url)


def _accept(pattern: str, number: int) -> None:
    """However many targets there are, the schedule names them."""
