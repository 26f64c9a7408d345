"""Schedules as text and as JSON: when they are due, and what became of their nights. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from engine import BatchId
from engine.domain.due_times import closes_at, next_due, window_after_until
from engine.domain.frozen import frozen
from engine.domain.humanize import listed, span
from engine.domain.job_outcomes import JobOutcome
from engine.domain.schedules import (
    NEEDED,
    Firing,
    FiringReason,
    FiringStatus,
    Night,
    Schedule,
    ScheduleState,
    other_config,
)
from engine.domain.statuses import Status
from engine.domain.steps import Micros
from engine.domain.time_zones import zone_named
from engine.schedules.night import PlannedNight
from engine.schedules.overlaps import Overlap
from engine.schedules.tight_windows import TightWindow
from tui.presentation.batch_summary import TROUBLE
from tui.presentation.effect_summary import without_target
from tui.presentation.json_fields import fields
from tui.presentation.text import counted, local_time, plain, precise_duration, rfc3339
from tui.presentation.trend_plot import BLOCKS

_REASONS_TOLD: Final = 10
_SIX_DAYS: Final = 6 * 86_400 * 1_000_000
NIGHTS: Final = 10
"""Nights whose duration is shown."""
REASONS: Final[Mapping[FiringReason, str]] = {
    FiringReason.NO_WORKER: "no worker was there that could write to the store",
    FiringReason.CLOCK_CHANGED: "the clock was set forward over it, or the machine stood still",
    FiringReason.WINDOW_CLOSED: "the window had closed before a worker was there",
    FiringReason.NOT_STARTED: "it could not be started",
    FiringReason.STILL_RUNNING: "still running",
    FiringReason.NOT_NEEDED: "nothing was needed",
    FiringReason.BY_HAND: "by hand",
}


@frozen(kw_only=True)
class ScheduleRow:
    schedule: Schedule
    state: ScheduleState | None
    nights: Sequence[Night] = ()
    """Its newest firings, newest first."""
    config: str = ""
    """The config file that it was read from."""

    @property
    def is_disabled(self) -> bool:
        return self.state is not None and self.state.disabled_at is not None

    @property
    def foreign_config(self) -> str:
        """Another config file with a schedule of this name, which is the one that fires; "" if there is none."""
        return other_config(self.state, self.config)

    @property
    def last_night(self) -> Night | None:
        """The newest one whose jobs are on record."""
        return next((night for night in self.nights if night.batch is not None), None)

    def next_due(self, now: Micros) -> Micros | None:
        """The next due time; None if the schedule is disabled."""
        return None if self.is_disabled or self.foreign_config else next_due(self.schedule, now)


def local(at: Micros, schedule: Schedule, *, now: Micros) -> str:
    """`Fri 27 Nov 22:00` in the zone of this machine: with the year if it is another one, and with the zone if that of
    the schedule has another time."""
    found = _here(at)
    year = "" if found.year == _here(now).year else f" {found.year}"
    return f"{found:%a} {found.day} {found:%b}{year} {found:%H:%M}{zone_suffix(at, schedule)}"


def local_short(at: Micros, schedule: Schedule, *, now: Micros) -> str:
    """`Fri 22:00`; of more than six days ago `17 Nov`, and of another year `17 Nov 2025`."""
    found = _here(at)
    if abs(now - at) < _SIX_DAYS:
        return f"{found:%a %H:%M}{zone_suffix(at, schedule)}"
    return f"{found.day} {found:%b}" + ("" if found.year == _here(now).year else f" {found.year}")


def zone_suffix(at: Micros, schedule: Schedule) -> str:
    """` CET`: the zone of this machine, if the schedule's zone has another time; else ""."""
    here = _here(at)
    there = datetime.fromtimestamp(at / 1e6, zone_named(schedule.timezone))
    return "" if here.utcoffset() == there.utcoffset() else f" {here.tzname()}"


def _here(at: Micros) -> datetime:
    return datetime.fromtimestamp(at / 1e6, zone_named(""))


def due_text(row: ScheduleRow, now: Micros) -> str:
    """`today 22:00`, `disabled by ann`."""
    if row.state is not None and row.state.disabled_at is not None:
        return f"disabled by {plain(row.state.disabled_by)}"
    if row.foreign_config:
        return "in another config file, too"
    due = row.next_due(now)
    if due is None:
        return "never"
    if _here(due).date() == _here(now).date():
        return f"today {_here(due):%H:%M}{zone_suffix(due, row.schedule)}"
    return local(due, row.schedule, now=now)


def foreign_text(row: ScheduleRow) -> str:
    """`nightly is in db1:/etc/dbtend.toml, too, which fires it`, and what follows from that."""
    text = f"{row.schedule.name} is in {plain(row.foreign_config)}, too, which fires it"
    is_of_other_host = row.foreign_config.partition("/")[0] != row.config.partition("/")[0]
    return f"{text}: a worker here takes over if none is there" if is_of_other_host else f"{text}: rename one"


def other_lines(states: Mapping[str, ScheduleState], known: Collection[str]) -> list[str]:
    """A line for each schedule of the store but the `known`: `nightly: in db1:/etc/dbtend.toml, disabled by ann`."""
    others = [state for name, state in sorted(states.items()) if name not in known]
    return [
        f"{plain(other.name)}: in {plain(other.config) or 'no config file of a worker'}"
        + (f", disabled by {plain(other.disabled_by)}" if other.disabled_at is not None else "")
        for other in others
    ]


def closing_text(schedule: Schedule, now: Micros) -> str:
    """When the window of its next due time closes: `until 05:00` in the zone of this machine."""
    due = next_due(schedule, now)
    closes = None if due is None else closes_at(schedule, due)
    return "no end" if closes is None else f"until {_here(closes):%H:%M}{zone_suffix(closes, schedule)}"


def _window(schedule: Schedule) -> str:
    """The configured text, with its zone where the machine has another one."""
    zone = "" if zone_name(schedule) == zone_named("").key else f"  {zone_name(schedule)}"
    return f"until {schedule.until}{zone}" if schedule.until else "no end"


def zone_name(schedule: Schedule) -> str:
    return schedule.timezone or zone_named("").key


def outside_window_text(schedule: Schedule, now: Micros) -> str:
    """What it means to run it now, while its window is closed."""
    due = next_due(schedule, now)
    opens = "" if due is None else f" until {local(due, schedule, now=now)}"
    return f"its window is closed{opens}: run now, it has no time limit"


def window_warning(schedule: Schedule) -> str:
    """What it means that a due time comes after `until`; "" if none does."""
    found = window_after_until(schedule)
    if found is None:
        return ""
    minutes, opens = found
    return (
        f"{schedule.name} starts at {opens // 60:02}:{opens % 60:02}, too, after until ({schedule.until}):"
        f" that window is open for {span(60 * minutes)}, to the next day"
    )


def tight_text(one: TightWindow, now: Micros) -> str:
    """What it means that a window cannot hold its work."""
    opens = local(one.opens_at, one.schedule, now=now)
    which = f"{one.schedule.name}, {opens}: {one.left:,} of {counted(one.targets, 'target')}"
    past = "by how long the work took before"
    if one.next is None:
        return f"{which} will not fit into the window, {past}"
    ends = local(one.ends_at, one.schedule, now=now)
    if one.next == one.schedule.name:
        return f"{which} will not be done when it is due again, {ends}, and then it will not start, {past}"
    return f"{which} will not be done when {one.next} starts, {ends}, and finds no free worker, {past}"


def overlap_text(overlap: Overlap, now: Micros) -> str:
    """What it means that two schedules are open at once."""
    at = local(overlap.at, overlap.one, now=now)
    names = f"{overlap.one.name} and {overlap.other.name}"
    return f"{names} run at the same time on the same targets, first {at}: the jobs of one wait for the other's"


def operations_text(schedule: Schedule) -> str:
    return NEEDED if schedule.operations is None else ", ".join(schedule.operations)


def unfired_lines(firings: Sequence[Firing]) -> Iterator[str]:
    """`2026-11-26 22:00:00  nightly  missed: no worker was there`, in the time zone of this process."""
    width = max((len(firing.schedule) for firing in firings), default=0)
    for firing in firings:
        yield f"{local_time(firing.due_at)}  {firing.schedule:{width}}  {result_text(Night(firing=firing))}"


def result_text(night: Night) -> str:
    """`298 completed, 1 failed`, `missed: no worker was there`."""
    firing = night.firing
    if night.batch is not None:
        counts = night.batch.counts
        by_hand = f"; by hand: {plain(firing.error)}" if firing.error else ""
        return ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in JobOutcome if counts.get(outcome)) + by_hand
    if firing.status is FiringStatus.FIRED:
        return nothing_ran(firing) or "its jobs were removed"
    why = plain(firing.error or "") or (REASONS[firing.reason] if firing.reason else "")
    return f"{firing.status}: {why}" if firing.status is FiringStatus.MISSED else f"{firing.status} ({why})"


def nothing_ran(firing: Firing) -> str:
    """Why a schedule that fired has no jobs; "" if unknown."""
    if firing.error:
        return f"nothing to run; by hand: {plain(firing.error)}"
    is_idle = firing.jobs == 0 or firing.reason is FiringReason.NOT_NEEDED
    return REASONS[FiringReason.NOT_NEEDED] if is_idle else ""


def marked_result(night: Night) -> str:
    """The result, with a mark where no due time started it."""
    return result_text(night) + (" (by hand)" if night.firing.reason is FiringReason.BY_HAND else "")


def status_of(night: Night) -> Status:
    """The status whose glyph and colour stand for a night."""
    if night.firing.status is FiringStatus.MISSED:
        return Status.FAILED
    if night.firing.status is FiringStatus.SKIPPED:
        return Status.SKIPPED
    counts = night.batch.counts if night.batch is not None else {}
    if any(map(counts.get, TROUBLE)) or night.firing.error:
        return Status.FAILED
    if night.batch is not None and not night.batch.is_over:
        return Status.RUNNING
    if counts.get(JobOutcome.CANCELLED):
        return Status.CANCELLED
    return Status.SKIPPED if counts.get(JobOutcome.PARTIAL) or counts.get(JobOutcome.SKIPPED) else Status.COMPLETED


def seconds_of(night: Night) -> float | None:
    if night.started_at is None or night.finished_at is None:
        return None
    return max(night.finished_at - night.started_at, 0) / 1e6


def took_text(night: Night) -> str:
    seconds = seconds_of(night)
    return precise_duration(seconds)


def night_title(night: Night) -> str:
    return "This night, which still runs" if status_of(night) is Status.RUNNING else "Last night"


def trend_text(nights: Sequence[Night]) -> str:
    """How long its nights took, the last one at the right: `▂▃▃█`; "" for fewer than two."""
    found = [seconds for night in reversed(nights) if (seconds := seconds_of(night)) is not None]
    if len(found) < 2:
        return ""
    most = max(*found, 1e-9)
    return "".join(BLOCKS[max(1, round(seconds / most * (len(BLOCKS) - 1)))] for seconds in found[-NIGHTS:])


def night_line(night: Night, schedule: Schedule, now: Micros) -> tuple[str, str, str, str]:
    """When it was due, its batch, what became of it, and how long it took."""
    firing = night.firing
    batch = "" if firing.batch is None else str(BatchId(firing.batch))
    return local(firing.due_at, schedule, now=now), batch, marked_result(night), took_text(night)


def details(row: ScheduleRow) -> list[tuple[str, str]]:
    """The configuration, in lines of a name and a text."""
    one = row.schedule
    batch = {"max failures": one.max_failures, "canary": one.canary, "max per host": one.max_per_host}
    options = [
        *(f"{name} {number:,}" for name, number in batch.items() if number is not None),
        f"order {one.order}" if one.order else "",
        f"stagger {span(one.stagger)}" if one.stagger else "",
        f"catch up {span(one.catch_up)}" if one.catch_up else "",
    ]
    lines = [
        ("start", f"{one.start}  {zone_name(one)}"),
        ("window", _window(one)),
        ("targets", plain(", ".join(one.targets))),
        ("exclude", plain(", ".join(one.exclude))),
        ("operations", operations_text(one)),
        ("options", ", ".join(filter(None, options))),
        ("notify", plain(", ".join(one.notify))),
    ]
    return [(name, text) for name, text in lines if text]


def row_json(row: ScheduleRow, now: Micros) -> dict[str, Any]:
    one, state, due = row.schedule, row.state, row.next_due(now)
    return {
        "name": one.name,
        "start": one.start,
        "timezone": zone_name(one),
        **fields(one, "until", "targets", "exclude"),
        "operations": NEEDED if one.operations is None else list(one.operations),
        "next_due": rfc3339(due),
        "closes_at": None if due is None else rfc3339(closes_at(one, due)),
        "disabled_at": rfc3339(state.disabled_at) if state is not None else None,
        "disabled_by": state.disabled_by or None if state is not None else None,
        "other_config": row.foreign_config or None,
        "firings": [night_json(night) for night in row.nights],
    }


def night_json(night: Night) -> dict[str, Any]:
    counts = night.batch.counts if night.batch is not None else None
    return {
        **fields(night.firing, "schedule", "due_at", "status", "reason", "error", "batch"),
        **fields(night, "started_at", "finished_at"),
        "duration": seconds_of(night),
        "counts": None if counts is None else {outcome.value: counts.get(outcome, 0) for outcome in JobOutcome},
    }


def plan_heading(night: PlannedNight, row: ScheduleRow, now: Micros) -> Iterator[str]:
    """What the next night would do, in a sentence or two."""
    schedule = row.schedule
    which = "Next night if it is enabled" if row.is_disabled else "Next night"
    yield f"{which}, {local(night.opens_at, schedule, now=now)}, by estimate, {night.workers} at a time"
    ends = []
    guessed = sum(
        any(operation.plan.is_first_guess and not operation.idle for operation in target.target.operations)
        for target in night.targets
    )
    if guessed:
        ends.append(f"the estimates of {counted(guessed, 'target')} are first guesses")
    if night.ends_at > night.opens_at:
        ends.append(f"the last operation ends about {local(night.ends_at, schedule, now=now)}")
    left = sum(len(target.not_begun) for target in night.targets)
    if left:
        ends.append(f"{counted(left, 'operation')} will not fit")
    in_part = sum(run.left_steps > 0 for target in night.targets for run in target.runs)
    if in_part:
        ends.append(f"{counted(in_part, 'operation')} will be done in part")
    if night.idle:
        ends.append("1 target needs nothing" if night.idle == 1 else f"{night.idle:,} targets need nothing")
    if night.inapplicable:
        ends.append(f"its operations do not apply to {counted(night.inapplicable, 'target')}")
    if night.beside:
        ends.append(f"{listed(night.beside)} {'needs' if len(night.beside) == 1 else 'need'} the same workers")
    if night.open_jobs:
        needs = "needs" if night.open_jobs == 1 else "need"
        ends.append(f"{counted(night.open_jobs, 'open job')} {needs} the same workers")
    if ends:
        yield "; ".join(ends)
    yield from _left_out(night)


def _left_out(night: PlannedNight) -> Iterator[str]:
    """`not check on 3 targets: amcheck is not installed`: what would not run, the most frequent first."""
    found = Counter(
        (left.operation, without_target(left.idle, target.target.target))
        for target in night.targets
        for left in target.left_out
    )
    for (operation, why), number in found.most_common(_REASONS_TOLD):
        yield f"not {operation} on {counted(number, 'target')}: {plain(why)}"
    if len(found) > _REASONS_TOLD:
        yield f"and {len(found) - _REASONS_TOLD:,} more of that kind"


def plan_json(night: PlannedNight) -> dict[str, Any]:
    return {
        "opens_at": rfc3339(night.opens_at),
        "closes_at": rfc3339(night.closes_at),
        "workers": night.workers,
        "idle": night.idle,
        "inapplicable": night.inapplicable,
        "beside": list(night.beside),
        "open_jobs": night.open_jobs,
        "targets": [
            {
                "target": target.target.target,
                "problem": target.target.problem or None,
                "elsewhere": target.target.elsewhere,
                "operations": [
                    {
                        "operation": run.operation.value,
                        "begins_at": rfc3339(run.begins_at),
                        "ends_at": rfc3339(run.ends_at) if run.is_known else None,
                    }
                    for run in target.runs
                ],
                "not_begun": [left.operation.value for left in target.not_begun],
                "left_out": [{"operation": left.operation.value, "why": left.idle} for left in target.left_out],
            }
            for target in night.targets
        ],
    }
