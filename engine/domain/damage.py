"""What is known to be damaged in a database: who saw it, what ends it, and what it keeps from being written. Pure.

Each part of dbtend that reads a database records the damage that it meets. A check ends what it could have seen and
finds sound; what no check can see any more ends when a person takes note of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import zip_longest
from typing import Final

from engine.domain.effects import CheckResult
from engine.domain.engines import EngineName
from engine.domain.errors import ServerDiedError, TargetDamagedError
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.option_specs import covers_whole_database
from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.steps import Micros

WHOLE_DATABASE: Final = ""
"""The object of damage that is not known to be within one table or index."""
NO_CHECK_ON_RECORD: Final = (
    "no check of this database is on record: if it is damaged, what writes to it can make a loss final. Check it first"
)
"""The warning about writing to it."""
_REWRITES: Final = frozenset({Operation.VACUUM_FULL, Operation.CLUSTER, Operation.REPACK, Operation.REBUILD})
REBUILDS: Final = _REWRITES | {Operation.REINDEX}
"""The operations of servers that rebuild every index of a table from the rows of the table."""


class DamagedKind(StrEnum):
    """What is damaged."""

    DATABASE = "database"
    """The file, the catalog, or a part that is not known."""
    TABLE = "table"
    INDEX = "index"
    """An index alone: its table was read and counted, and holds all rows that the index has."""


class DamageSource(StrEnum):
    """Who saw damage."""

    CHECK = "check"
    MAP = "map"
    """The page map of a SQLite file."""
    INSPECTION = "inspection"
    """A survey, an advice or a plan."""
    OPERATION = "operation"
    """An operation that read or wrote it, such as a backup that checks its copy."""
    RECOVERY = "recovery"
    """The check after the death of a worker process."""
    LOSS = "loss"
    """A file of a server is shorter than it was: rows are lost. No check sees that once they are counted anew."""
    SERVER_LOST = "server_lost"
    """The server went down while it was worked on."""


@frozen
class ShortFile:
    """A file of a table that is shorter than it was."""

    pages_counted: int
    """Its pages when they were last counted."""
    pages: int
    """Those that it has."""

    def is_among(self, accepted: Iterable[ShortFile]) -> bool:
        """Whether a person took note of it: its pages were not counted since, and it has not lost more."""
        return any(one.pages_counted == self.pages_counted and one.pages <= self.pages for one in accepted)


@frozen(kw_only=True)
class Damage:
    """One thing that is damaged in a database."""

    object: str = WHOLE_DATABASE
    """The table or index, as a plan names it."""
    kind: DamagedKind = DamagedKind.DATABASE
    source: DamageSource
    found_at: Micros
    text: str
    """The finding."""
    job: int | None = None
    """The job that met it."""
    level: CheckLevel = CheckLevel.QUICK
    """The least level of a check that could see it."""
    table: str = ""
    """The table of an index on a server."""
    is_repaired: bool = False
    """Whether an operation has repaired it since, which only a check can confirm. Of rows that are lost: whether all
    indexes of their table were rebuilt since."""
    written_by: int | None = None
    """The job that wrote to it since, by force or before it was known: what can be seen of it may be less by now."""
    accepted_at: Micros | None = None
    """When a person took note of it: it keeps nothing from writing any more, until a check finds it again."""
    accepted_by: str = ""
    short_files: tuple[ShortFile, ...] = ()
    """Of a loss."""
    is_unreadable: bool = False
    """Whether a newer dbtend wrote its record: this one neither changes nor ends it."""

    @classmethod
    def of_error(cls, error: TargetDamagedError, *, source: DamageSource, at: Micros, job: int | None = None) -> Damage:
        """The damage that kept `source` from reading a database."""
        if isinstance(error, ServerDiedError):
            lost = DamageSource.SERVER_LOST
            text = error.why_and_hint
            return cls(object=error.table, kind=DamagedKind.TABLE, source=lost, found_at=at, text=text, job=job)
        return cls(source=source, found_at=at, text=error.why, job=job)

    @property
    def key(self) -> tuple[str, DamageSource]:
        """Tells it from other damage of the same database."""
        return self.object, self.source

    @property
    def is_loss(self) -> bool:
        """Whether only a person can end it, who takes note of it."""
        return self.source is DamageSource.LOSS

    @property
    def is_seen_by_checks(self) -> bool:
        """Whether a check of the whole database would find it again."""
        return self.source not in {DamageSource.LOSS, DamageSource.SERVER_LOST}


@frozen(kw_only=True)
class DamageChange:
    """What an operation or an inspection changes of the damage on record."""

    found: tuple[Damage, ...] = ()
    """New, or known by its key and replaced."""
    ended: tuple[tuple[str, DamageSource], ...] = ()
    """The keys of damage that is over."""

    def __bool__(self) -> bool:
        return bool(self.found or self.ended)

    def __add__(self, other: DamageChange) -> DamageChange:
        return DamageChange(found=(*self.found, *other.found), ended=(*self.ended, *other.ended))


NO_CHANGE: Final = DamageChange()


def after_change(known: Iterable[Damage], change: DamageChange) -> tuple[Damage, ...]:
    """The damage on record after a change."""
    over = {*change.ended, *(one.key for one in change.found)}
    return (*(one for one in known if one.key not in over), *{one.key: one for one in change.found}.values())


def newly_seen(known: Collection[Damage], seen: Iterable[Damage]) -> DamageChange:
    """What an inspection adds to the record. It ends nothing: it did not look at everything.

    Args:
        known: the damage on record, with what a person has taken note of.
    """
    older = {one.key: one for one in known}

    def is_known(one: Damage) -> bool:
        earlier = older.get(one.key)
        if earlier is None or earlier.accepted_at is None:
            return earlier is not None
        return all(file.is_among(earlier.short_files) for file in one.short_files)

    return DamageChange(found=tuple(one for one in seen if not is_known(one)))


def accepted(known: Iterable[Damage], *, by: str, at: Micros) -> DamageChange:
    """A person takes note of damage."""
    return DamageChange(
        found=tuple(replace(one, accepted_at=at, accepted_by=by) for one in known if not one.is_unreadable)
    )


def people_of(known: Iterable[Damage]) -> str:
    """Who took note of it: `ann@host and bob@host`."""
    return listed(sorted({one.accepted_by for one in known}), 3)


def after_check(
    known: Collection[Damage],
    check: CheckResult,
    options: Options,
    *,
    sound: Collection[str],
    read: Collection[str],
    at: Micros,
    job: int,
) -> DamageChange:
    """What a check changes.

    Args:
        sound: the objects whose steps found nothing.
        read: the objects of all its steps.
        at: when it ended.
    """
    level, found = check.level, tuple(_found_by(check, at, job))
    keys, by_table = {one.key for one in found}, check.damaged_tables is not None
    is_whole = check.complete and covers_whole_database(Operation.CHECK, options) and not check.suspected_tables

    def is_over(one: Damage) -> bool:
        if one.is_unreadable or one.key in keys or (one.is_loss and (one.accepted_at is None or one.object in read)):
            return False
        if one.level is CheckLevel.FULL and level is CheckLevel.QUICK:
            return False
        if one.kind is DamagedKind.DATABASE:
            # A full check of a whole file says where damage is that was met somewhere in it, unless it was written to.
            is_located = not by_table and level is CheckLevel.FULL and one.written_by is None and _is_in_indexes(found)
            return is_whole and (not found or is_located)
        if not by_table:
            return (is_whole and not any(other.kind is DamagedKind.DATABASE for other in found)) or one.object in sound
        is_gone = one.object not in read and not (one.kind is DamagedKind.TABLE and check.only_indexes)
        return one.object in sound or (is_whole and is_gone)

    older = {one.key: one for one in known}
    lowest = [replace(one, level=_higher(one, older.get(one.key))) for one in found]
    return DamageChange(found=tuple(lowest), ended=tuple(one.key for one in known if is_over(one)))


def _is_in_indexes(found: Collection[Damage]) -> bool:
    return all(one.kind is DamagedKind.INDEX for one in found)


def _higher(one: Damage, earlier: Damage | None) -> CheckLevel:
    is_full = CheckLevel.FULL in {one.level, earlier.level if earlier is not None else one.level}
    return CheckLevel.FULL if is_full else CheckLevel.QUICK


def _found_by(check: CheckResult, at: Micros, job: int) -> Iterator[Damage]:
    def damage(name: str, kind: DamagedKind, text: str, table: str = "") -> Damage:
        source, level = DamageSource.CHECK, check.level
        return Damage(object=name, kind=kind, source=source, found_at=at, text=text, job=job, level=level, table=table)

    for name in check.damaged_tables or ():
        yield damage(name, DamagedKind.TABLE, check.damage or "the check found it damaged")
    if check.damage is not None and not check.damaged_tables:
        yield damage(WHOLE_DATABASE, DamagedKind.DATABASE, check.damage)
    for name, table in zip_longest(check.damaged_indexes, check.index_tables, fillvalue=""):
        if name:
            yield damage(name, DamagedKind.INDEX, f"index {name} is damaged", table)


def after_write(
    known: Iterable[Damage],
    operation: Operation,
    engine: EngineName,
    *,
    begun: Collection[str],
    done: Collection[str],
    rebuilt: Collection[str] = (),
    job: int,
) -> DamageChange:
    """What an operation changes that wrote. What it repairs stays on record until a check has confirmed it.

    What it wrote to otherwise may show less of its damage from now on: it counts as damage of the whole file or table,
    which a clean full check ends.

    Args:
        begun: the tables and indexes that its steps worked on. `done`: those of completed steps; WHOLE_DATABASE: all.
        rebuilt: the tables of a server whose indexes it has all rebuilt.
    """
    found, ended = list[Damage](), list[tuple[str, DamageSource]]()
    is_file = engine.is_file
    for one in known:
        if one.is_unreadable:
            continue
        if one.accepted_at is not None:
            is_rebuilt = one.is_repaired or one.object in rebuilt
            if is_rebuilt and one.is_loss and one.object in done and operation is not Operation.REINDEX:
                ended.append(one.key)  # its pages were counted again: a shorter file is another loss
            elif is_rebuilt and one.is_loss:
                found.append(replace(one, is_repaired=True))
        elif operation is Operation.REPAIR or (operation is Operation.REINDEX and one.kind is DamagedKind.INDEX):
            if {one.object, WHOLE_DATABASE if is_file else one.object} & {*done}:
                found.append(replace(one, is_repaired=True))
        elif begun and (is_file or {one.object, one.table or one.object} & {*begun}):
            widened = _widened(one, is_file=is_file)
            found.append(replace(widened, level=CheckLevel.FULL, is_repaired=False, written_by=job))
            if widened.key != one.key:
                ended.append(one.key)
    return DamageChange(found=tuple({one.key: one for one in found}.values()), ended=tuple(ended))


def _widened(one: Damage, *, is_file: bool) -> Damage:
    """The damage as that of the whole file, or of the table of an index."""
    if is_file:
        return replace(one, object=WHOLE_DATABASE, kind=DamagedKind.DATABASE, table="")
    if one.kind is DamagedKind.INDEX and one.table:
        return replace(one, object=one.table, kind=DamagedKind.TABLE, table="")
    return one


def blocked_tables(known: Iterable[Damage], operation: Operation) -> frozenset[str]:
    """The tables of a server that an operation must leave alone, with their indexes.

    Each table has files of its own: maintenance of one neither reads nor writes those of another, and to leave all
    alone would let transaction ids run out. An index that alone is damaged may be rebuilt, which OPTIMIZE does, too.
    """
    if operation is Operation.REPAIR:
        return frozenset()
    tables = {one.object for one in known if one.kind is DamagedKind.TABLE}
    if operation not in {Operation.REINDEX, Operation.OPTIMIZE}:
        tables |= {one.table or one.object for one in known if one.kind is DamagedKind.INDEX}
    return frozenset(tables)


def kept_from_rebuilds(accepted: Iterable[Damage]) -> frozenset[str]:
    """The tables of a server that only --force rebuilds, though a person took note of their damage.

    That does not say whether a table or its index is right: the index may be the last that tells of rows that are lost.
    """
    own = (one for one in accepted if one.kind is DamagedKind.TABLE and one.source is not DamageSource.SERVER_LOST)
    return frozenset(one.object for one in own if not one.is_repaired)


def suspects(known: Iterable[Damage]) -> frozenset[str]:
    """The tables under which a server went down: not even a check reads them until a person names them."""
    lost = (one for one in known if one.source is DamageSource.SERVER_LOST and not one.is_repaired)
    return frozenset(one.object for one in lost if one.kind is DamagedKind.TABLE)


def suspicion(first: Damage | None, tables: Sequence[str]) -> str:
    """What to do about tables under which a server went down; "" if `first` is other damage."""
    if first is None or first.source is not DamageSource.SERVER_LOST:
        return ""
    return f"{first.text}. After that, name {listed(tables, 3)} with --object to check it"


def blocks_all(known: Collection[Damage], operation: Operation, engine: EngineName) -> Sequence[Damage]:
    """The damage that keeps an operation that writes from the whole database; none: it may run.

    All tables and indexes of a SQLite file share its pages: damage in one of them keeps everything from the file, but
    a REINDEX where nothing but indexes is damaged.
    """
    if not engine.is_file:
        return [one for one in known if one.kind is DamagedKind.DATABASE]
    if operation is Operation.REINDEX and all(one.kind is DamagedKind.INDEX for one in known):
        return []
    return list(known)


def blocking(known: Collection[Damage], operation: Operation, engine: EngineName) -> list[Damage]:
    """The damage that keeps an operation that writes from anything, unless it is forced."""
    tables = frozenset[str]() if engine.is_file else blocked_tables(known, operation)
    everywhere = blocks_all(known, operation, engine)
    return [one for one in known if one in everywhere or (one.table or one.object) in tables]


def describe(known: Iterable[Damage]) -> str:
    """`check #18 found: index i is damaged`, with all of it."""
    by_source: dict[str, list[str]] = {}
    for one in known:
        texts = by_source.setdefault(seen_by(one), [])
        since = "" if one.written_by is None else f" (#{one.written_by} wrote to it since)"
        repaired = "its indexes were all rebuilt since" if one.is_loss else "repaired since, not checked again"
        since = f" ({repaired})" if one.is_repaired else since
        if (text := one.text + since) not in texts:
            texts.append(text)
    return "; ".join(f"{who}: {listed(texts, 3)}" for who, texts in by_source.items())


def seen_by(one: Damage) -> str:
    """`the check of #18 found damage`, without a period."""
    job = "" if one.job is None else f" #{one.job}"
    match one.source:
        case DamageSource.CHECK:
            return f"the check of{job} found damage" if job else "a check found damage"
        case DamageSource.MAP:
            return "the page map shows damage"
        case DamageSource.INSPECTION:
            return "an inspection met damage"
        case DamageSource.OPERATION:
            return f"job{job} met damage" if job else "an operation met damage"
        case DamageSource.RECOVERY:
            return f"after a crash{job and f' in{job}'} damage was found"
        case DamageSource.LOSS:
            return "rows are lost"
        case DamageSource.SERVER_LOST:
            return f"the server went down{job and f' in{job}'}"
