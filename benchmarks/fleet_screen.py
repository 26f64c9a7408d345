"""The fleet screen with very many targets, in a terminal of 80x24: python -m benchmarks.fleet_screen [--targets N]

The store already has the surveys, as after a first day. Beside it: the console with 11 targets.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.history import DOWN, END, PAGE_DOWN, Figures, first_byte, report, seconds_to
from benchmarks.terminal import Terminal
from engine.domain.requests import EngineName
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now

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


def measure(store: Path, config: Path, figures: Figures) -> None:
    with Terminal([sys.executable, "-m", "tui.cli", "--store", str(store), "--config", str(config)]) as terminal:
        figures["first rows"].append(terminal.read_until("tenant-"))
        figures["CPU to the first rows"].append(terminal.cpu_seconds())
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
            store, config = make_fleet(Path(directory), number)
            figures: Figures = defaultdict(list)
            for _ in range(options.rounds):
                measure(store, config, figures)
            print(f"{number:,} targets")
            report(figures)


if __name__ == "__main__":
    main()
