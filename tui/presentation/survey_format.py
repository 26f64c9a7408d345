"""Surveys as text and as JSON: phrases of reasons, the line of counts, a table that fits. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from engine.config.model import TargetEntry
from engine.domain.damage import DamageSource
from engine.domain.engines import EngineName, engine_spec
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.steps import Facts, Micros
from engine.domain.surveys import FleetLevel, LastJob, Survey, SurveyCause, SurveyReason, counts
from engine.fleet.patterns import natural_order
from tui.presentation.fact_format import number, text
from tui.presentation.json_fields import fields
from tui.presentation.target_names import TargetName
from tui.presentation.text import cells, counted, local_time, padded, percent, plain, rfc3339, shortened, size

_DAMAGE: Final = {
    DamageSource.LOSS.value: "rows are lost",
    DamageSource.SERVER_LOST.value: "the server went down under a table",
}
"""By who saw it."""
_GAP: Final = "  "
_LEAST_WHY: Final = 24
"""Cells that the reason has at least, before other columns are dropped."""
_LEAST_NAME: Final = 16
_NOT_SEEN: Final = {SurveyCause.NO_LONGER_A_DATABASE, SurveyCause.GONE, SurveyCause.UNAVAILABLE, SurveyCause.NO_ANSWER}
_TOLD_OF_OK: Final = {SurveyCause.ACCEPTED_DAMAGE, SurveyCause.NEEDLESS_INDEXES}
"""What is told also of a target that needs nothing."""
DAY: Final = 86_400 * 1_000_000
"""Microseconds."""


@frozen
class FleetRow:
    entry: TargetEntry
    survey: Survey
    last_job: LastJob | None = None
    next_due: Micros | None = None
    """When a schedule starts it next."""


_WITHOUT_FACTS: Final[Mapping[SurveyCause, str]] = {
    SurveyCause.DAMAGE: "damage found",
    SurveyCause.HOT_JOURNAL: "hot journal: a check rolls it back",
    SurveyCause.STATISTICS: "old or no statistics",
    SurveyCause.CHECK_OVERDUE: "check overdue",
    SurveyCause.NEVER_CHECKED: "never checked",
}


def phrase(reason: SurveyReason) -> str:
    """One reason, harmless to a terminal: `1.00 GB in free pages`."""
    facts = reason.facts
    match reason.cause:
        case SurveyCause.DAMAGE:
            return _DAMAGE.get(str(facts.get("source")), _WITHOUT_FACTS[reason.cause])
        case SurveyCause.HOT_JOURNAL | SurveyCause.STATISTICS | SurveyCause.CHECK_OVERDUE | SurveyCause.NEVER_CHECKED:
            return _WITHOUT_FACTS[reason.cause]
        case SurveyCause.XID_AGE:
            return _xid_age(facts)
        case SurveyCause.MULTIXACT_AGE:
            return f"multixact age {_large(number(facts, 'age'))} of {_large(number(facts, 'most'))}"
        case SurveyCause.OLD_NEIGHBORS:
            return plain(f"wraparound near in {_databases(facts)} of its server")
        case SurveyCause.AUTO_INCREMENT:
            return f"auto-increment {number(facts, 'auto_increment_percent') or 0:.0f}% used"
        case SurveyCause.DISK_FULL:
            return f"only {size(number(facts, 'free'))} free on its disk of {size(number(facts, 'size'))}"
        case SurveyCause.RECLAIMABLE:
            return _reclaimable(facts)
        case SurveyCause.DEAD_ROWS:
            return f"{_counted(facts, 'tables', 'table')} to vacuum"
        case SurveyCause.INDEXES:
            wasted = number(facts, "wasted_bytes")
            return f"{_counted(facts, 'indexes', 'index')} to rebuild" + (f", {size(wasted)} back" if wasted else "")
        case SurveyCause.LONG_LOG:
            return f"write-ahead log of {size(number(facts, 'wal_size'))}"
        case SurveyCause.SEGMENTS:
            return f"full-text index in {_counted(facts, 'segments', 'segment')}"
        case SurveyCause.LEFTOVERS:
            return _counted(facts, "leftovers", "leftover")
        case SurveyCause.UNDO:
            undo = size(number(facts, "undo_bytes"))
            return f"{_large(number(facts, 'history'))} transactions to purge, undo log {undo}"
        case SurveyCause.OTHER:
            return f"needs {text(facts, 'operation')}"
        case SurveyCause.BROKEN_RULE:
            is_orphans = number(facts, "orphans")
            return _counted(facts, "orphans", "orphan") if is_orphans else _counted(facts, "findings", "broken rule")
        case SurveyCause.ACCEPTED_DAMAGE:
            return plain(f"damage accepted by {text(facts, 'by')}")
        case SurveyCause.NEEDLESS_INDEXES:
            in_them = size(number(facts, "needless_bytes"))
            return f"{_counted(facts, 'needless_indexes', 'index')} may be needless, {in_them}"
        case SurveyCause.NO_ANSWER:
            return f"no answer in {number(facts, 'seconds') or 0:g} s"
        case SurveyCause.NOT_MEASURED:
            operations = facts.get("operations")
            return plain(f"not measured: {', '.join(map(str, operations)) if isinstance(operations, list) else '?'}")
        case SurveyCause.NO_LONGER_A_DATABASE:
            return f"no longer a database: {text(facts, 'error')}"
        case SurveyCause.GONE:
            return f"gone: {text(facts, 'error')}"
        case SurveyCause.CANNOT_BE_READ | SurveyCause.LOCKED | SurveyCause.REFUSED | SurveyCause.UNAVAILABLE:
            return text(facts, "error")


def _reclaimable(facts: Facts) -> str:
    free, all_of_it = number(facts, "free_bytes") or 0, number(facts, "reclaimable_bytes") or 0
    if wasted := number(facts, "wasted_bytes"):
        return f"{_counted(facts, 'tables', 'table')} to rebuild, {size(wasted)} back"
    return f"{size(free)} in free pages" if free >= 0.8 * all_of_it else f"{size(all_of_it)} reclaimable"


def _databases(facts: Facts) -> str:
    names = facts.get("databases")
    return listed([str(name) for name in names], 3) if isinstance(names, list | tuple) else "?"


def _xid_age(facts: Facts) -> str:
    days = number(facts, "days_left")
    age = f"xid age {_large(number(facts, 'age'))} of {_large(number(facts, 'most'))}"
    if days is None:
        return age
    left = counted(round(days), "day") if days >= 1 else counted(round(days * 24), "hour")
    return f"{age}, {left} left"


def why(survey: Survey) -> str:
    """The most urgent reason, with damage that was accepted, or needless indexes; "" where nothing is needed."""
    is_told = survey.level is not FleetLevel.OK or not _TOLD_OF_OK.isdisjoint(reason.cause for reason in survey.reasons)
    accepted = [reason for reason in survey.reasons[1:] if reason.cause is SurveyCause.ACCEPTED_DAMAGE]
    return "; ".join(map(phrase, (*survey.reasons[:1], *accepted))) if is_told else ""


def why_or_why_not(entry: TargetEntry, survey: Survey, width: int | None = None) -> str:
    """Why a target has its level; of a file that is ok despite many free pages: `74% reclaimable, below 16.0 MB`.

    In fewer cells (`width`) that is `74%, below 16.0 MB`.

    Of one that could not be inspected also how old its figures are: `no answer in 5 s; figures of 11-24 03:12`.
    """
    if survey.figures_at is not None:
        return f"{why(survey)}; figures of {local_time(survey.figures_at)[5:16]}"
    limits = entry.thresholds
    if survey.level is not FleetLevel.OK or not survey.engine.is_file or not survey.size:
        return why(survey)
    share = survey.reclaimable / survey.size
    is_much = share >= limits.reclaim_soon_share and survey.reclaimable < limits.reclaim_soon
    if not is_much:
        return ""
    below = f", below {size(limits.reclaim_soon)}"
    whole = f"{percent(share)} reclaimable{below}"
    return whole if width is None or cells(whole) <= width else percent(share) + below


def counts_line(levels: Iterable[FleetLevel]) -> str:
    """`312 targets: 2 critical, 14 now, 40 soon, 251 ok, 5 unreachable`."""
    found = counts(levels)
    parts = [f"{count:,} {level}" for level, count in found.items() if count]
    return f"{counted(sum(found.values()), 'target')}: {', '.join(parts)}" if parts else "no target"


def sorted_rows(rows: Iterable[FleetRow]) -> list[FleetRow]:
    """The most urgent level first, in each level where most is to be gained, then by name: t2 before t10."""
    return sorted(rows, key=lambda row: (*row.survey.urgency, natural_order(row.entry.name)))


def table(rows: Sequence[FleetRow], now: int, width: int | None) -> list[str]:
    """A header and a line for each row, in columns; at most `width` cells wide, without the least important columns.

    `width` None: without limit.
    """
    columns: dict[str, list[str]] = {
        "target": [plain(str(TargetName.of(row.entry)).replace("\N{NO-BREAK SPACE}", " ")) for row in rows],
        "engine": [engine_and_version(row.survey) for row in rows],
        "size": [size(row.survey.size) if row.survey.size is not None else "-" for row in rows],
        "reclaim": [size(row.survey.reclaimable) if row.survey.reclaimable else "-" for row in rows],
        "level": [row.survey.level.value for row in rows],
        "checked": [check_age(row.survey, now) for row in rows],
        "last run": [row.last_job.outcome.value if row.last_job else "-" for row in rows],
        "next": [due_time(row.next_due, now) for row in rows],
        "why": [why_or_why_not(row.entry, row.survey) for row in rows],
    }
    if all(row.next_due is None for row in rows):
        del columns["next"]
    widths = {name: max(map(cells, (name, *values))) for name, values in columns.items()}
    if width is not None:
        _fit(widths, width)
    shown = [name for name in columns if name in widths]
    cells_of = [_line(dict(zip(shown, shown, strict=True)), widths)]
    cells_of += [_line({name: columns[name][at] for name in shown}, widths) for at in range(len(rows))]
    return cells_of


def _fit(widths: dict[str, int], width: int) -> None:
    """Drop columns, the least important first, until the reason has room; then share the rest."""
    longest, least = widths["target"], min(widths["why"], _LEAST_WHY)
    widths["target"] = min(longest, max(width // 3, _LEAST_NAME))

    def rest() -> int:
        return width - sum(n for name, n in widths.items() if name != "why") - len(_GAP) * (len(widths) - 1)

    for name in ("next", "last run", "engine", "checked", "reclaim", "size"):
        if rest() >= least:
            break
        widths.pop(name, None)
    widths["target"] = min(longest, max(widths["target"] + min(rest() - least, 0), _LEAST_NAME))
    widths["why"] = min(widths["why"], max(rest(), 0))
    widths["target"] = min(longest, widths["target"] + rest() - widths["why"])


def _line(values: Mapping[str, str], widths: Mapping[str, int]) -> str:
    parts = [
        value.rjust(widths[name]) if name in {"size", "reclaim", "checked"} else padded(value, widths[name])
        for name, value in values.items()
        if name != "why"
    ]
    return _GAP.join([*parts, shortened(values["why"], widths["why"])]).rstrip()


def engine_and_version(survey: Survey) -> str:
    """`pg 17`; a SQLite file has no version of its own."""
    if survey.engine == EngineName.MYSQL and " " in survey.version:  # `MariaDB 11.8.9`: a minor one differs
        product, _, version = survey.version.lower().partition(" ")
        return plain(f"{product} {'.'.join(version.split('.')[:2])}")
    name = engine_spec(survey.engine).short or survey.engine
    major = survey.version.partition(".")[0] if not survey.engine.is_file else ""
    return plain(f"{name} {major}".strip())


def due_time(at: Micros | None, now: Micros) -> str:
    """When a schedule starts it: `22:00`, `Sat 22:00`, after six days `12-01 04:00`; "-" without a schedule."""
    if at is None:
        return "-"
    found = datetime.fromtimestamp(at / 1e6)
    if local_time(at)[:10] == local_time(now)[:10]:
        return f"{found:%H:%M}"
    return f"{found:%a %H:%M}" if at - now < 6 * DAY else f"{found:%m-%d %H:%M}"


def check_age(survey: Survey, now: int) -> str:
    """How long ago a check was last clean; `-` if the database could not be read."""
    if survey.checked_at is None:
        was_seen = survey.reason is None or survey.reason.cause not in _NOT_SEEN
        return "not ok" if survey.is_unclean else "never" if was_seen else "-"
    days = max(now - survey.checked_at, 0) // DAY
    return f"{days} d" if days else "today"


def _large(value: float | None) -> str:
    """A number of transaction ids: `1.61 G`, `190 M`, `12 k`."""
    if value is None:
        return "?"
    for unit, length in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= length:
            return f"{value / length:.2f} {unit}" if unit == "G" else f"{value / length:.0f} {unit}"
    return f"{value:.0f}"


def _counted(facts: Mapping[str, Any], name: str, noun: str) -> str:
    return counted(int(number(facts, name) or 0), noun)


def fleet_json(rows: Sequence[FleetRow]) -> dict[str, Any]:
    return {
        "targets": [_row_json(row) for row in rows],
        "counts": {level.value: count for level, count in counts(row.survey.level for row in rows).items()},
    }


def _row_json(row: FleetRow) -> dict[str, Any]:
    survey = row.survey
    return {
        "target": survey.target,
        "name": row.entry.name,
        "engine": survey.engine,
        **fields(row.entry, "groups", "label"),
        "level": survey.level.value,
        "reason": why(survey) or None,
        **fields(survey, "size", "reclaimable", "checked_at", "surveyed_at", "figures_at"),
        "last_job": row.last_job.id if row.last_job else None,
        "next_due": rfc3339(row.next_due),
        "reasons": [
            {
                "level": reason.level.value,
                "cause": reason.cause.value,
                "text": phrase(reason),
                "facts": dict(reason.facts),
            }
            for reason in survey.reasons
        ],
    }
