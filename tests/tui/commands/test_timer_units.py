"""Schedules as units of systemd and as lines of cron: systemd itself reads them, and means the same times."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.domain.due_times import due_times
from engine.domain.errors import UsageError
from engine.domain.schedules import Schedule
from tui.commands.timer_units import calendar_events, cron_lines, systemd_units

BEGIN = datetime(2026, 11, 27, 12, tzinfo=ZoneInfo("Europe/Berlin"))
COMMAND = ["/usr/bin/env", "dbtend", "schedules", "--config", "/etc/my 100%/$config.toml", "--run"]


def schedule(start: str, timezone: str = "Europe/Berlin", catch_up: float = 0) -> Schedule:
    return Schedule(name="nightly", targets=("a",), start=start, timezone=timezone, catch_up=catch_up)


@pytest.mark.parametrize(
    "start",
    [
        "0 22 * * *",
        "30 2 * * mon-fri",
        "*/20 1-3 * * *",
        "0 4 1 * *",
        "0 4 1,15 * *",
        "0 0 29 2 *",
        "0 5 L * *",
        "0 6 * * 1#2",
        "0 6 * * sun#5",
        "0 6 * * 5L",
        "15 6 13 * fri",
        "0 6 */2 * mon",
        "59 23 31 12 *",
        "0 3 * 1,7 7",
    ],
)
def test_systemd_means_the_same_times(start: str, systemd_analyze: str) -> None:
    due = [one // 1_000_000 for one in islice(due_times(schedule(start), round(BEGIN.timestamp()) * 1_000_000), 6)]
    found = set[int]()
    for event in calendar_events(schedule(start)):
        said = subprocess.run(
            [systemd_analyze, "calendar", "--iterations=6", f"--base-time=@{round(BEGIN.timestamp())}", event],
            env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
        )
        for utc in re.findall(r"(?:\(in UTC\)|Next elapse|Iteration #\d+): \w+ ([-\d]+ [:\d]+) UTC", said.stdout):
            found.add(round(datetime.fromisoformat(f"{utc}+00:00").timestamp()))
    assert sorted(found)[:6] == due


def complaints(systemd_analyze: str, *units: Path) -> list[str]:
    """What systemd says of these units; as units of the system, as it needs no session for that."""
    said = subprocess.run(
        [systemd_analyze, "verify", "--system", "--man=no", *units], capture_output=True, text=True, check=False
    )
    return [line for line in said.stderr.splitlines() if "dbtend" in line]


def test_the_units_are_sound(systemd_analyze: str, tmp_path: Path) -> None:
    lines = list(systemd_units([schedule("0 22 * * *", catch_up=60), schedule("0 6 13 * fri")], COMMAND))
    paths = []
    for line in lines:
        if found := re.fullmatch(r"# ~/.config/systemd/user/(\S+)", line):
            paths.append(tmp_path / found[1])
            paths[-1].write_text("")
        else:
            with paths[-1].open("a") as file:
                file.write(f"{line}\n")
    assert complaints(systemd_analyze, *paths) == []
    paths[1].write_text(paths[1].read_text().replace("OnCalendar=*", "OnCalendar=nonsense"))
    assert complaints(systemd_analyze, *paths) != []
    assert 'ExecStart=/usr/bin/env dbtend schedules --config "/etc/my 100%%/$$config.toml" --run nightly' in lines


def test_lines_of_cron_in_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for zone in ("Europe/Berlin", "Europe/Madrid"):
        monkeypatch.setenv("TZ", zone)
        (line,) = cron_lines([schedule("0 22 * * mon-fri")], COMMAND)
        assert line.startswith("0 22 * * mon-fri /usr/bin/env dbtend ")


# Havana and New York have the same time but for one hour in spring and one in autumn.
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Havana"])
def test_a_line_of_cron_that_would_start_at_another_hour_is_refused(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    here, there = schedule("0 22 * * *", timezone=""), schedule("0 22 * * *", timezone=zone)
    with pytest.raises(UsageError) as refused:
        list(cron_lines([here, there], COMMAND))
    assert str(refused.value) == (
        f"schedule nightly: its times are those of {zone}, and cron uses America/New_York "
        "(use --systemd, or a permanent worker)"
    )
    monkeypatch.setenv("TZ", zone)
    assert len(list(cron_lines([here, there], COMMAND))) == 2


@pytest.mark.parametrize("start", ["0 5 L * *", "0 6 * * 1#2", "0 6 * * 5L", "0 5 LW * *"])
def test_what_cron_does_not_understand(start: str) -> None:
    with pytest.raises(UsageError, match="is not understood by cron"):
        list(cron_lines([schedule(start)], COMMAND))


def test_what_systemd_does_not_understand() -> None:
    with pytest.raises(UsageError, match="systemd has nothing like LW"):
        calendar_events(schedule("0 5 LW * *"))
