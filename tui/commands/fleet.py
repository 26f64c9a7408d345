"""`dbtend fleet`: many targets, the most urgent first, by their last survey."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from engine.config.model import TargetEntry
from engine.domain.damage import describe
from engine.domain.errors import TargetError, UsageError
from engine.domain.humanize import counted, listed
from engine.domain.server_names import command_word
from engine.domain.surveys import LOST, FleetLevel, Survey
from engine.fleet.expansion import Expansion
from engine.fleet.filters import FleetFilter, fleet_filter, is_filter_word
from engine.fleet.surveyor import Surveyed, survey_of_unlisted
from engine.fleet.target_words import configured_entries
from engine.inspection import inspector
from engine.system.clock import now
from engine.system.current_user import user_at_host
from tui.commands import output
from tui.commands.naming import command, name_of
from tui.commands.passwords import ask_for_missing
from tui.commands.progress_line import ProgressLine
from tui.commands.run_async import run_async
from tui.commands.settings import Settings, with_engine
from tui.commands.targets import expanded, target_entries
from tui.presentation.exit_codes import FAILED, OK
from tui.presentation.survey_format import FleetRow, counts_line, fleet_json, sorted_rows, table
from tui.presentation.text import plain, size

_OLD: Final = 60.0
"""Seconds from which on the age of a survey is shown."""
_NAMED: Final = 3
"""Databases that a notice names; the others are counted."""
_TROUBLE: Final = {FleetLevel.CRITICAL, FleetLevel.UNREACHABLE}


def fleet(args: argparse.Namespace, settings: Settings) -> int:
    settings.require_store()
    words = [word for word in args.words if not is_filter_word(word)]
    meant = fleet_filter([*filter(is_filter_word, args.words), *(f"level:{level}" for level in args.only or ())])
    if args.forget and args.accept_damage:
        raise UsageError("--forget", "it excludes --accept-damage", "run them one after the other")
    if args.forget and not args.words:
        raise UsageError("--forget", "no TARGET was given", "such as: dbtend fleet --forget /srv/tenants/t3.db")
    if args.accept_damage and not args.words:
        raise UsageError("--accept-damage", "no TARGET was given", "such as: dbtend fleet --accept-damage shop")
    entries = _entries(words, settings)
    found = expanded(entries, args, settings.store)
    with suppress(TargetError):  # the survey says why
        ask_for_missing([entry.url for entry in found.targets])
    rows = run_async(_rows(found, settings, refresh=args.refresh))
    shown = [row for row in rows if meant.matches(row.entry, row.survey, now())]
    if args.forget:
        return _forget(shown, settings, as_json=args.json)
    if args.accept_damage:
        return run_async(_accept_damage(shown, settings, as_json=args.json))
    if args.json:
        output.document(fleet_json(shown))
    else:
        output.line("\n".join(_lines(rows, shown, meant)))
    if lost := [command_word(row.survey.target) for row in rows if _is_lost(row.survey)]:
        more = f" (and {counted(len(lost) - _NAMED, 'other')})" if len(lost) > _NAMED else ""
        output.notice(f"if a database may be gone: {command('fleet --forget ' + ' '.join(lost[:_NAMED]))}{more}")
    return FAILED if any(row.survey.level in _TROUBLE for row in rows) else OK


def _entries(words: Sequence[str], settings: Settings) -> Sequence[TargetEntry]:
    config = settings.config()
    if words:
        return target_entries(words, config)
    if not (entries := configured_entries(config)):
        why = "no TARGET was given, and the config file names none"
        raise UsageError("fleet", why, "such as: dbtend fleet '/srv/tenants/*.db'")
    return entries


async def _rows(found: Expansion, settings: Settings, *, refresh: bool) -> list[FleetRow]:
    """The most urgent first."""
    total = len(found.targets)
    surveyed: list[Surveyed] = [survey_of_unlisted(one, now()) for one in found.unlisted]
    async with settings.engine() as engine:
        with ProgressLine(total) as progress:
            async for one in engine.survey(found.targets, refresh=refresh):
                surveyed.append(one)
                progress.show(lambda: _so_far(surveyed, total))
        urls = [one.survey.target for one in surveyed]
        last_jobs, next_due = await engine.last_jobs(urls), await engine.next_due(urls, settings.config())
    return sorted_rows(
        FleetRow(one.entry, one.survey, last_jobs.get(one.survey.target), next_due.get(one.survey.target))
        for one in surveyed
    )


def _forget(rows: Sequence[FleetRow], settings: Settings, *, as_json: bool) -> int:
    """Forget those that are gone, or no database any more."""
    lost = [row.survey.target for row in rows if _is_lost(row.survey)]
    if not lost:
        why = "none of these databases is gone, emptied or overwritten"
        raise UsageError("--forget", why, "remove other targets from the config file, or exclude them")
    with_engine(settings.engine(), lambda engine: engine.forget_databases(lost))
    if as_json:
        output.document({"forgotten": lost})
    else:
        output.line("\n".join(f"{plain(name_of(url))} forgotten" for url in lost))
    return OK


async def _accept_damage(rows: Sequence[FleetRow], settings: Settings, *, as_json: bool) -> int:
    """Take note of damage, and survey again, as the level is another one then."""
    async with settings.engine() as engine:
        taken = {row.survey.target: await engine.accept_damage(row.survey.target, user_at_host()) for row in rows}
        damaged = [row for row in rows if taken[row.survey.target]]
        if not damaged:
            why = "none of these databases has damage on record that a person can take note of"
            raise UsageError("--accept-damage", why, "dbtend fleet shows what is known")
        async for _ in engine.survey([row.entry for row in damaged], refresh=True):
            pass
    texts = {row.survey.target: describe(taken[row.survey.target]) for row in damaged}
    if as_json:
        output.document({"accepted": [{"target": url, "damage": text} for url, text in texts.items()]})
    else:
        output.line("\n".join(f"{plain(name_of(url))}: taken note of: {plain(text)}" for url, text in texts.items()))
    return OK


def _is_lost(survey: Survey) -> bool:
    return survey.reason is not None and survey.reason.cause in LOST


def _so_far(surveyed: Sequence[Surveyed], total: int) -> str:
    return f"surveyed {len(surveyed):,} of {total:,}; {counts_line(one.survey.level for one in surveyed)}"


def _lines(rows: Sequence[FleetRow], shown: Sequence[FleetRow], meant: FleetFilter) -> list[str]:
    """The counts of all, then the table of the wanted ones, then the possible gain."""
    lines = [counts_line(row.survey.level for row in rows)]
    if meant != FleetFilter():
        lines.append(f"{len(shown):,} shown")
    if shown:
        lines += ["", *table(shown, now(), output.terminal_width())]
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
