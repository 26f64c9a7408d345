"""How well a sample of the pages tells what VACUUM gives back: python -m benchmarks.page_sample [FILE ...]

On databases of all kinds that are made here, and on the files that are named, which are only read: the free share of
their pages after VACUUM INTO, told beforehand from the sample. And the map of all pages, beside what dbstat counts.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from engine.domain.page_map import PageMap
from engine.targets.sqlite.reading.page_fill import pages_of, sampled_fill
from engine.targets.sqlite.reading.page_map import map_of, roots_of

_PLAIN: Final = "CREATE TABLE t(k INTEGER PRIMARY KEY, a, b)"
_INDEXED: Final = f"{_PLAIN}; CREATE INDEX i ON t(a)"
_KEYED: Final = "CREATE TABLE t(k TEXT PRIMARY KEY, a, b)"
_KINDS: Final = (
    # name, schema, page size, lengths of rows, and the change at the end
    ("growing keys", _PLAIN, 4096, (0, 300), ""),
    ("growing keys, an index", _INDEXED, 4096, (0, 300), ""),
    ("random keys", _KEYED, 4096, (0, 200), ""),
    ("random keys, no rowid", f"{_KEYED} WITHOUT ROWID; CREATE INDEX i ON t(a)", 4096, (0, 200), ""),
    ("deleted here and there", _INDEXED, 4096, (0, 300), "DELETE FROM t WHERE k % 5 < 2"),
    ("deleted in one block", _INDEXED, 4096, (0, 300), "DELETE FROM t WHERE k < (SELECT max(k) FROM t) / 2"),
    ("rows of one length", f"{_PLAIN}; CREATE INDEX i ON t(b, a)", 1024, (60, 60), "DELETE FROM t WHERE a % 7 = 0"),
    ("long rows", _INDEXED, 8192, (1500, 9000), "DELETE FROM t WHERE a % 4 = 0"),
    ("rows that grew", _INDEXED, 16_384, (0, 300), "UPDATE t SET b = b || b || b WHERE k % 3 = 0"),
)


def _make(path: Path, schema: str, page_size: int, lengths: tuple[int, int], change: str, megabytes: int) -> None:
    chance = random.Random(7)
    number = megabytes * 1_000_000 // (sum(lengths) // 2 + 40)

    def rows() -> Iterator[tuple[object, ...]]:
        for key in range(number):
            value = "x" * chance.randint(*lengths)
            yield key if "INTEGER" in schema else chance.randbytes(16).hex(), chance.randrange(10**6), value

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(
            f"PRAGMA page_size = {page_size}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}"
        )
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows())
        db.execute("COMMIT")
        db.execute(change)


def _examine(name: str, path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        begin, busy = time.perf_counter(), time.process_time()
        found = sampled_fill(descriptor)
        seconds, busy = time.perf_counter() - begin, time.process_time() - busy
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            roots = roots_of(db)
        begin, used = time.perf_counter(), time.process_time()
        mapped = map_of(descriptor, roots)
        map_seconds, used = time.perf_counter() - begin, time.process_time() - used
        file = pages_of(descriptor)
    finally:
        os.close(descriptor)
    assert isinstance(mapped, PageMap)
    assert file is not None
    told = None if found is None else 1 - (file.number - mapped.free_pages) * found.packed / file.number
    real = 1 - _size_after(path) / path.stat().st_size
    error = "not told" if told is None else f"told {told:6.1%}, off by {100 * abs(told - real):.1f} points"
    print(
        f"{name:<24} {path.stat().st_size / 1e6:7,.0f} MB  gives back {real:6.1%}, {error}"
        f"; {1e3 * seconds:.0f} ms, {1e3 * busy:.0f} of a processor; map {map_seconds:.2f} s, {used:.2f} of a processor"
    )


def _size_after(path: Path) -> int:
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        copy = Path(directory) / "copy.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            db.execute("VACUUM INTO ?", (str(copy),))
        return copy.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--megabytes", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for name, schema, page_size, lengths, change in _KINDS:
            path = Path(directory) / f"{name}.db"
            _make(path, schema, page_size, lengths, change, options.megabytes)
            _examine(name, path)
            path.unlink()
    for path in options.files:
        _examine(path.name, path)


if __name__ == "__main__":
    main()
