"""The plans of very many marked targets, in a terminal of 80x24: python -m benchmarks.many_plans [--targets N ...]

Real SQLite files, named by a pattern: on the fleet screen all are marked, and `r` plans what they need. Keys are
pressed all the while; one is answered once the row that it leads to is drawn with the cursor. Beside it, as many plans
by `dbtend plan --needed` with the same store, in turn with the console.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from benchmarks.fleet_screen import make_store
from benchmarks.history import DOWN, Figures, report
from benchmarks.terminal import ESCAPES, Terminal
from tui.console.theme import DBTEND

UP: Final = b"\x1b[A"
CURSOR: Final = ";".join(str(part) for part in bytes.fromhex(DBTEND.variables["cursor"][1:]))
"""Its background colour, in the form that is sent to a terminal."""
SO_FAR: Final = re.compile(rb"[1-9][\d,]* of [\d,]+ targets so far")


def make_files(directory: Path, number: int) -> Path:
    """So many databases, all of which need a first check; returns a config file with a pattern for them."""
    (directory / "files").mkdir()
    with closing(sqlite3.connect(directory / "one.db")) as one:
        one.executescript("CREATE TABLE t(a PRIMARY KEY, b); CREATE INDEX t_b ON t(b);")
        one.executemany("INSERT INTO t VALUES (?, ?)", ((n, "x" * 50) for n in range(500)))
        one.commit()
    content = (directory / "one.db").read_bytes()
    for n in range(number):
        (directory / "files" / f"tenant-{n}.db").write_bytes(content)
    config = directory / "config.toml"
    config.write_text(f'[targets.tenants]\nurl = "{directory}/files/*.db"\n')
    return config


def seconds_to_row(terminal: Terminal, key: bytes, row: int, timeout: float = 30) -> float:
    """From a key until the row of this target is drawn with the cursor."""
    before, pressed, drawn = len(terminal.output), time.perf_counter(), f"48;2;{CURSOR}mtenant-{row} ".encode()
    terminal.send(key)
    while drawn not in terminal.output[before:]:
        if time.perf_counter() - pressed > timeout:
            raise TimeoutError(f"no row {row} after {key!r}: {bytes(terminal.output[before:])!r}")
        terminal.seconds_to_first_byte(1)
    return time.perf_counter() - pressed


def measure(store: Path, config: Path, figures: Figures, number: int, timeout: float) -> None:
    all_made = re.compile(rf"(?<! of ){number:,} targets, [\d,]+ operations".encode())
    with Terminal([sys.executable, "-m", "tui.cli", "--store", str(store), "--config", str(config)]) as terminal:
        terminal.read_until("tenant-", timeout=120)
        while b" surveyed" not in ESCAPES.sub(b"", bytes(terminal.output[-20_000:])):
            terminal.read_for(0.5)
        terminal.read_until_quiet(2)
        terminal.send(b"*")
        terminal.read_until_quiet(0.5)
        here, pressed, first, moves = len(terminal.output), time.perf_counter(), 0.0, cycle(((DOWN, 1), (UP, 0)))
        cpu, answers = terminal.cpu_seconds(), list[float]()
        terminal.send(b"r")
        while True:
            terminal.read_for(0.1)
            shown, now = ESCAPES.sub(b"", bytes(terminal.output[here:])), time.perf_counter() - pressed
            here = max(here, len(terminal.output) - 8_000)
            if not first and (SO_FAR.search(shown) or all_made.search(shown)):
                first = now
                seconds_to_row(terminal, DOWN, 0)
            if all_made.search(shown):
                break
            if now > timeout:
                raise TimeoutError(f"not all plans within {timeout:g} s")
            if first:
                answers.append(seconds_to_row(terminal, *next(moves)))
        figures["first plans shown"].append(first)
        figures["all plans shown"].append(now)
        figures["CPU until then"].append(terminal.cpu_seconds() - cpu)
        if len(answers) > 1:
            figures["a key meanwhile, median"].append(median(answers))
            figures["a key meanwhile, p99"].append(quantiles(answers, n=100, method="inclusive")[98])
            figures["slowest key meanwhile"].append(max(answers))
        figures["MiB"].append(terminal.resident_mebibytes())


def plan_by_command(store: Path, config: Path, figures: Figures) -> None:
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "tui.cli", "--store", str(store), "--config", str(config)]
    subprocess.run([*command, "plan", "tenants", "--needed"], check=True, stdout=subprocess.DEVNULL)
    figures["dbtend plan --needed"].append(time.perf_counter() - begun)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures["its CPU"].append(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--targets", type=int, nargs="+", default=[100, 1_000, 3_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for all plans")
    options = parser.parse_args()
    for number in options.targets:
        with tempfile.TemporaryDirectory() as directory:
            config = make_files(Path(directory), number)
            figures: Figures = defaultdict(list)
            asyncio.run(make_store(Path(directory) / "jobs.db", []))  # without one, the command reads no history
            for _ in range(options.rounds):
                plan_by_command(Path(directory) / "jobs.db", config, figures)
                measure(Path(directory) / "jobs.db", config, figures, number, options.timeout)
            for name, console, command in (
                ("wall", "all plans shown", "dbtend plan --needed"),
                ("CPU", "CPU until then", "its CPU"),
            ):
                pairs = zip(figures[console], figures[command], strict=True)
                ratios = ", ".join(f"{shown / printed:.2f}" for shown, printed in pairs)
                print(f"{number:,} targets, {name}, console to command line: {ratios}")
            report(figures)


if __name__ == "__main__":
    main()
