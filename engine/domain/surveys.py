"""The survey of a target: what its last inspection says; and the order of urgency among many targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Final

from engine.domain.engines import EngineName
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome
from engine.domain.steps import Facts, Micros


class FleetLevel(StrEnum):
    """How urgent a target is, the most urgent first."""

    CRITICAL = "critical"
    """Data are damaged, or the database will soon accept no writes."""
    NOW = "now"
    SOON = "soon"
    UNCHECKED = "unchecked"
    """It was never checked, or too long ago, and nothing else is known to need attention soon."""
    SMALL = "small"
    """Only small tables, indexes or files need something."""
    OK = "ok"
    UNKNOWN = "unknown"
    """It is there, and cannot be inspected now, or was not measured in the time of a survey."""
    UNREACHABLE = "unreachable"


_BY_URGENCY: Final = (
    FleetLevel.CRITICAL,
    FleetLevel.UNREACHABLE,
    FleetLevel.NOW,
    FleetLevel.SOON,
    FleetLevel.UNKNOWN,
    FleetLevel.UNCHECKED,
    FleetLevel.SMALL,
    FleetLevel.OK,
)
URGENCY: Final[Mapping[FleetLevel, int]] = {level: place for place, level in enumerate(_BY_URGENCY)}
"""The order in which targets are listed: what cannot be opened is not lost behind hundreds that need nothing."""


class SurveyCause(StrEnum):
    """Why a target has its level, the most urgent first within one level."""

    DAMAGE = "damage"
    """A check found damage."""
    CANNOT_BE_READ = "cannot_be_read"
    """It says that it is a database, and cannot be opened as one."""
    NO_LONGER_A_DATABASE = "no_longer_a_database"
    """It was a database when it was surveyed before. Now its file is empty, a directory, or has lost its header."""
    XID_AGE = "xid_age"
    MULTIXACT_AGE = "multixact_age"
    OLD_NEIGHBORS = "old_neighbors"
    """Other databases of its server run out of transaction ids: then it accepts no writes either."""
    AUTO_INCREMENT = "auto_increment"
    """A column that numbers rows has nearly no numbers left."""
    DISK_FULL = "disk_full"
    HOT_JOURNAL = "hot_journal"
    """A process died in a transaction on the file; the transaction must be rolled back."""
    RECLAIMABLE = "reclaimable"
    DEAD_ROWS = "dead_rows"
    """Rows that VACUUM removes from tables of a server, or freezes."""
    INDEXES = "indexes"
    """Indexes to rebuild."""
    STATISTICS = "statistics"
    LONG_LOG = "long_log"
    SEGMENTS = "segments"
    """A full-text index is in many parts."""
    LEFTOVERS = "leftovers"
    UNDO = "undo"
    """Old versions of rows that are not purged, or their undo log is large."""
    OTHER = "other"
    """Another operation is needed; the fact `operation` names it."""
    BROKEN_RULE = "broken_rule"
    """A check found rows that violate a constraint."""
    ACCEPTED_DAMAGE = "accepted_damage"
    """Damage that a person has accepted: it no longer counts."""
    NEEDLESS_INDEXES = "needless_indexes"
    """Indexes that a DBA may drop: duplicates, first keys of others, never used."""
    CHECK_OVERDUE = "check_overdue"
    NEVER_CHECKED = "never_checked"
    LOCKED = "locked"
    REFUSED = "refused"
    NOT_MEASURED = "not_measured"
    """Whether it needs some operations, was not measured; the fact `operations` names them."""
    GONE = "gone"
    """It was there before. Now there is no such file or database."""
    NO_ANSWER = "no_answer"
    UNAVAILABLE = "unavailable"


LOST: Final = frozenset({SurveyCause.NO_LONGER_A_DATABASE, SurveyCause.GONE})
"""What became of a database that the store knows. It counts until a person has it forgotten."""
NOT_INSPECTED: Final = LOST | {
    SurveyCause.HOT_JOURNAL,
    SurveyCause.LOCKED,
    SurveyCause.REFUSED,
    SurveyCause.NO_ANSWER,
    SurveyCause.UNAVAILABLE,
}
"""Why a target has a survey without an inspection: it is surveyed again."""


@frozen
class SurveyReason:
    """One reason for a level, with its numbers."""

    level: FleetLevel
    cause: SurveyCause
    facts: Facts = field(default_factory=dict)


@frozen(kw_only=True)
class Survey:
    """The result of the last inspection of a target."""

    target: str
    """Its canonical URL."""
    engine: EngineName
    surveyed_at: Micros
    level: FleetLevel
    reasons: tuple[SurveyReason, ...] = ()
    """The most urgent first; none: it needs nothing."""
    version: str = ""
    """The version of its server, or of SQLite."""
    size: int | None = None
    """Bytes; None where it could not be inspected."""
    reclaimable: int = 0
    """Bytes that maintenance would give back."""
    checked_at: Micros | None = None
    """When a check was last clean; None if never."""
    is_unclean: bool = False
    """Whether it was checked, and no check on record was clean."""
    state: str = ""
    """A fingerprint that changes with every write to the file; "" where there is none."""
    figures_at: Micros | None = None
    """When an earlier survey took its figures, which stay while it cannot be inspected; None: they are of this one."""

    @property
    def reason(self) -> SurveyReason | None:
        """The most urgent one."""
        return self.reasons[0] if self.reasons else None

    @property
    def urgency(self) -> tuple[int, int]:
        """A sort key: the most urgent first, and in a level where most is to be gained."""
        return URGENCY[self.level], -self.reclaimable


def with_figures_of(survey: Survey, earlier: Survey | None) -> Survey:
    """A survey; one without a size, as its target could not be inspected, with the figures of an earlier one."""
    if survey.size is not None or earlier is None or earlier.size is None:
        return survey
    checks = survey if survey.checked_at is not None or survey.is_unclean else earlier
    return replace(
        survey,
        version=earlier.version,
        size=earlier.size,
        reclaimable=earlier.reclaimable,
        checked_at=checks.checked_at,
        is_unclean=checks.is_unclean,
        figures_at=earlier.figures_at or earlier.surveyed_at,
    )


@frozen
class LastJob:
    """The newest job of a target."""

    id: int
    outcome: JobOutcome
    finished_at: Micros | None
    ran_until: Micros | None
    """When an operation on this target ended last that had begun to run; None if none did."""
    turn: int = 0
    """The id of the newest job that its window let begin; if it left out steps, that of the job before; 0 for none.

    A target with a lower turn comes first: so the rest of a job comes soon, and delays no other target."""


def counts(levels: Iterable[FleetLevel]) -> Mapping[FleetLevel, int]:
    """How many there are of each level, all levels included, the most urgent first."""
    found = dict.fromkeys(FleetLevel, 0)
    for level in levels:
        found[level] += 1
    return found


def most_urgent(reasons: Iterable[SurveyReason]) -> tuple[SurveyReason, ...]:
    """The reasons, the most urgent first."""
    levels, causes = list(FleetLevel), list(SurveyCause)
    return tuple(sorted(reasons, key=lambda one: (levels.index(one.level), causes.index(one.cause))))
