"""`dbtend metrics`: the state of a store for Prometheus, as a file for node_exporter or on standard output."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from engine import Engine
from engine.config.model import Config, TargetEntry
from engine.domain.due_times import next_due
from engine.domain.errors import ConfigError, DbtendError
from engine.domain.overview import Overview
from engine.domain.schedules import Schedule, ScheduleState
from engine.domain.steps import Micros
from engine.fleet.expansion import expand, may_name_databases
from engine.fleet.membership import member_name
from engine.schedules.config_watch import ConfigWatch
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import name_of
from tui.commands.output_file import replace_file
from tui.commands.settings import Settings
from tui.presentation import typed_values
from tui.presentation.canonical_urls import canonical
from tui.presentation.exit_codes import OK
from tui.presentation.metrics import metrics_text

_MODE: Final = 0o644
"""Of the file: node_exporter is another user."""
_LIST_WITHIN: Final = 5.0
"""Seconds in which directories must list their files."""


def metrics(args: argparse.Namespace, settings: Settings) -> int:
    config, problem = Config(), None
    try:
        config = settings.config()
    except ConfigError as error:
        problem = error
    text = asyncio.run(_text(settings, config, is_readable=problem is None))
    if args.textfile is None:
        output.write(text.decode())
    else:
        replace_file(args.textfile, text, _MODE, settings)
    if problem is not None:
        raise problem
    return OK


async def _text(settings: Settings, config: Config, *, is_readable: bool) -> bytes:
    if not settings.store.exists():
        return await _text_of(Overview(at=now()), config, {}, is_readable=is_readable)
    async with settings.engine() as engine:
        return await _text_of(await engine.overview(), config, await engine.schedule_states(), is_readable=is_readable)


async def metrics_of(engine: Engine, watch: ConfigWatch) -> bytes:
    """The text for an HTTP answer."""
    await asyncio.to_thread(watch.look)
    overview, states = await engine.overview(), await engine.schedule_states()
    return await _text_of(overview, watch.config, states, is_readable=watch.problem is None)


async def _text_of(
    overview: Overview, config: Config, states: Mapping[str, ScheduleState], *, is_readable: bool
) -> bytes:
    """With targets in the config file, only these are told of."""
    known = {one.target for one in overview.surveys} | {one.target for one in overview.runs}
    configured = await _configured(config)
    return await asyncio.to_thread(
        lambda: metrics_text(
            overview,
            names={url: name_of(url) for url in {*chosen(known, config.targets), *configured}},
            schedules={one.name: _next_due(one, states.get(one.name), overview.at) for one in config.schedules},
            config_is_readable=is_readable,
            version=typed_values.version(),
        )
    )


async def _configured(config: Config) -> set[str]:
    """The targets of the config file, but for those that only a server could list. No target is opened."""
    entries = [entry for entry in config.targets if not may_name_databases(entry.url)]
    if not entries:
        return set()
    try:
        async with asyncio.timeout(_LIST_WITHIN):
            found = (await expand(entries, confirm_many=_accept)).targets
            return await asyncio.to_thread(lambda: {canonical(entry.url) for entry in found})
    except (DbtendError, TimeoutError):
        return set()


def _accept(pattern: str, number: int) -> None:
    """However many targets there are, the config file names them."""


def _next_due(schedule: Schedule, state: ScheduleState | None, at: Micros) -> Micros | None:
    is_disabled = state is not None and state.disabled_at is not None
    return None if is_disabled else next_due(schedule, at)


def chosen(urls: Iterable[str], entries: Iterable[TargetEntry]) -> list[str]:
    """Those of these targets for which the entries stand; all without entries."""
    by_url = {canonical(entry.url): entry for entry in entries}
    return [
        url
        for url in urls
        if not by_url
        or url in by_url
        or any(member_name(pattern, url, entry.exclude) for pattern, entry in by_url.items())
    ]
