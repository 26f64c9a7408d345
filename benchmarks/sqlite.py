"""Maintenance of SQLite files beside the sqlite3 shell: python -m benchmarks.sqlite [--size large] [--op vacuum ...]

Both get fresh copies of the same database, synced to the disk, in turn (A B, B A, ...); medians. Of the shell the
whole process counts, of dbtend the child job from its start to its end. Memory is the peak of what is a process's
own, without mapped files. The floor is what copying the file takes, with a sync. Other processes disturb: "load" is
the share of the processors that they had meanwhile. They disturb processor time less; of dbtend it is that of the whole
process, with its start.

--foreign measures databases of other origin instead, the largest first: python -m benchmarks.foreign_databases.

--overhead adds the same job without a look at how far it is, and the same steps with the same settings in plain Python,
without progress and without jobs (not of an exchange, which takes more than statements). Times of single runs differ by
more than that comes to; what a processor is taken for, beside the statements, is told more exactly.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.foreign_databases import foreign_databases
from benchmarks.sqlite_databases import SIZES, database, default_directory
from benchmarks.sqlite_runs import NEEDED, SHELL, PastJob, by_dbtend, by_dbtend_unwatched, by_plain_python, by_shell
from engine.domain.humanize import size as bytes_in_words


@dataclass(frozen=True, slots=True)
class Case:
    """What dbtend does, what the shell does instead, and whether the file has to be read from the disk."""

    work: str
    sql: str
    cold: bool = False

    @property
    def name(self) -> str:
        return f"{self.work}, cold" if self.cold else self.work


CASES: Final = (
    Case("vacuum", "VACUUM"),
    Case("exchange", "VACUUM"),
    Case("reindex", "REINDEX"),
    Case("bundled", "REINDEX"),
    Case("check", "PRAGMA integrity_check"),
    Case("quick", "PRAGMA quick_check"),
    Case("quick", "PRAGMA quick_check", cold=True),
    Case("analyze", "ANALYZE"),
    Case("analyze", "ANALYZE", cold=True),
    Case(NEEDED, "VACUUM; ANALYZE; REINDEX; PRAGMA optimize"),
)
_DROP_CACHES: Final = Path("/proc/sys/vm/drop_caches")
_SHELL, _DBTEND, _UNWATCHED, _PLAIN = "sqlite3 shell", "dbtend", "a job without progress", "plain Python"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run, the seconds that its fresh copy took, and the load of other processes meanwhile."""

    run: PastJob
    copying: float
    load: float
    processor: float
    """Seconds."""


def measure(case: Case, source: Path, pairs: int, *, overhead: bool) -> dict[str, list[Measurement]]:
    """All runs of a case, by who ran."""
    ways: dict[str, Callable[[Path, Path], PastJob]] = {
        _SHELL: lambda copy, _: by_shell(copy, case.sql),
        _DBTEND: lambda copy, store: by_dbtend(copy, store, case.work),
    }
    if overhead and not case.cold and case.work != NEEDED:
        ways[_UNWATCHED] = lambda copy, store: by_dbtend_unwatched(copy, store, case.work)
        if case.work != "exchange":  # which takes more than statements
            ways[_PLAIN] = lambda copy, _: by_plain_python(copy, case.work)
    runs: dict[str, list[Measurement]] = {way: [] for way in ways}
    for number in range(pairs):
        for way in _in_turn(ways, number):
            # With a store of its own, too, so that none learns from those before it.
            with tempfile.TemporaryDirectory(prefix="run-", dir=source.parent) as directory:
                runs[way].append(measured(ways[way], source, Path(directory), cold=case.cold))
    return runs


def _in_turn(ways: Iterable[str], number: int) -> tuple[str, ...]:
    """All orders in turn: how fast one is depends a little on who was there before."""
    orders = tuple(permutations(ways))
    return orders[number % len(orders)]


def measured(way: Callable[[Path, Path], PastJob], source: Path, directory: Path, *, cold: bool) -> Measurement:
    copy = directory / "copy.db"
    begin = time.perf_counter()
    shutil.copyfile(source, copy)
    sync(copy)
    copying = time.perf_counter() - begin
    if cold:
        drop_caches()
    begin, busy, own = time.perf_counter(), busy_seconds(), own_seconds()
    run = way(copy, directory / "jobs.db")
    own = own_seconds() - own
    others = busy_seconds() - busy - own
    return Measurement(run, copying, max(others / (time.perf_counter() - begin) / (os.cpu_count() or 1), 0.0), own)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop_caches() -> None:
    os.sync()
    _DROP_CACHES.write_text("3")


def busy_seconds() -> float:
    """What all processors have worked so far, for whomever."""
    user, nice, system, _idle, _waiting, *interrupts = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def report(case: Case, name: str, runs: Mapping[str, Sequence[Measurement]]) -> None:
    seconds = {way: median(one.run.seconds for one in measured) for way, measured in runs.items()}
    memory = {way: bytes_in_words(max(one.run.memory for one in measured)) for way, measured in runs.items()}
    floor = median(one.copying for measured in runs.values() for one in measured)
    load = median(one.load for measured in runs.values() for one in measured)
    processor = {way: median(one.processor for one in measured) for way, measured in runs.items()}
    whole = median(one.run.whole for one in runs[_DBTEND])
    print(
        f"{case.name:14} {name}: {_SHELL} {seconds[_SHELL]:.2f} s, {_DBTEND} {seconds[_DBTEND]:.2f} s"
        f" ({whole:.2f} s from submit to end): {seconds[_DBTEND] / seconds[_SHELL]:.2f}"
        f" | memory {memory[_SHELL]} and {memory[_DBTEND]}"
        f" | {seconds[_DBTEND] / floor:.1f} times the floor of {floor:.2f} s"
        f" | processor {processor[_SHELL]:.2f} s and {processor[_DBTEND]:.2f} s"
        f" | {len(runs[_DBTEND])} pairs, load {load:.0%}"
    )
    errors = [one.run.progress_error for one in runs[_DBTEND] if one.run.progress_error is not None]
    if errors and case.work != NEEDED:
        told = median(one.run.progress_told for one in runs[_DBTEND])
        print(f"{'':14} progress off by {median(errors):.1f} points on average, told in {told:.0%} of the samples")
    for way in (_UNWATCHED, _PLAIN):
        if way in seconds:
            print(f"{'':14} {seconds[_DBTEND] / seconds[way] - 1:+.1%} beside {way} ({seconds[way]:.2f} s)")
    if _UNWATCHED in seconds:
        watching, rest = (median(one.run.beside for one in runs[way]) for way in (_DBTEND, _UNWATCHED))
        print(
            f"{'':14} progress takes a processor for {(watching - rest) / whole:.1%} of the time"
            f" ({1000 * (watching - rest):.0f} ms), all else of the job for {1000 * rest:.0f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sqlite", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=[*(size.name for size in SIZES), "both"], default="both")
    parser.add_argument("--op", action="append", choices=sorted({case.work for case in CASES}), help="may be repeated")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=default_directory(), help="where the databases are kept")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--foreign", type=int, metavar="N", default=0, help="measure the N largest of other origin")
    options = parser.parse_args()
    if not Path(SHELL).exists():
        print(f"{SHELL} is not there to compare with")
        return
    may_be_cold = os.access(_DROP_CACHES, os.W_OK)
    for name, source in _sources(options):
        for case in CASES:
            if options.op and case.work not in options.op:
                continue
            if case.cold and not may_be_cold:
                print(f"{case.name:14} {name}: only root can drop the caches")
                continue
            report(case, name, measure(case, source, options.pairs, overhead=options.overhead))


def _sources(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    if options.foreign:
        for path in foreign_databases()[: -options.foreign - 1 : -1]:
            yield f"{path.name} ({bytes_in_words(path.stat().st_size)})", path
        return
    for size in SIZES:
        if options.size in {size.name, "both"}:
            yield size.name, database(size, options.dir)


if __name__ == "__main__":
    main()
