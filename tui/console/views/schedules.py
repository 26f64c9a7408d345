"""The screen of schedules: a row for each, and below it the one under the cursor with its nights as timelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from engine import ParentJob, Status
from engine.domain.due_times import firing_closes_at, overlaps_itself
from engine.domain.frozen import frozen
from engine.domain.schedules import Night, Schedule
from engine.domain.time_zones import zone_named
from engine.schedules.night import PlannedNight
from tui.console.views.job_picture import row_line
from tui.console.views.line import Line, Role, both_ends, fit, hanging, line, named_column, right, wrapped
from tui.presentation import schedule_format
from tui.presentation.night_picture import planned_picture, real_picture
from tui.presentation.schedule_format import ScheduleRow
from tui.presentation.text import GLYPH

HEADINGS: Final = ("schedule", "next due", "last", "took")
NAME_MOST: Final = 24
DUE: Final = 16
DUE_MOST: Final = 25
"""With a year or a zone."""
TOOK: Final = 7
DRAWN: Final = 40
"""Targets of a night that are drawn; more are counted."""
NOT_SERVED: Final = "no permanent worker fires them: run dbtend worker"


@frozen
class SelectedSchedule:
    """The page of the schedule under the cursor."""

    row: ScheduleRow
    jobs: Sequence[ParentJob] = ()
    """The jobs of its last night."""
    plan: PlannedNight | None = None
    """The plan of its next night, if that was asked for."""


def schedule_rows(rows: Sequence[ScheduleRow], now: int, width: int) -> list[Line]:
    """The headings, and a line for each schedule with its name as key."""
    name = min(max([cell_len(HEADINGS[0]), *(cell_len(row.schedule.name) for row in rows)]), NAME_MOST)
    trend = schedule_format.NIGHTS if width >= 100 else 0
    due = min(max([DUE, *(cell_len(schedule_format.due_text(row, now)) for row in rows)]), DUE_MOST)
    last = max(width - name - due - TOOK - trend - 4 - (1 if trend else 0), 10)
    head = f"{fit(HEADINGS[0], name)} {fit(HEADINGS[1], due)} {fit(HEADINGS[2], last)} {right(HEADINGS[3], TOOK)}"
    lines = [line((head + (f" {'trend':{trend}}" if trend else ""), Role.DIM))]
    for row in rows:
        night = row.nights[0] if row.nights else None
        status = schedule_format.status_of(night) if night is not None else Status.PENDING
        role = Role.DIM if night is None else Role(status.value)
        is_off = row.is_disabled or bool(row.foreign_config)
        result = "never" if night is None else f"{GLYPH[status]} {_result(night, row.schedule, now)}"
        took = "" if night is None else schedule_format.took_text(night)
        lines.append(
            line(
                *named_column(row.schedule.name, name),
                " ",
                (fit(schedule_format.due_text(row, now), due), Role.WARNING if is_off else Role.TEXT),
                " ",
                (fit(result, last), role),
                f" {right(took, TOOK)}",
                (f" {fit(schedule_format.trend_text(row.nights), trend)}" if trend else "", Role.BAR),
                key=row.schedule.name,
            )
        )
    return lines


def _result(night: Night, schedule: Schedule, now: int) -> str:
    _, batch, result, _ = schedule_format.night_line(night, schedule, now)
    due = schedule_format.local_short(night.firing.due_at, schedule, now=now)
    return f"{due}: {f'{batch}, ' if batch else ''}{result}"


def schedule_document(selected: SelectedSchedule, now: int, width: int, named: Callable[[str], str]) -> Iterator[Line]:
    """The configuration; on request the next night and the last one as pictures; then its nights."""
    row = selected.row
    for name, text in schedule_format.details(row):
        yield from hanging([(f"{name:10}  ", Role.DIM)], text, width)
    if row.foreign_config:
        yield from wrapped(f"{schedule_format.foreign_text(row)}.", width, Role.WARNING)
    if overlaps_itself(row.schedule):
        overlap = "It is due again before its window closes: then it is skipped if it still runs."
        yield from wrapped(overlap, width, Role.DIM)
    yield line()
    yield from _next_night(selected, now, width, named)
    yield from _last_night(selected, now, width, named)
    if row.nights:
        yield line(("Nights", Role.HEADING))
    texts = [schedule_format.night_line(night, row.schedule, now) for night in row.nights]
    due_width = max([17, *(cell_len(due) for due, *_ in texts)])
    for night, (due, batch, result, took) in zip(row.nights, texts, strict=True):
        status = schedule_format.status_of(night)
        head = [(GLYPH[status], Role(status.value)), (f" {fit(due, due_width)} {fit(batch, 6)} ", Role.TEXT)]
        first, *more = hanging(head, result, width - TOOK - 1)
        yield both_ends(first.spans, ((f" {right(took, TOOK)}", Role.TEXT),), width)
        yield from more


def _last_night(selected: SelectedSchedule, now: int, width: int, named: Callable[[str], str]) -> Iterator[Line]:
    night = selected.row.last_night
    if night is None or not selected.jobs:
        return
    schedule, begin = selected.row.schedule, night.firing.due_at
    yield line(
        (f"{schedule_format.night_title(night)}, ", Role.HEADING),
        (schedule_format.local(begin, schedule, now=now), Role.HEADING),
    )
    zone = zone_named("")
    picture = real_picture(
        selected.jobs, begin, firing_closes_at(schedule, night.firing), now, zone, width, named=named, most=DRAWN
    )
    yield from map(row_line, picture)
    yield line()


def _next_night(selected: SelectedSchedule, now: int, width: int, named: Callable[[str], str]) -> Iterator[Line]:
    if selected.plan is None:
        return
    heading, *others = schedule_format.plan_heading(selected.plan, selected.row, now)
    yield line((fit(heading, width).rstrip(), Role.HEADING))
    for sentence in others:
        yield from wrapped(sentence, width, Role.DIM)
    zone = zone_named("")
    yield from map(row_line, planned_picture(selected.plan, zone, width, named=named, most=DRAWN))
    yield line()
