"""The fleet screen with very many targets, in a terminal of 80x24: python -m benchmarks.fleet_screen [--targets N]

The store already has the surveys, as after a first day. Beside it: the console with 11 targets. More targets than a
config file has room for are real files, named by a pattern: their surveys are fresh.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Final

from benchmarks.history import DOWN, END, PAGE_DOWN, Figures, first_byte, report, seconds_to
from benchmarks.terminal import Terminal
from engine.config.model import TargetEntry
from engine.domain.engines import EngineName
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from engine.fleet import surveyor
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now

UP = b"\x1b[A"
MOST_UNASKED: Final = 10_000
"""More targets are confirmed first, and their config file would be too large."""
LEVELS = (FleetLevel.OK, FleetLevel.OK, FleetLevel.OK, FleetLevel.SOON, FleetLevel.NOW)


def survey(number: int, path: Path) -> Survey:
    level = LEVELS[number % len(LEVELS)]
    size = 1_000_000 + number * 1000
    reasons = (SurveyReason(level, SurveyCause.RECLAIMABLE, {"free": size // 2}),) if level is not FleetLevel.OK else ()
    return Survey(
        target=f"sqlite://{path}", engine=EngineName.SQLITE, surveyed_at=now(), level=level, reasons=reasons, size=size,
        reclaimable=size // 2 if reasons else 0,
    )  # fmt: skip


async def make_store(store: Path, surveys: list[Survey]) -> None:
    async with SqliteStore.open(store) as opened:
        await opened.save_surveys(surveys)


def make_fleet(directory: Path, number: int) -> tuple[Path, Path]:
    """A store with the surveys, and a config file with a target for each."""
    (directory / "files").mkdir()
    paths = [directory / "files" / f"tenant-{n}.db" for n in range(number)]
    store, config = directory / "jobs.db", directory / "config.toml"
    asyncio.run(make_store(store, [survey(n, path) for n, path in enumerate(paths)]))
    lines = (f'[targets.tenant-{n}]\nurl = "{path}"\n' for n, path in enumerate(paths))
    config.write_text("\n".join(lines))
    return store, config


def make_files(directory: Path, number: int) -> tuple[Path, Path]:
    """The same of real files, with a pattern in the config file."""
    (directory / "files").mkdir()
    with closing(sqlite3.connect(directory / "one.db")) as one:
        one.execute("CREATE TABLE t(a)")
    content = (directory / "one.db").read_bytes()
    surveys = []
    for n in range(number):
        path = directory / "files" / f"tenant-{n}.db"
        path.write_bytes(content)
        subject = surveyor._subject(TargetEntry(name=path.name, url=str(path)))
        surveys.append(replace(survey(n, path), target=subject.url, state=subject.state))
    store, config = directory / "jobs.db", directory / "config.toml"
    asyncio.run(make_store(store, surveys))
    config.write_text(f'[targets.tenants]\nurl = "{directory}/files/*.db"\n')
    return store, config


def slowest_key(terminal: Terminal, seconds: float) -> float:
    """Of the keys that are pressed one after the other in this time, while surveys come in."""
    slowest, end = 0.0, time.perf_counter() + seconds
    for key in cycle((DOWN, UP)):
        if time.perf_counter() > end:
            return slowest
        terminal.read_for(0.05)
        terminal.send(key)
        slowest = max(slowest, terminal.seconds_to_first_byte())
    return slowest


def measure(store: Path, config: Path, figures: Figures, number: int) -> None:
    with Terminal([sys.executable, "-m", "tui.cli", "--store", str(store), "--config", str(config)]) as terminal:
        if number > MOST_UNASKED:
            terminal.read_until("go on: ", timeout=300)
            terminal.send(f"{number}\r".encode())
        figures["first rows"].append(terminal.read_until("tenant-", timeout=120))
        figures["CPU to the first rows"].append(terminal.cpu_seconds())
        figures["slowest key while surveys come in"].append(slowest_key(terminal, 10))
        terminal.read_until_quiet(3)
        figures["MiB"].append(terminal.resident_mebibytes())
        for key in (DOWN, DOWN, DOWN, PAGE_DOWN, PAGE_DOWN):
            figures["key to first byte"].append(first_byte(terminal, key))
        figures["to the last target"].append(seconds_to(terminal, END, "tenant-"))
        terminal.read_until_quiet(1)
        figures["sort, to first byte"].append(first_byte(terminal, b"s"))
        terminal.read_until_quiet(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for number in (options.targets, 11):
        with tempfile.TemporaryDirectory() as directory:
            make = make_fleet if number <= MOST_UNASKED else make_files
            store, config = make(Path(directory), number)
            figures: Figures = defaultdict(list)
            for _ in range(options.rounds):
                measure(store, config, figures, number)
            print(f"{number:,} targets")
            report(figures)


if __name__ == "__main__":
    main()
