"""Schedules as units of systemd and lines of cron, for those who run no permanent worker. Pure functions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim

from engine.domain.errors import UsageError
from engine.domain.schedules import Schedule
from engine.domain.time_zones import has_machine_time, zone_named

_DAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def systemd_units(schedules: Sequence[Schedule], command: Sequence[str]) -> Iterator[str]:
    """The lines of a service and a timer for each schedule, each after a comment with its file name.

    `command`: runs a schedule that is added as its last word. Raises UsageError.
    """
    for schedule in schedules:
        unit = f"dbtend-{schedule.name}"
        words = " ".join(map(_systemd_word, [*command, schedule.name]))
        yield from (
            f"# ~/.config/systemd/user/{unit}.service",
            "[Unit]",
            f"Description=dbtend schedule {schedule.name}",
            "",
            "[Service]",
            "Type=oneshot",
            f"ExecStart={words}",
            "SuccessExitStatus=3 5",
            "KillMode=mixed",
            "TimeoutStopSec=60",
            "",
            f"# ~/.config/systemd/user/{unit}.timer",
            "[Unit]",
            f"Description=dbtend schedule {schedule.name}",
            "",
            "[Timer]",
            *(f"OnCalendar={event}" for event in calendar_events(schedule)),
            f"Persistent={'true' if schedule.catch_up else 'false'}",
            "AccuracySec=1s",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        )


def cron_lines(schedules: Sequence[Schedule], command: Sequence[str]) -> Iterator[str]:
    """The lines of a crontab. Raises UsageError for what only dbtend understands.

    The cron of Debian and Ubuntu ignores CRON_TZ: a line of another zone would start at another time, unseen.
    """
    for schedule in schedules:
        _, _, day, _, weekday = schedule.start.lower().split()
        if "l" in day or "#" in weekday or re.search(r"\dl", weekday):
            raise _not_for_cron(schedule, f"{schedule.start} is not understood by cron")
        if not has_machine_time(schedule.timezone):
            machine = zone_named("").key
            raise _not_for_cron(schedule, f"its times are those of {schedule.timezone}, and cron uses {machine}")
        yield f"{schedule.start} {shlex.join([*command, schedule.name]).replace('%', chr(92) + '%')}"


def _not_for_cron(schedule: Schedule, why: str) -> UsageError:
    return UsageError(f"schedule {schedule.name}", why, "use --systemd, or a permanent worker")


def calendar_events(schedule: Schedule) -> list[str]:
    """The calendar events of systemd at which a schedule is due. Raises UsageError."""
    cron = CronSim(schedule.start, datetime(2026, 1, 1, tzinfo=UTC))
    if CronSim.LAST_WEEKDAY in cron.days:
        why = f"systemd has nothing like LW in {schedule.start}"
        raise UsageError(f"schedule {schedule.name}", why, "use a permanent worker")
    time = f"{_numbers(cron.hours, range(24))}:{_numbers(cron.minutes, range(60))}:00"
    months = _numbers(cron.months, range(1, 13))
    by_day, by_weekday = _days(cron.days), _weekdays(cron.weekdays)
    if cron.day_and:
        dates = [_and(day, weekday) for day in by_day for weekday in by_weekday]
    else:
        dates = [*[(day, "") for day in by_day], *by_weekday]
    zone = f" {schedule.timezone}" if schedule.timezone else ""
    return [f"{weekday + ' ' if weekday else ''}*-{months}{day} {time}{zone}" for day, weekday in dates]


def _and(day: str, of_weekday: tuple[str, str]) -> tuple[str, str]:
    """Only one of the two is restricted, or the weekday is not one of those that are counted."""
    counted_day, weekday = of_weekday
    return (counted_day if day == "-*" else day), weekday


def _days(days: Collection[int]) -> list[str]:
    """The days of a month, as systemd has them behind the month."""
    numbers = {day for day in days if day > 0}
    found = [f"-{_numbers(numbers, range(1, 32))}"] if numbers else []
    return [*found, "~01"] if CronSim.LAST in days else found


def _weekdays(items: Collection[object]) -> list[tuple[str, str]]:
    """The days of a month and the weekdays of them."""
    plain = {item % 7 for item in items if isinstance(item, int)}
    found = [("-*", "" if len(plain) == len(_DAYS) else ",".join(_DAYS[day] for day in sorted(plain)))] if plain else []
    for item in items:
        if isinstance(item, tuple):
            day, nth = item
            place = "~07/1" if nth == CronSim.LAST else f"-{nth * 7 - 6:02}..{min(nth * 7, 31):02}"
            found.append((place, _DAYS[day % 7]))
    return found


def _numbers(numbers: Collection[int], every: range) -> str:
    if len(set(numbers)) == len(every):
        return "*"
    return ",".join(f"{number:02}" for number in sorted(numbers))


def _systemd_word(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    is_plain = escaped == word and word and not any(char.isspace() or char in "'\"" for char in word)
    return word if is_plain else f'"{escaped}"'
