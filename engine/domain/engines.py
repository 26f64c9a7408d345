"""The database engines: what is known of each without its driver.

SQLite is built in. Every other engine is an entry point of the group `dbtend.engines`, whose value is an `EngineSpec`:
those that dbtend brings, and those of other packages. docs/how-to/write-an-engine.md builds one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final

from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    from importlib import metadata

    from engine.domain.requests import Operation
else:
    metadata = lazy("importlib.metadata", "SQLite is built in")

GROUP: Final = "dbtend.engines"
_SQLITE_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3", ".db3")
"""Of files that are usually SQLite's: for these no other engine is looked for."""


class EngineName(str):
    """The name of a database engine as it is stored and shown, also of one that is not installed here."""

    __slots__ = ()
    RULE: ClassVar = re.compile(r"[a-z][a-z0-9_-]{0,30}")
    SQLITE: ClassVar[EngineName]
    POSTGRESQL: ClassVar[EngineName]
    MYSQL: ClassVar[EngineName]
    """MariaDB, too."""

    @classmethod
    def stored(cls, value: object) -> EngineName:
        """The name in a row of a store. Raises ValueError."""
        if not (isinstance(value, str) and cls.RULE.fullmatch(value)):
            raise ValueError(f"{value!r} is no name of an engine")
        return cls(value)

    @property
    def is_file(self) -> bool:
        """Whether its databases are files of one host, not databases of a server."""
        return self == EngineName.SQLITE or engine_spec(self).is_file


EngineName.SQLITE = EngineName("sqlite")
EngineName.POSTGRESQL = EngineName("postgresql")
EngineName.MYSQL = EngineName("mysql")


@frozen(kw_only=True)
class EngineSpec:
    """A database engine."""

    name: EngineName
    label: str
    """How texts name it: `PostgreSQL`."""
    kind: str
    """What a target of it is: `a PostgreSQL server`."""
    lacks: str
    """What to say of an option that it does not have: `PostgreSQL has nothing like it`."""
    short: str = ""
    """Its name where there is little room; "" for `name`."""
    is_file: bool = False
    """Whether its databases are files of one host, not databases of a server."""
    schemes: tuple[str, ...]
    """The schemes of its URLs; the first is that of canonical ones."""
    suffixes: tuple[str, ...] = ()
    """The ends of plain paths that name one of its files: `.duckdb`."""
    beside: tuple[str, ...] = ()
    """What it adds to the name of a file for files of its own: `.wal`."""
    magic: tuple[int, bytes] | None = None
    """Of a file: where in its first 16 bytes these stand in each of its databases."""
    target: str
    """Its `Target`, called with a URL (of a file: with its path), as `module:name`."""
    databases: str = ""
    """Of a server: the module that lists its databases; see `ServerDatabases`."""
    needs_database: bool = False
    """Of a server: whether its URLs must name a database."""
    driver: str = ""
    """The driver that it needs, as text: `the driver for PostgreSQL, psycopg,`."""
    extra: str = ""
    """What of this package to install for the driver: `postgres`."""
    times_as_size: float = 1.0
    """How many times as long as by size a first run is expected to take where nothing was measured."""
    options: Mapping[str, Collection[Operation]] = field(default_factory=dict)
    """The options that its operations take beside those of any engine, each with the operations it applies to."""
    thresholds: tuple[str, ...] = ()
    """The keys of `[advice]` that are for one other engine, and for this one, too."""


SQLITE_SPEC: Final = EngineSpec(
    name=EngineName.SQLITE,
    label="SQLite",
    kind="a SQLite file",
    lacks="a SQLite file is no database server",
    is_file=True,
    schemes=("sqlite",),
    magic=(0, b"SQLite format 3\0"),
    target="engine.targets.sqlite.target:SqliteTarget",
)


@cache
def engine_specs() -> Mapping[EngineName, EngineSpec]:
    """All engines that are installed, by name: SQLite first. Imports the modules of their entry points."""
    found = {EngineName.SQLITE: SQLITE_SPEC}
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        found.setdefault(EngineName(point.name), point.load())
    return found


def engine_spec(name: str) -> EngineSpec:
    """The engine of this name; one that is not installed here counts as a server of which nothing is known."""
    if name == EngineName.SQLITE:
        return SQLITE_SPEC
    if (spec := engine_specs().get(EngineName(name))) is not None:
        return spec
    kind, lacks = f"a database of {name}", f"the engine {name} is not installed here"
    return EngineSpec(name=EngineName(name), label=name, kind=kind, lacks=lacks, schemes=(), target="")


def engine_of_file(path: str) -> EngineSpec:
    """The engine whose files a path names by its end; SQLite for any other."""
    if path.endswith(_SQLITE_SUFFIXES):
        return SQLITE_SPEC
    return next((spec for spec in engine_specs().values() if path.endswith(spec.suffixes)), SQLITE_SPEC)


def engine_of_head(head: bytes) -> EngineSpec | None:
    """The engine whose database a file is that begins with these bytes; None if no engine knows it."""
    for spec in engine_specs().values():
        if spec.magic is not None and head.startswith(spec.magic[1], spec.magic[0]):
            return spec
    return None


def says_database(path: str) -> bool:
    """Whether the name of a file says that it is a database."""
    return path.endswith(_SQLITE_SUFFIXES) or engine_of_file(path) is not SQLITE_SPEC


def is_beside_database(path: str) -> bool:
    """Whether the name of a file says that it belongs to a database file beside it, of another engine than SQLite."""
    return any(
        path.endswith(f"{suffix}{end}")
        for spec in engine_specs().values()
        for suffix in spec.suffixes
        for end in spec.beside
    )


def engine_of_scheme(scheme: str) -> EngineSpec | None:
    """The engine of URLs with this scheme, in small letters."""
    if scheme in SQLITE_SPEC.schemes:
        return SQLITE_SPEC
    return next((spec for spec in engine_specs().values() if scheme in spec.schemes), None)
