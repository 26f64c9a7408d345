"""Measures the page map of a SQLite file, and the map that a job keeps: python -m benchmarks.page_map [FILE ...]

Without FILE it takes the databases of `benchmarks.sqlite_databases`, of 200 MB and 1.5 GB. Each map is read five times
from memory, and five times from the disk if the system can drop the file from its cache. It is drawn for a window of
120x40.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.sqlite_databases import SIZES, database, default_directory
from engine.domain.kept_page_map import packed
from engine.domain.page_map import UNSEEN, PageMap
from engine.targets.sqlite.reading.page_map import Root, map_of, roots_of
from engine.targets.sqlite.running.layout import LONGEST, PLACES
from tui.presentation.page_map import page_map_rows

_TIMES: Final = 5
_WINDOW: Final = (116, 36)


def _timed(work: Callable[[], object], descriptor: int, *, forgets: bool) -> tuple[float, float]:
    """Seconds of the wall clock, and of a processor. `forgets`: the file is not in memory before."""
    if forgets:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def _examine(path: Path) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        roots = roots_of(db)
    with path.open("rb") as file:
        descriptor = file.fileno()
        os.fsync(descriptor)
        for label, forgets in (("in memory", False), ("from the disk", True)):
            drawn = [_timed(lambda: _draw(descriptor, roots), descriptor, forgets=forgets) for _ in range(_TIMES)]
            kept = [_timed(lambda: _keep(descriptor, roots), descriptor, forgets=forgets) for _ in range(_TIMES)]
            print(
                f"{path.name}, {path.stat().st_size / 1e6:,.0f} MB, {label}: map drawn in {_median(drawn)};"
                f" map of a job in {_median(kept)}, {len(_keep(descriptor, roots)):,} characters"
            )
        found = map_of(descriptor, roots, most_places=PLACES, in_all=LONGEST)
        if not isinstance(found, PageMap) or UNSEEN in found.owners:
            print(f"  {path.name}: a job would leave it out: more than {LONGEST} s")


def _draw(descriptor: int, roots: Sequence[Root]) -> None:
    found = map_of(descriptor, roots)
    assert isinstance(found, PageMap)
    page_map_rows(found, *_WINDOW)


def _keep(descriptor: int, roots: Sequence[Root]) -> str:
    found = map_of(descriptor, roots, most_places=PLACES, in_all=60.0)
    assert isinstance(found, PageMap)
    return packed(found)


def _median(times: Sequence[tuple[float, float]]) -> str:
    wall, busy = (statistics.median(column) for column in zip(*times, strict=True))
    return f"{wall:.2f} s (processor {busy:.2f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--dir", type=Path, default=default_directory())
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for path in options.files or [database(size, options.dir) for size in SIZES]:
        _examine(path)


if __name__ == "__main__":
    main()
