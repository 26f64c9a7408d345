"""`dbtend metrics`: the state of a store for Prometheus, as a file for node_exporter or on standard output."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Final

from engine import Engine
from engine.config.model import Config, TargetEntry
from engine.config.watch import ConfigWatch
from engine.domain.due_times import next_due
from engine.domain.errors import ConfigError, DbtendError
from engine.domain.overview import Overview
from engine.domain.schedules import Night, Schedule, ScheduleState
from engine.domain.steps import Micros
from engine.fleet.expansion import expand, may_name_databases
from engine.fleet.patterns import member_name
from engine.fleet.surveyed_elsewhere import is_pattern_elsewhere
from engine.fleet.target_words import configured_entries
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import name_of
from tui.commands.output_file import replace_file
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.presentation import typed_values
from tui.presentation.canonical_urls import canonical
from tui.presentation.exit_codes import OK
from tui.presentation.metrics import metrics_text

_MODE: Final = 0o644
"""The mode of the file: node_exporter is another user."""
_NIGHTS: Final = 10
"""The newest due times of a schedule among which the one is looked for that started jobs."""
_LIST_EVERY: Final = 180.0
"""Seconds between two lists of the targets: whether a file is a database is seen only by opening it."""
_LIST_WITHIN: Final = 5.0
"""Seconds in which directories must list their files."""


def metrics(args: argparse.Namespace, settings: Settings) -> int:
    settings.require_store()
    config, problem = Config(), None
    try:
        config = settings.config()
    except ConfigError as error:
        problem = error
    text = run_async(_text(settings, config, is_readable=problem is None))
    if args.textfile is None:
        output.write(text.decode())
    else:
        replace_file(args.textfile, text, _MODE, settings)
    if problem is not None:
        raise problem
    return OK


async def _text(settings: Settings, config: Config, *, is_readable: bool) -> bytes:
    if not settings.store.exists():
        configured = await ConfiguredTargets().of(config)
        return await _text_of(Overview(at=now()), config, configured, {}, {}, is_readable=is_readable)
    async with settings.engine() as engine:
        overview, states = await engine.overview(), await engine.schedule_states()
        nights = await _nights(engine, config)
        configured = await ConfiguredTargets().of(config)
        return await _text_of(overview, config, configured, states, nights, is_readable=is_readable)


async def metrics_of(engine: Engine, watch: ConfigWatch, targets: ConfiguredTargets) -> bytes:
    """The text for an HTTP answer."""
    await asyncio.to_thread(watch.look)
    overview, states = await engine.overview(), await engine.schedule_states()
    configured = await targets.of(watch.config)
    nights = await _nights(engine, watch.config)
    return await _text_of(overview, watch.config, configured, states, nights, is_readable=watch.problem is None)


async def _nights(engine: Engine, config: Config) -> dict[str, Night]:
    """The newest night of each schedule that started jobs which are on record."""
    found = {}
    for schedule in config.schedules:
        nights = await engine.nights(schedule.name, limit=_NIGHTS)
        if (newest := next((night for night in nights if night.batch is not None), None)) is not None:
            found[schedule.name] = newest
    return found


async def _text_of(
    overview: Overview,
    config: Config,
    configured: Set[str],
    states: Mapping[str, ScheduleState],
    nights: Mapping[str, Night],
    *,
    is_readable: bool,
) -> bytes:
    """With targets in the config file, its schedules included, only these are exported."""
    known = {survey.target for survey in overview.surveys} | {run.target for run in overview.runs}
    return await asyncio.to_thread(
        lambda: metrics_text(
            overview,
            names={url: name_of(url) for url in {*chosen(known, configured_entries(config)), *configured}},
            schedules={
                schedule.name: _next_due(schedule, states.get(schedule.name), overview.at)
                for schedule in config.schedules
            },
            nights=nights,
            config_is_readable=is_readable,
            version=typed_values.version(),
        )
    )


class ConfiguredTargets:
    """The targets of the config file, but for those that only a server or a store could list. No target is opened.

    They are kept from one answer to the next, and listed again in the background.
    """

    def __init__(self) -> None:
        self._found: frozenset[str] = frozenset()
        self._entries: tuple[TargetEntry, ...] = ()
        """Those that were listed last, or are being listed."""
        self._listed_at = -inf
        """By `time.monotonic`."""
        self._listing: asyncio.Task[None] | None = None

    async def of(self, config: Config) -> frozenset[str]:
        """The targets that were listed last; after a change of the config file new ones, unless that takes too long."""
        known = await asyncio.to_thread(configured_entries, config)
        listed_here = [entry for entry in known if not may_name_databases(entry.url)]
        entries = tuple(entry for entry in listed_here if not is_pattern_elsewhere(entry.url))
        is_idle = self._listing is None or self._listing.done()
        if is_idle and (entries != self._entries or monotonic() - self._listed_at > _LIST_EVERY):
            is_new, self._entries = entries != self._entries, entries
            self._listing = asyncio.create_task(self._list(entries))
            if is_new:
                self._listed_at = -inf
        if self._listing is not None and self._listed_at == -inf:
            await asyncio.wait([self._listing], timeout=_LIST_WITHIN)
        return self._found

    async def _list(self, entries: tuple[TargetEntry, ...]) -> None:
        with suppress(DbtendError):  # the last list stays
            found = (await expand(entries, confirm_many=_accept)).targets if entries else ()
            self._found = await asyncio.to_thread(lambda: frozenset(canonical(entry.url) for entry in found))
        self._listed_at = monotonic()


def _accept(pattern: str, number: int) -> None:
    """However many targets there are, the config file names them."""


def _next_due(schedule: Schedule, state: ScheduleState | None, at: Micros) -> Micros | None:
    is_disabled = state is not None and state.disabled_at is not None
    return None if is_disabled else next_due(schedule, at)


def chosen(urls: Iterable[str], entries: Iterable[TargetEntry]) -> list[str]:
    """The targets for which the entries stand; all without entries."""
    patterns = [(canonical(entry.url), entry.exclude) for entry in entries]
    single = {url for url, _ in patterns}
    return [
        url
        for url in urls
        if not patterns or url in single or any(member_name(pattern, url, exclude) for pattern, exclude in patterns)
    ]
