"""One hostile or unusual file: how it is made, and what kind of trouble it means."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

Build = Callable[[Path], Path]
"""Makes a file, and what belongs beside it, in an empty directory; where the file is."""
Spoil = Callable[[Path], object]

NAME: Final = "a.db"


class Trouble(StrEnum):
    """What is to be expected of a file, as far as SQLite does not say it itself."""

    NONE = "none"
    """It is sound, however unusual."""
    WRONG = "wrong"
    """Its pages are in order, what it holds is not: indexes, keys, constraints."""
    DAMAGED = "damaged"
    MISSING_CODE = "missing code"
    """It needs a collation, function or module that only its application has."""
    LEFTOVERS = "leftovers"
    """Journals, logs and other files lie beside it."""
    NO_DATABASE = "no database"
    FORBIDDEN = "forbidden"
    """SQLite would go ahead, and the user would lose something, or has said that nobody may."""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    trouble: Trouble
    build: Build
    meanwhile: Callable[[Path], AbstractContextManager[object]] = nullcontext
    """What holds while something is done to the file: what cannot be copied with it."""


def script(sql: str, *, name: str = NAME) -> Build:
    """A database that this SQL makes; its PRAGMAs come first."""
    made: list[bytes] = []

    def build(directory: Path) -> Path:
        path = directory / name
        if made:
            path.write_bytes(made[0])
        else:
            with unsynced(path) as db:
                db.executescript(sql)
            made.append(path.read_bytes())
        return path

    return build


def sections(file: str, preparation: str) -> Iterator[tuple[str, Build]]:
    """The databases of a file of SQL beside this one: one after each line that begins with `-- * ` and its name."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    for section in re.split(r"^-- \* ", text, flags=re.MULTILINE)[1:]:
        name, _, sql = section.partition("\n")
        yield name, script(preparation + sql)


def spoilt(build: Build, *spoils: Spoil) -> Build:
    """What `build` makes, with these done to it afterwards."""

    def build_and_spoil(directory: Path) -> Path:
        path = build(directory)
        for spoil in spoils:
            spoil(path)
        return path

    return build_and_spoil


def cases(trouble: Trouble, builds: Iterable[tuple[str, Build]]) -> tuple[Case, ...]:
    return tuple(Case(name, trouble, build) for name, build in builds)


def unsynced(path: Path) -> closing[sqlite3.Connection]:
    """A connection that commits each statement, and does not wait for the disk."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    return closing(db)
