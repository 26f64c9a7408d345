"""`dbtend fleet`: many targets, the most urgent first, by their last survey."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from engine import Engine
from engine.config.model import TargetEntry
from engine.domain.errors import TargetError, UsageError
from engine.domain.humanize import counted, listed
from engine.domain.server_names import names_server
from engine.domain.surveys import FleetLevel
from engine.fleet.expansion import Expansion
from engine.fleet.filters import FleetFilter, fleet_filter, is_filter_word
from engine.fleet.surveyor import Surveyed, survey_of_unlisted
from engine.fleet.target_words import configured_entries
from engine.fleet.vanished import vanished
from engine.inspection import inspector
from engine.system.clock import now
from tui.commands import output
from tui.commands.naming import name_of
from tui.commands.passwords import ask_for_missing
from tui.commands.progress_line import ProgressLine
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.targets import expanded, target_entries
from tui.presentation.canonical_urls import canonical
from tui.presentation.exit_codes import FAILED, OK
from tui.presentation.survey_format import FleetRow, counts_line, fleet_json, sorted_rows, table
from tui.presentation.text import plain, size

_OLD: Final = 60.0
"""Seconds from which on the age of a survey is shown."""
_MOST_GONE: Final = 5
"""Databases that are no longer there, by name; of more their number."""


def fleet(args: argparse.Namespace, settings: Settings) -> int:
    words = [word for word in args.words if not is_filter_word(word)]
    meant = fleet_filter([*filter(is_filter_word, args.words), *(f"level:{level}" for level in args.only or ())])
    entries = _entries(words, settings)
    found = expanded(entries, args, settings.store)
    with suppress(TargetError):  # the survey says why
        ask_for_missing([entry.url for entry in found.targets])
    rows, gone = run_async(_rows(found, args.exclude or (), settings, refresh=args.refresh))
    shown = [row for row in rows if meant.matches(row.entry, row.survey, now())]
    if args.json:
        output.document(fleet_json(shown))
    else:
        output.line("\n".join(_lines(rows, shown, meant)))
    if gone:
        output.notice(f"no longer there: {listed([plain(name_of(url)) for url in gone], _MOST_GONE)}")
    return FAILED if any(row.survey.level is FleetLevel.UNREACHABLE for row in rows) else OK


def _entries(words: Sequence[str], settings: Settings) -> Sequence[TargetEntry]:
    config = settings.config()
    if words:
        return target_entries(words, config)
    if not (entries := configured_entries(config)):
        why = "no TARGET was given, and the config file names none"
        raise UsageError("fleet", why, "such as: dbtend fleet '/srv/tenants/*.db'")
    return entries


async def _rows(
    found: Expansion, exclude: Sequence[str], settings: Settings, *, refresh: bool
) -> tuple[list[FleetRow], list[str]]:
    """The most urgent first, and the URLs of those that are no longer there."""
    total = len(found.targets)
    surveyed: list[Surveyed] = [survey_of_unlisted(one, now()) for one in found.unlisted]
    async with settings.engine() as engine:
        with ProgressLine(total) as progress:
            async for one in engine.survey(found.targets, refresh=refresh):
                surveyed.append(one)
                progress.show(lambda: _so_far(surveyed, total))
        urls = [one.survey.target for one in surveyed]
        last_jobs, next_due = await engine.last_jobs(urls), await engine.next_due(urls, settings.config())
        gone = await _vanished(engine, found, exclude, is_shared=settings.store.is_shared)
    rows = sorted_rows(
        FleetRow(one.entry, one.survey, last_jobs.get(one.survey.target), next_due.get(one.survey.target))
        for one in surveyed
    )
    return rows, gone


async def _vanished(engine: Engine, found: Expansion, exclude: Sequence[str], *, is_shared: bool) -> list[str]:
    """The URLs of databases that patterns found lately, and not now. Databases of other hosts are left out."""
    listed_now = {target.pattern: target for target in found.targets if target.pattern}
    own = [url for url in listed_now if not (is_shared and (names_server(url) or inspector.elsewhere(url)))]
    if not own:
        return []
    left_out = [place for places in found.left_out.values() for place in places]
    there = inspector.canonical_urls([*(target.url for target in found.targets), *left_out])
    return vanished(
        (await engine.overview()).surveys,
        [(canonical(url), (*exclude, *listed_now[url].exclude)) for url in own],
        {*there.values()},
        [canonical(one.entry.url) for one in found.unlisted],
        now(),
    )


def _so_far(surveyed: Sequence[Surveyed], total: int) -> str:
    return f"surveyed {len(surveyed):,} of {total:,}; {counts_line(one.survey.level for one in surveyed)}"


def _lines(rows: Sequence[FleetRow], shown: Sequence[FleetRow], meant: FleetFilter) -> list[str]:
    """The counts of all, then the table of the wanted ones, then the possible gain."""
    lines = [counts_line(row.survey.level for row in rows)]
    if meant != FleetFilter():
        lines.append(f"{len(shown):,} shown")
    if shown:
        is_wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        lines += ["", *table(shown, now(), None if is_wide else shutil.get_terminal_size().columns)]
    if reclaimable := sum(row.survey.reclaimable for row in shown):
        lines += ["", f"{size(reclaimable)} reclaimable in all"]
    age = (now() - min((row.survey.surveyed_at for row in shown), default=now())) / 1e6
    if age >= _OLD:
        of_others = any(inspector.elsewhere(row.survey.target) for row in shown)
        where = " (of a file of another host: only there)" if of_others else ""
        lines += ["", f"the oldest survey was made {int(age // 60)} min ago; --refresh makes them again{where}"]
    return lines + _outdated(shown)


def _outdated(rows: Sequence[FleetRow]) -> list[str]:
    """What to do about files of other hosts whose last job has made their survey untrue: it is not made again here."""
    hosts = [
        host
        for row in rows
        if row.last_job is not None and (row.last_job.ran_until or 0) > row.survey.surveyed_at
        if (host := inspector.elsewhere(row.survey.target)) is not None
    ]
    if not hosts:
        return []
    there = listed([plain(host) for host in sorted(set(hosts))])
    return ["", f"surveyed before the last job: {counted(len(hosts), 'target')}; dbtend fleet on {there} surveys again"]
