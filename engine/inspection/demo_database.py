"""A sample database that needs maintenance."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from engine.domain.errors import UsageError
from engine.domain.requests import Operation

T = TypeVar("T")
DATABASE: Final = "sample.db"
"""The file name of the sample."""
SHOWN: Final = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE)
"""The operations shown on it: more than make sense together."""

EVENTS = 250_000
"""Rows of the largest table; the others have their share of them."""
_CITIES: Final = ("Aarhus", "Bergen", "Córdoba", "Gdańsk", "Köln", "Lyon", "Ōsaka", "Perth", "Quito", "Tartu")
_KINDS: Final = ("view", "search", "cart", "checkout", "login", "error")
_WORDS: Final = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper")

# `order` is a keyword: an index of that name is rebuilt only by a tool that quotes it.
_SCHEMA: Final = """
CREATE TABLE customers(id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, city TEXT NOT NULL);
CREATE TABLE orders(
  id INTEGER PRIMARY KEY, number TEXT NOT NULL, customer_id INTEGER NOT NULL,
  placed_at INTEGER NOT NULL, total INTEGER NOT NULL, note TEXT
);
CREATE TABLE events(id INTEGER PRIMARY KEY, customer_id INTEGER, at INTEGER NOT NULL, kind TEXT NOT NULL, payload TEXT);
CREATE INDEX customers_by_city ON customers(city, name);
CREATE UNIQUE INDEX order_number ON orders(number);
CREATE INDEX "order" ON orders(customer_id, placed_at);
CREATE INDEX orders_by_total ON orders(total);
CREATE INDEX events_by_customer ON events(customer_id, at);
CREATE INDEX events_by_kind ON events(kind, at);
"""


def build_demo_database(path: Path, progress: Callable[[float], None] = lambda _: None) -> None:
    """Create a sample shop database at `path`: always the same content, about 40 % of its rows deleted,
    no statistics yet.

    `progress`: called again and again with the fraction that is done. Raises UsageError if there is a file already, or
    none can be created there.
    """
    try:
        path.open("xb").close()
    except FileExistsError:
        raise UsageError(str(path), "there is a file already", "choose another place for the sample") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(str(path), f"the sample cannot be created: {reason}", "choose another place") from None
    try:
        _fill(path, progress)
    except sqlite3.Error as error:
        path.unlink()
        raise UsageError(str(path), f"the sample cannot be written: {error}", "choose another place") from None
    except BaseException:
        path.unlink()
        raise


def _fill(path: Path, progress: Callable[[float], None]) -> None:
    chance = random.Random(42)  # noqa: S311
    customers, orders = EVENTS * 8 // 100, EVENTS * 36 // 100
    changes = (EVENTS + orders + customers) * 1.403  # each row once, and those that are deleted again
    with closing(sqlite3.connect(path, isolation_level=None)) as db:

        def reported(rows: Iterable[T], every: int = EVENTS // 2_500) -> Iterator[T]:
            for number, row in enumerate(rows):
                if number % every == 0:
                    progress(db.total_changes / changes)
                yield row

        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript("BEGIN;" + _SCHEMA)
        db.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", reported(_customers(chance, customers)))
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", reported(_orders(chance, orders, customers)))
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", reported(_events(chance, EVENTS, customers)))
        # Old rows went in one block, as with an archive job; a few more are missing here and there.
        for table, rows in (("events", EVENTS), ("orders", orders), ("customers", customers)):
            delete = f"DELETE FROM {table} WHERE (id <= {rows * 36 // 100} OR id % 15 = 0) AND id > ? AND id <= ?"
            parts = ((first, first + EVENTS // 50) for first in range(0, rows, EVENTS // 50))
            db.executemany(delete, reported(parts, every=1))
        db.execute("COMMIT")


def _customers(chance: random.Random, rows: int) -> Iterator[tuple[int, str, str, str]]:
    for id_ in range(1, rows + 1):
        first, last = chance.choice(_WORDS), chance.choice(_WORDS)
        yield id_, f"{first}.{last}.{id_}@example.com", f"{first} {last}".title(), chance.choice(_CITIES)


def _orders(chance: random.Random, rows: int, customers: int) -> Iterator[tuple[int, str, int, int, int, str]]:
    for id_ in range(1, rows + 1):
        customer = chance.randint(1, customers)
        yield id_, f"SO-{id_:07}", customer, _time_of(id_), chance.randint(100, 99_999), _text(chance, 8)


def _events(chance: random.Random, rows: int, customers: int) -> Iterator[tuple[int, int, int, str, str]]:
    for id_ in range(1, rows + 1):
        customer = chance.randint(1, customers)
        yield id_, customer, _time_of(id_), chance.choice(_KINDS), _text(chance, 12)


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words))


def _time_of(id_: int) -> int:
    """Seconds since the epoch: one row a minute from the start of 2024."""
    return 1_704_067_200 + 60 * id_
