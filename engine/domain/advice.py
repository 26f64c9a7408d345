"""Advice: which operation a database needs and why; and which part of a request is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from engine.domain.damage import Damage, kept_from_rebuilds, seen_by, suspects
from engine.domain.frozen import frozen
from engine.domain.jobs import ParentJob
from engine.domain.past_runs import RecordedBackup
from engine.domain.requests import CheckLevel, Operation, Request
from engine.domain.steps import Facts, Micros
from engine.domain.thresholds import CRITICAL_DAYS, MOST_IDS, Thresholds
from engine.domain.turns import NO_TURNS, Turns

CRITICAL: Final = "critical"
"""The value of the fact `severity` if data are damaged, or a server is about to refuse writes."""


class Level(StrEnum):
    """How urgent an operation is."""

    NOW = "now"
    SOON = "soon"
    UNKNOWN = "unknown"
    """Not measured, or not measurable."""
    UNCHECKED = "unchecked"
    """A check is due, and nothing else is known to be wrong; as a level of advice: it would only find again what a
    person took note of. See `Advice.shown_level`."""
    SMALL = "small"
    """Only small tables, indexes or files need it. Only shown: see `Advice.shown_level`."""
    NONE = "none"


class CheckCause(StrEnum):
    """Why a check is due."""

    INDEXES_REBUILT = "indexes rebuilt"
    TABLES_REPAIRED = "tables repaired"
    NEVER_CHECKED = "never checked"
    NO_CLEAN_CHECK = "no clean check"
    NO_FULL_CHECK = "no full check"
    FULL_CHECK_OVERDUE = "full check overdue"
    QUICK_CHECK_OVERDUE = "quick check overdue"
    SERVER_STARTED = "server started since"
    """Tables of engines without transactions may have been damaged by a crash."""


_DUE: Final = frozenset(CheckCause)


class OldIds(StrEnum):
    """Ids of PostgreSQL that wrap around, by the word that names them as a cause where they are old."""

    XID = "xid_age"
    MULTIXACT = "multixact_age"

    @property
    def fact(self) -> str:
        """The name of the fact that holds the age of the oldest one."""
        return f"oldest_{self}"


@frozen
class DeadSpace:
    """Dead space in a table or index, in bytes."""

    name: str
    wasted: int
    size: int
    """Bytes of the whole object."""


def is_near_wraparound(ids: OldIds, facts: Facts, limits: Thresholds) -> bool:
    """Whether a server is about to run out of these ids: by their age, or within days at the present rate."""
    age, days = facts.get(ids.fact), facts.get("days_left") if ids is OldIds.XID else None
    is_old = isinstance(age, int) and age >= limits.age_critical * MOST_IDS
    return is_old or (isinstance(days, int | float) and days < CRITICAL_DAYS)


@frozen(kw_only=True)
class ByHand:
    """What only a person can put right: no operation does."""

    level: Level
    reason: str
    is_critical: bool = False
    """Whether the server is about to refuse writes."""
    neighbors: Mapping[str, bool] = field(default_factory=dict)
    """The other databases of its server that this is about, and whether each allows connections."""
    without_neighbors: ByHand | None = None
    """What else it is about."""

    @property
    def urgency(self) -> str:
        """Its level as a word, or `critical`."""
        return CRITICAL if self.is_critical else self.level


@frozen(kw_only=True)
class Advice:
    """Whether a database needs an operation."""

    operation: Operation
    level: Level
    reason: str
    """One line, with the numbers behind it."""
    cause: str = ""
    """Why it is needed, as a stable machine-readable word; empty if it is not needed, or its engine has none."""
    gain: str = ""
    """The expected gain, as text; empty if unknown or nothing."""
    facts: Facts = field(default_factory=dict)
    """The numbers, by name."""
    covered_by: Operation | None = None
    """The needed operation that includes this one's work. If that does not run, this one is needed."""
    covers: tuple[Operation, ...] = ()
    """The operations whose needed work it includes."""
    objects: tuple[str, ...] = ()
    """The objects that need it; none: the whole database."""
    dead_space: tuple[DeadSpace, ...] = ()
    """Where the most can be won, the largest first."""
    check: CheckLevel | None = None
    """The level of the check that is needed."""
    before_writing: CheckLevel | None = None
    """The level of the check required before anything is written; None if a clean check is on record."""
    inspection_can_tell: bool = True
    """If the level is unknown: whether a full inspection can determine it."""
    obstacles: tuple[str, ...] = ()
    """What prevents it from helping, fully or in part; one sentence each, also in the reason."""
    excluded_tables: tuple[str, ...] = ()
    """The tables it must skip: they are damaged, or cannot be maintained here."""
    needs_manual_fix: bool = False
    """Whether a person must fix something first; until then it would only repeat its findings."""
    by_hand: ByHand | None = None
    """Findings that only a person can put right: to run the operation does not help."""
    is_for_primary: bool = False
    """Whether it is done on the primary, as this database is a standby: here it is not needed."""
    seen_damage: tuple[Damage, ...] = ()
    """Of a check: the damage that this inspection saw, and that was not on record."""
    level_of_large: Level | None = None
    """Its level if small tables, indexes and files did not count; None: the same."""

    @property
    def is_urgent(self) -> bool:
        """Whether it is due now or soon."""
        return self.level in {Level.NOW, Level.SOON}

    @property
    def is_merely_due(self) -> bool:
        """Whether it is a check that is due although the last one found nothing that is still wrong."""
        return self.operation is Operation.CHECK and self.cause in _DUE

    @property
    def is_needed(self) -> bool:
        """Whether running it is the right action."""
        return self.is_urgent and not self.needs_manual_fix

    @property
    def shown_level(self) -> Level:
        """Its level wherever it is shown, and as it counts for its target: small objects, and a check that is due,
        are no reason to hurry, and no sign that all is well."""
        if self.is_merely_due and self.is_urgent:
            return Level.UNCHECKED
        if self.level_of_large is None or not self.is_urgent:
            return self.level
        return Level.SMALL if self.level_of_large is Level.NONE else self.level_of_large

    @property
    def urgency(self) -> str:
        """Its shown level as a word, or `critical`."""
        return str(self.facts.get("severity") or self.shown_level)


def all_by_hand(advice: Iterable[Advice]) -> list[ByHand]:
    """The findings that only a person can put right."""
    return [item.by_hand for item in advice if item.by_hand is not None]


def not_needed(
    operation: Operation, reason: str, facts: Facts = MappingProxyType({}), *, covered_by: Operation | None = None
) -> Advice:
    """Advice that an operation is not needed."""
    return Advice(operation=operation, level=Level.NONE, reason=reason, facts=facts, covered_by=covered_by)


@frozen(kw_only=True)
class CheckFinding:
    """A check that found something."""

    job: int
    at: Micros
    findings: int
    orphans: int = 0
    """Rows whose foreign key refers to a missing row."""
    is_all: bool = True
    """Whether another check of the same file could not find more."""


@frozen
class CompletedStep:
    """What a completed step did, and when it finished."""

    at: Micros
    effect: Facts


@frozen
class PastJob:
    """A job that completed, and when it finished."""

    job: int
    at: Micros


@frozen(kw_only=True)
class Measurement:
    """The result of a full inspection of a database."""

    state: str
    """A fingerprint that changes with every write to the database."""
    found: Mapping[str, Any]
    """JSON-able; its meaning is private to the database engine."""


def with_replaced(file: str, replaced: Mapping[str, str]) -> tuple[str, ...]:
    """The file with this key, and those before it whose place it took. `replaced`: see `TargetHistory`."""
    files = [file]
    while (before := replaced.get(files[-1])) is not None and before not in files:
        files.append(before)
    return tuple(files)


@frozen(kw_only=True)
class TargetRecords:
    """What the store knows of a target, as `JobReader.records` reads it. Jobs are newest first."""

    jobs: Sequence[ParentJob]
    """The newest; without any, the rest but `measured` and `damage` is empty."""
    newest: Mapping[Operation, Sequence[ParentJob]] = field(default_factory=dict)
    """The newest jobs with each operation that was asked for."""
    measured: Measurement | None = None
    """The result of the last full inspection."""
    damage: Sequence[Damage] = ()
    """All that is known to be damaged."""
    backups: Sequence[RecordedBackup] = ()
    """The backups that jobs completed, newest first."""
    last_done: Mapping[tuple[Operation, str], CompletedStep] = field(default_factory=dict)
    """The last VACUUM of each table and the last REINDEX of each index of a server's database.

    Keys are (VACUUM or REINDEX, object). A VACUUM that removed all dead rows is left out.
    """


_AS_DENSE: Final = 1.2
"""Up to this multiple of its bytes a row after its last rebuild an object counts as packed: rows are estimates."""


@frozen(kw_only=True)
class TargetHistory:
    """What the job history says of a database."""

    now: Micros
    checked_at: Mapping[CheckLevel, Micros] = field(default_factory=dict)
    """When a check of each level was last clean. A full check counts as a quick one, too."""
    others_checked_at: Mapping[CheckLevel, Micros] = field(default_factory=dict)
    """The same of checks that left out nothing but tables under which a server went down."""
    first_quick_at: Micros | None = None
    """When the first of the quick checks was clean that no full check came before; None: that of `checked_at`."""
    compared_at: Micros | None = None
    """When a full check last covered the whole database, clean or not: only it compares indexes with their tables."""
    is_checked: bool = False
    """Whether the result of any check of this file is on record, of all of it or of a part."""
    checked_other_file: bool = False
    """Whether a check on record was of another file at the same path."""
    damaged_indexes: tuple[str, ...] = ()
    """Indexes that the last check found damaged and that were not rebuilt since."""
    damaged_tables: tuple[str, ...] = ()
    """Tables that the last check found damaged, if its engine checks each table by itself."""
    damaged_pages: tuple[int, ...] = ()
    """Pages of a file that the last check names, if no operation has moved pages since."""
    repaired_tables: tuple[str, ...] = ()
    """Tables that the last check found damaged and that were repaired since."""
    rebuilt_indexes: tuple[str, ...] = ()
    """Indexes that the last check found damaged and that were rebuilt since."""
    failed_rebuilds: Mapping[str, int] = field(default_factory=dict)
    """Damaged indexes whose last rebuild failed, each with the id of that job."""
    damage: str | None = None
    """Other damage that the last check found, or that is on record."""
    damage_by: Damage | None = None
    """The record of this damage, if it is not the last check that found it."""
    known_damage: tuple[Damage, ...] = ()
    """All that is known to be damaged, whoever saw it."""
    accepted_damage: tuple[Damage, ...] = ()
    """Damage on record that a person has accepted: it no longer counts."""
    broken_rule: str | None = None
    """Rows or foreign keys that violate a constraint, by the last check; no damage."""
    broken_rule_found: CheckFinding | None = None
    """The check that found it."""
    found: CheckFinding | None = None
    """The check that found the damage; without damage, the newest one whose findings still hold."""
    vacuumed: PastJob | None = None
    """The newest job with a completed VACUUM."""
    backed_up_at: Micros | None = None
    """When a backup last completed."""
    backups: tuple[RecordedBackup, ...] = ()
    """Its backups on record, newest first, wherever they are and whether or not they still exist."""
    replaced_files: Mapping[str, str] = field(default_factory=dict)
    """The files that took the place of others by an exchange, each with that one; by their keys."""
    maintained_files: frozenset[str] | None = None
    """The paths of all files that are targets of the config file or of an open job; None if unknown."""
    jobs: Sequence[ParentJob] | None = None
    """All jobs of the target, newest first; None if they are many."""
    ran: Mapping[Operation, PastJob] = field(default_factory=dict)
    """By operation: the newest recent job in which it completed."""
    measured: Measurement | None = None
    """The result of the last full inspection."""
    dead_rows_kept: Mapping[str, CompletedStep] = field(default_factory=dict)
    """By table of a server: the last VACUUM, if it could not remove all dead rows."""
    indexes_tended: Mapping[str, CompletedStep] = field(default_factory=dict)
    """By index of a PostgreSQL server: the last time that its part of a VACUUM was done alone."""
    rebuilt: Mapping[str, CompletedStep] = field(default_factory=dict)
    """By index or table of a server: its last rebuild."""
    turns: Turns = NO_TURNS
    """Which of its objects come first in a plan."""

    @property
    def last_checks(self) -> Mapping[CheckLevel, Micros]:
        """When a check of each level was last clean: of all, or of all but the tables under which a server went down.
        Until the next one is due, it would tell the same."""
        both = (self.checked_at, self.others_checked_at)
        return {
            level: max(one.get(level, 0) for one in both) for level in {**self.checked_at, **self.others_checked_at}
        }

    @property
    def unread_tables(self) -> tuple[str, ...]:
        """The tables of a server that nothing reads unasked: damaged ones, and those under which it went down, also
        where a person took note of that."""
        return (*self.damaged_tables, *suspects(self.accepted_damage))

    @property
    def kept_tables(self) -> frozenset[str]:
        """The tables of a server that nothing rebuilds, with their indexes, but --force."""
        return kept_from_rebuilds(self.accepted_damage) | {*self.damaged_tables}

    @property
    def accepted_at(self) -> Micros | None:
        """When a person last took note of damage that a check would find again; None: there is none."""
        return max((one.accepted_at or 0 for one in self.accepted_damage if one.is_seen_by_checks), default=None)

    def has_size_of_rebuild(self, name: str, size: int, rows: float) -> bool:
        """Whether an index or table has no more bytes a row than after its last rebuild: then an estimate of its dead
        space is wrong. False where the rows of that time are not known."""
        effect: Facts = self.rebuilt[name].effect if name in self.rebuilt else {}
        size_then, rows_then = effect.get("size"), effect.get("rows")
        if not (isinstance(size_then, int) and isinstance(rows_then, int) and rows_then > 0):
            return False
        return size * rows_then <= _AS_DENSE * size_then * rows

    @property
    def damage_found(self) -> str:
        """`the last check found damage (#18)`; "" where it found none, or none beyond indexes."""
        if self.damage is None:
            return ""
        if self.damage_by is not None:
            return seen_by(self.damage_by)
        return "the last check found damage" + (f" (#{self.found.job})" if self.found else "")


FORCE_CHOOSES_NOTHING: Final = "--force does not change what --needed chooses: name operations with --op"


def blocking_check(request: Request, advice: Sequence[Advice]) -> Advice | None:
    """The advice on a check if what it found must be put right by a person before the request may run."""
    check = next((item for item in advice if item.operation is Operation.CHECK), None)
    if check is None:
        return None
    is_asked = Operation.CHECK in request.operations
    return check if check.level is Level.NOW or (check.needs_manual_fix and is_asked) else None


_OF_WHATEVER_OBJECTS: Final = frozenset({Operation.ANALYZE, Operation.FTS_OPTIMIZE})


NEEDS_SOUND_DATA: Final = frozenset(
    {Operation.VACUUM, Operation.ANALYZE, Operation.OPTIMIZE, Operation.INCREMENTAL_VACUUM, Operation.FTS_OPTIMIZE}
)
"""Operations that must not run on a damaged database. REINDEX is not one: it repairs indexes."""


def highest_level(advice: Sequence[Advice | ByHand]) -> Level:
    """The level of the most urgent one."""
    return most_urgent_level(item.level for item in advice)


def shown_level(advice: Sequence[Advice]) -> Level:
    """The level that is shown for all of it, with what a person must put right."""
    return most_urgent_level([*(item.shown_level for item in advice), *(item.level for item in all_by_hand(advice))])


def most_urgent_level(levels: Iterable[Level]) -> Level:
    found = {*levels}
    return next((level for level in Level if level in found), Level.NONE)


def needed(request: Request, advice: Sequence[Advice]) -> Request | None:
    """The part of a request that the advice calls for, in the order of the advice; None if nothing is needed.

    An index that is damaged is rebuilt alone, and a check in the same request looks at its table only, where nothing
    else is to be done: that of the whole database stays due.
    """
    wanted = [item for item in advice if item.operation in request.operations and _is_called_for(item, request)]
    if not wanted:
        return None
    covered = {operation for one in wanted for operation in one.covers}
    wanted = [one for one in wanted if one.operation not in covered]
    operations, options = [one.operation for one in wanted], request.options
    if not options.objects and _share_objects(wanted):
        options = replace(options, objects=tuple(name for one in wanted for name in one.objects))
    elif not options.objects:
        rebuild = [one.objects for one in wanted if one.operation is Operation.REINDEX]
        options = replace(options, rebuild=rebuild[0] if rebuild else ())
    options = replace(options, leave_out=tuple(dict.fromkeys(name for one in wanted for name in one.excluded_tables)))
    if options.check is None:
        options = replace(options, check=next((one.check for one in wanted if one.check), None))
    before, may_check = _before_writing(advice), Operation.CHECK in request.operations and not options.verify
    if before and may_check and not NEEDS_SOUND_DATA.isdisjoint(operations):
        operations = operations if Operation.CHECK in operations else [Operation.CHECK, *operations]
        options = replace(options, check=options.check or before)
    if options.verify and Operation.CHECK in operations:  # the check that is due is one of those around the others
        if len(operations) == 1:
            options = replace(options, verify=False)
        else:
            operations.remove(Operation.CHECK)
    return checked_first(replace(request, operations=tuple(operations), options=options), advice)


def if_needed(request: Request, limits: Thresholds) -> Request:
    """The request for a target that only other hosts can inspect: the worker there skips needless operations.

    Damaged indexes come first, then the check, and nothing else follows one that failed.
    """
    options = replace(request.options, if_needed=limits)
    first = [one for one in (Operation.REINDEX, Operation.CHECK) if one in request.operations]
    others = [one for one in request.operations if one not in first]
    if options.verify:
        first = [one for one in first if one is Operation.REINDEX or not others]
    elif Operation.CHECK in first:
        options = replace(options, check_first=True)
    return replace(request, operations=(*first, *others), options=options)


def checked_first(request: Request, advice: Sequence[Advice]) -> Request:
    """Move the check of a request before the operations that need it, if the advice requires a check first."""
    wanted = _before_writing(advice) is not None and not request.options.verify
    others = [operation for operation in request.operations if operation is not Operation.CHECK]
    place = next((place for place, operation in enumerate(others) if operation in NEEDS_SOUND_DATA), None)
    if not wanted or place is None or Operation.CHECK not in request.operations:
        return request
    operations = (*others[:place], Operation.CHECK, *others[place:])
    return replace(request, operations=operations, options=replace(request.options, check_first=True))


def _before_writing(advice: Sequence[Advice]) -> CheckLevel | None:
    return next((item.before_writing for item in advice if item.before_writing), None)


def _share_objects(wanted: Sequence[Advice]) -> bool:
    """Whether all operations can run on the same named objects: a request names objects for all of them."""
    if len(wanted) == 1:
        return True
    own = all(one.objects or one.operation is Operation.CHECK for one in wanted)
    return own and all(one.operation not in _OF_WHATEVER_OBJECTS for one in wanted)


def _is_called_for(item: Advice, request: Request) -> bool:
    return item.is_needed or (item.covered_by is not None and item.covered_by not in request.operations)
