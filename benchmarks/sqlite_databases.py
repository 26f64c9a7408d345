"""The SQLite databases of the benchmarks: python -m benchmarks.sqlite_databases [--dir DIRECTORY]

Five tables and an FTS5 table, eleven indexes, text, integers and blobs; filled with the indexes in place and all
tables in turn, as applications do, so that pages lie mixed and are partly filled; then 38 % of the rows are deleted,
two thirds of them in one block, so that a good third of the file is wasted: VACUUM is called for. Always the same
content; made once and kept.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_VERSION: Final = 3  # of the content: counted up when it changes, so that no old file passes for it
_ROUNDS: Final = 2000
_WORDS: Final = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper")
_KINDS: Final = ("view", "search", "cart", "checkout", "login", "logout", "error", "refund", "rating", "signup")
_LEVELS: Final = ("debug",) * 12 + ("info",) * 7 + ("error",)
_CITIES: Final = ("Aarhus", "Bergen", "Córdoba", "Gdańsk", "Köln", "Lyon", "Ōsaka", "Perth", "Quito", "Tartu")

_SCHEMA: Final = """
CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, city TEXT NOT NULL);
CREATE TABLE events(
  id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, amount REAL,
  token TEXT NOT NULL, payload TEXT
);
CREATE TABLE files(id INTEGER PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL, body BLOB);
CREATE TABLE kv(key TEXT PRIMARY KEY, value BLOB, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE log(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL);
CREATE VIRTUAL TABLE notes USING fts5(title, body);
CREATE INDEX users_by_city ON users(city, name);
CREATE INDEX events_by_user ON events(user_id, at);
CREATE INDEX events_by_kind ON events(kind);
CREATE INDEX events_by_amount ON events(amount);
CREATE UNIQUE INDEX events_by_token ON events(token);
CREATE INDEX files_by_name ON files(name);
CREATE UNIQUE INDEX files_by_digest ON files(digest);
CREATE INDEX kv_by_time ON kv(at);
CREATE INDEX log_by_time ON log(at);
CREATE INDEX errors_by_time ON log(at) WHERE level = 'error';
"""

_NUMBERED: Final = {"users": "id", "events": "id", "files": "id", "kv": "at", "log": "id", "notes": "rowid"}
# Most of it went in one block, as with an archive job: pages become free. The rest is missing here and there.
_BLOCK: Final = 0.25
_DELETIONS: Final = tuple(
    f"DELETE FROM {table} WHERE {id_} <= {_BLOCK} * (SELECT max({id_}) FROM {table}) OR {id_} % 40 < 7"
    for table, id_ in _NUMBERED.items()
)


@dataclass(frozen=True, slots=True)
class Size:
    """A database of the benchmarks, of about so many megabytes."""

    name: str
    megabytes: int


SMALL: Final = Size("small", 200)
LARGE: Final = Size("large", 1_500)
SIZES: Final = (SMALL, LARGE)


def default_directory() -> Path:
    return Path(tempfile.gettempdir()) / "dbtend-benchmarks"


def database(size: Size, directory: Path) -> Path:
    """The database of that size in `directory`, made there where it is missing."""
    path = directory / f"{size.name}-{_VERSION}.db"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        _fill(unfinished, size.megabytes)
        unfinished.rename(path)
    return path


def _fill(path: Path, megabytes: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for setting in ("page_size = 4096", "journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000"):
            db.execute(f"PRAGMA {setting}")
        db.executescript("BEGIN;" + _SCHEMA)
        rows = _Rows(random.Random(42), megabytes)
        for number in range(_ROUNDS):
            for table, columns, batch in rows.batches(number):
                db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", batch)
        for deletion in _DELETIONS:
            db.execute(deletion)
        db.execute("COMMIT")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA user_version = 1")  # a commit that is synced, so that no measurement pays for writing it


class _Rows:
    """Rows from a seed; long values are cut from one long random text, which is much faster than making each."""

    def __init__(self, chance: random.Random, megabytes: int) -> None:
        self._chance = chance
        self._megabytes = megabytes
        self._text = " ".join(chance.choices(_WORDS, k=60_000))
        self._bytes = chance.randbytes(1 << 20)

    def batches(self, number: int) -> Iterator[tuple[str, int, Iterator[tuple[object, ...]]]]:
        """Per table its name, its columns, and the rows of one round."""

        def ids(rows_per_megabyte: float) -> range:
            count = round(rows_per_megabyte * self._megabytes / _ROUNDS)
            return range(number * count + 1, (number + 1) * count + 1)

        yield "users", 4, map(self._user, ids(260))
        yield "events", 7, map(self._event, ids(2_850))
        yield "files", 4, map(self._file, ids(220))
        yield "kv", 3, map(self._entry, ids(520))
        yield "log", 4, map(self._line, ids(1_200))
        yield "notes(title, body)", 2, map(self._note, ids(26))

    def _user(self, id_: int) -> tuple[object, ...]:
        name = self._words(12)
        return id_, f"{self._number():x}.{id_}@example.com", name, _CITIES[id_ * 7 % 10]

    def _event(self, id_: int) -> tuple[object, ...]:
        number = self._number()
        user, amount = number % 60_000, number % 99_991 / 100
        return (
            id_,
            user,
            1_704_067_200 + 7 * id_,
            _KINDS[number % 10],
            amount,
            f"{number:016x}",
            self._words(number % 110),
        )

    def _file(self, id_: int) -> tuple[object, ...]:
        number = self._number()
        start = number % 1_000_000
        length = number % 1_300 if number % 50 else 9_000
        return id_, f"{self._words(20)}-{id_}.bin", number.to_bytes(16), self._bytes[start : start + length]

    def _entry(self, id_: int) -> tuple[object, ...]:
        number = self._number()
        start = number % 1_000_000
        return f"{number:016x}", self._bytes[start : start + 40], id_

    def _line(self, id_: int) -> tuple[object, ...]:
        number = self._number()
        return id_, 1_704_067_200 + 3 * id_, _LEVELS[number % 20], self._words(40 + number % 60)

    def _note(self, id_: int) -> tuple[object, ...]:
        return self._words(25), self._words(500 + id_ % 300)

    def _number(self) -> int:
        return self._chance.getrandbits(64)

    def _words(self, length: int) -> str:
        start = self._chance.getrandbits(18)
        return self._text[start : start + length]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, default=default_directory())
    for size in SIZES:
        begin = time.perf_counter()
        path = database(size, parser.parse_args().dir)
        print(f"{path}: {path.stat().st_size / 1e6:,.0f} MB, ready after {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
