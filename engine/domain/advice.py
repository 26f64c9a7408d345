"""What needs which operation, and why; and what of a request is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from typing import Any, Final

from engine.domain.frozen import frozen
from engine.domain.requests import CheckLevel, Operation, Request
from engine.domain.steps import Facts, Micros

CRITICAL: Final = "critical"
"""What the fact `severity` says where data are damaged."""


class Level(StrEnum):
    """How urgent an operation is."""

    NOW = "now"
    SOON = "soon"
    UNKNOWN = "unknown"
    """What would tell was not looked at, or is not there to be looked at."""
    NONE = "none"


@frozen(kw_only=True)
class Advice:
    """Whether a database needs an operation."""

    operation: Operation
    level: Level
    reason: str
    """One line, with the numbers that it goes by."""
    cause: str = ""
    """Why it is needed, as a word that does not change; empty where it is not, or its engine has no such words."""
    gain: str = ""
    """What it is expected to bring, in words; empty where that cannot be said, or is nothing."""
    facts: Facts = field(default_factory=dict)
    """The numbers, by name."""
    covered_by: Operation | None = None
    """The operation that is needed and does this one's work, too: where it does not run, this one is needed."""
    covers: tuple[Operation, ...] = ()
    """Where it is needed and runs, it does all that is needed of these, too."""
    objects: tuple[str, ...] = ()
    """What it is needed for; none: the whole database."""
    check: CheckLevel | None = None
    """How thorough a check is needed."""
    before_writing: CheckLevel | None = None
    """How thorough a check has to come before anything is written; None where a clean one is known."""
    inspection_can_tell: bool = True
    """Of what is unknown: whether it can be found out by looking at everything."""
    obstacles: tuple[str, ...] = ()
    """Why to run it helps nothing, or not everything, as long as that is so; a sentence each, also in the reason."""
    excluded_tables: tuple[str, ...] = ()
    """The tables that nothing is done to, as they are damaged, or cannot be worked on here."""
    needs_manual_fix: bool = False
    """Whether somebody has to put something right first: before that it would only say the same again."""

    @property
    def is_urgent(self) -> bool:
        """Whether there is something to do about it."""
        return self.level in {Level.NOW, Level.SOON}

    @property
    def is_needed(self) -> bool:
        """Whether it is known that to run it is what there is to do."""
        return self.is_urgent and not self.needs_manual_fix

    @property
    def urgency(self) -> str:
        """Its level in a word, or what is worse than to be needed now: `critical`, as data are damaged."""
        return str(self.facts.get("severity") or self.level)


@frozen(kw_only=True)
class CheckFinding:
    """That a check found something."""

    job: int
    at: Micros
    findings: int
    orphans: int = 0
    """Rows that refer to rows which are not there."""
    is_all: bool = True
    """Whether another check of the same file could find nothing more."""


@frozen
class CompletedStep:
    """What a step did, and when it was over."""

    at: Micros
    effect: Facts


@frozen
class PastJob:
    """A job that completed, and when it was over."""

    job: int
    at: Micros


@frozen(kw_only=True)
class Measurement:
    """What a look at everything found out of a database."""

    state: str
    """The same as long as nobody has written to it."""
    found: Mapping[str, Any]
    """JSON-able; only the engine of the database knows what it means."""


@frozen(kw_only=True)
class TargetHistory:
    """What our own history says of a database."""

    now: Micros
    checked_at: Mapping[CheckLevel, Micros] = field(default_factory=dict)
    """When a check of that level last found nothing at all. A full one counts as a quick one, too."""
    compared_at: Micros | None = None
    """When a full check last looked at everything, whatever it found: no other compares indexes with their tables."""
    checked_other_file: bool = False
    """Whether a check on record was of another file, which lay at the same path then."""
    damaged_indexes: tuple[str, ...] = ()
    """Those that the last check found to differ from their tables, unless they were rebuilt since."""
    damaged_tables: tuple[str, ...] = ()
    """Where a check looks at each table by itself: those that the last one found damaged."""
    rebuilt_indexes: tuple[str, ...] = ()
    """Those that the last check found to differ from their tables, and that were rebuilt since."""
    failed_rebuilds: Mapping[str, int] = field(default_factory=dict)
    """Damaged indexes that could not be rebuilt, each with the job that tried it last."""
    damage: str | None = None
    """What else the last check found damaged."""
    broken_rule: str | None = None
    """What the last check found that is no damage: rows, or foreign keys, that break a rule of the schema."""
    found: CheckFinding | None = None
    """The check that found the damage; where there is none, the newest that found something which counts still."""
    vacuumed: PastJob | None = None
    """The newest job in which VACUUM completed."""
    backed_up_at: Micros | None = None
    """When a backup last completed."""
    ran: Mapping[Operation, PastJob] = field(default_factory=dict)
    """The newest of the last jobs in which an operation completed."""
    measured: Measurement | None = None
    """What the last look at everything found out."""
    dead_rows_kept: Mapping[str, CompletedStep] = field(default_factory=dict)
    """On a server, by table: the last VACUUM, where it could not remove all that was dead."""
    rebuilt: Mapping[str, CompletedStep] = field(default_factory=dict)
    """On a server, by index: its last rebuild."""

    @property
    def damage_found(self) -> str:
        """`the last check found damage (#18)`; "" where it found none, or none beyond indexes."""
        if self.damage is None:
            return ""
        return "the last check found damage" + (f" (#{self.found.job})" if self.found else "")


_OF_WHATEVER_OBJECTS: Final = frozenset({Operation.ANALYZE, Operation.FTS_OPTIMIZE})


NEEDS_SOUND_DATA: Final = frozenset(
    {
        Operation.VACUUM,
        Operation.ANALYZE,
        Operation.OPTIMIZE,
        Operation.INCREMENTAL_VACUUM,
        Operation.FTS_OPTIMIZE,
    }
)
"""What must not be done to a damaged database. REINDEX is done because a check has found damage."""


def worst(advice: Sequence[Advice]) -> Level:
    """How urgent the most urgent operation is."""
    levels = {one.level for one in advice}
    return next((level for level in Level if level in levels), Level.NONE)


def needed(request: Request, advice: Sequence[Advice]) -> Request | None:
    """What of a request the advice calls for, in the order of the advice; None where that is nothing.

    An index that is damaged is rebuilt alone, and a check in the same request looks at its table only, where nothing
    else is to be done: that of the whole database stays due.
    """
    wanted = [one for one in advice if one.operation in request.operations and _is_called_for(one, request)]
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


def checked_first(request: Request, advice: Sequence[Advice]) -> Request:
    """Where the advice wants a check before anything is written: the check of a request before what it must precede."""
    wanted = _before_writing(advice) is not None and not request.options.verify
    others = [operation for operation in request.operations if operation is not Operation.CHECK]
    place = next((place for place, operation in enumerate(others) if operation in NEEDS_SOUND_DATA), None)
    if not wanted or place is None or Operation.CHECK not in request.operations:
        return request
    operations = (*others[:place], Operation.CHECK, *others[place:])
    return replace(request, operations=operations, options=replace(request.options, check_first=True))


def _before_writing(advice: Sequence[Advice]) -> CheckLevel | None:
    return next((one.before_writing for one in advice if one.before_writing), None)


def _share_objects(wanted: Sequence[Advice]) -> bool:
    """Whether what one needs an operation for is nothing to the others: a request names objects for all of them."""
    if len(wanted) == 1:
        return True
    own = all(one.objects or one.operation is Operation.CHECK for one in wanted)
    return own and all(one.operation not in _OF_WHATEVER_OBJECTS for one in wanted)


def _is_called_for(one: Advice, request: Request) -> bool:
    return one.is_needed or (one.covered_by is not None and one.covered_by not in request.operations)
