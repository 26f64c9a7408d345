"""A table of targets, the list of the fleet screen and of wide panes: its headings, and a row for each target."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from rich.cells import cell_len

from engine import JobOutcome
from engine.domain.frozen import frozen
from engine.domain.surveys import FleetLevel, LastJob
from tui.console.views.line import MARK, Line, Role, Span, both_ends, fit, named_column, right, span_cells
from tui.console.views.lists import LEVEL_ROLES, TargetState, error_word, level_of, valid_survey
from tui.console.views.target_order import Sort
from tui.presentation.effect_summary import status_of
from tui.presentation.survey_format import check_age, due_time, engine_and_version, why_or_why_not
from tui.presentation.target_names import TargetName
from tui.presentation.text import counted, local_time, percent, plain, size

GAP: Final = 2
NAME_LEAST: Final = 16
NAME_MOST: Final = 40
WHY_LEAST: Final = 30
WHY_GOOD: Final = 36
"""Cells of the reasons that come before most columns, as whole names do."""
WHY_MOST: Final = 110
LEVEL: Final = 11
_WIDTHS: Final = {
    "reclaim": 7,
    "checked": 7,
    "last run": len("inconsistent 11-24"),
    "size": 7,
    "next": 11,
    "engine": 7,
    "surveyed": 11,
    "groups": 16,
}
"""Cells of the columns that not every window has room for, the most important first."""
_WIDTHS_WITH_MYSQL: Final = {**_WIDTHS, "engine": len("mariadb 11.8")}
_ORDER: Final = ("engine", "size", "reclaim", "level", "why", "checked", "last run", "next", "surveyed", "groups")
_FIRST: Final = frozenset({"reclaim", "checked"})
_NUMBERS: Final = frozenset({"size", "reclaim", "checked"})
_SORTED_COLUMN: Final = {
    Sort.LEVEL: "level",
    Sort.RECLAIM: "reclaim",
    Sort.SIZE: "size",
    Sort.CHECKED: "checked",
    Sort.LAST_RUN: "last run",
    Sort.NAME: "target",
}


@frozen
class Columns:
    """Cells of each column."""

    name: int
    others: dict[str, int]
    """The others in order, without those that do not fit."""


def columns(names: int, width: int, *, has_mysql: bool = False, without: Collection[str]) -> Columns:
    """The columns that fit. Spare cells go to the names, then to the reasons.

    Args:
        names: cells of the longest name.
        has_mysql: whether a target is MariaDB or MySQL, whose versions are longer.
        without: columns that say nothing of any target.
    """
    whole_name = min(max(names, len("target")), NAME_MOST)
    name = min(whole_name, NAME_LEAST)
    room = width - 1 - name - 2 * GAP - LEVEL - WHY_LEAST
    fitting = {"level": LEVEL}
    for column, cells in (_WIDTHS_WITH_MYSQL if has_mysql else _WIDTHS).items():
        if column in without:
            continue
        if room < GAP + cells + (0 if column in _FIRST else WHY_GOOD - WHY_LEAST + whole_name - name):
            break
        fitting[column] = cells
        room -= GAP + cells
    wider = max(min(whole_name - name, room), 0)
    fitting["why"] = max(min(WHY_LEAST + room - wider, WHY_MOST), 0)
    return Columns(name + wider, {column: fitting[column] for column in _ORDER if column in fitting})


def headings(has: Columns, sort: Sort) -> Line:
    """The names of the columns; the one that decides the order stands out."""
    spans: list[Span] = [(" ", Role.TEXT), _heading("target", has.name, sort)]
    for column, cells in has.others.items():
        spans += [_GAP, _heading(column, cells, sort)]
    return Line(tuple(spans))


def _heading(column: str, cells: int, sort: Sort) -> Span:
    text = right(column, cells) if column in _NUMBERS else fit(column, cells)
    return text, Role.STRONG if _SORTED_COLUMN[sort] == column else Role.DIM


def fleet_row(
    number: int, state: TargetState, has: Columns, *, is_marked: bool, is_current: bool = False, now: int
) -> Line:
    """A target with what its survey says, as far as there are columns; `number`: the key of the line."""
    mark: Span = (MARK, Role.WARNING) if is_marked else (">" if is_current else " ", Role.STRONG)
    spans: list[Span] = [mark, *named_column(TargetName.of(state.entry), has.name)]
    for column, cells in has.others.items():
        text, role = _cell(column, cells, state, now)
        spans += [_GAP, (right(text, cells) if column in _NUMBERS else fit(text, cells), role)]
    return Line(tuple(spans), number)


_GAP: Final[Span] = (" " * GAP, Role.TEXT)


def _cell(column: str, width: int, state: TargetState, now: int) -> Span:
    survey, job = state.survey, state.last_job
    if column == "level":
        return _level(state)
    if column == "last run":
        return _last_run(job, now) if job is not None else ("", Role.DIM)
    if column == "next":
        return due_time(state.next_due, now), Role.DIM
    if column == "groups":
        return plain(" ".join(state.entry.groups)), Role.DIM
    if column == "why" and state.error is not None and valid_survey(state) is None:
        return plain(state.error.why), Role.DIM
    if survey is None:
        return "", Role.DIM
    match column:
        case "why":
            is_ok = survey.level is FleetLevel.OK
            return why_or_why_not(state.entry, survey, width), Role.DIM if is_ok else Role.TEXT
        case "size":
            return size(survey.size) if survey.size is not None else "", Role.DIM
        case "reclaim":
            return size(survey.reclaimable) if survey.reclaimable else "-", Role.DIM
        case "checked":
            return check_age(survey, now), Role.DIM
        case "engine":
            return engine_and_version(survey), Role.DIM
    return _when(survey.surveyed_at, now), Role.DIM


def _level(state: TargetState) -> Span:
    level = level_of(state)
    if state.is_inspecting:
        return "inspecting…", Role.DIM
    if state.is_pattern:
        return (error_word(state.error), Role.FAILED) if state.error is not None else ("listing …", Role.DIM)
    return ("…", Role.DIM) if level is None else (level.value, LEVEL_ROLES[level])


_RUN_WORDS: Final = {JobOutcome.COMPLETED: "ok", JobOutcome.RUNNING: "runs now", JobOutcome.PENDING: "waits"}
_DAY: Final = 86_400 * 1_000_000


def _last_run(job: LastJob, now: int) -> Span:
    """`failed Mon`, `ok 11-24`."""
    word = _RUN_WORDS.get(job.outcome, job.outcome.value)
    return f"{word} {_day(job.finished_at, now)}".rstrip(), Role(status_of(job.outcome).value)


def _day(at: int | None, now: int) -> str:
    if at is None:
        return ""
    when = local_time(at)[:10]
    if when == local_time(now)[:10]:
        return local_time(at)[11:16]
    return when[5:] if when[:4] == local_time(now)[:4] else when[2:]


def _when(at: int, now: int) -> str:
    """`03:12`, `11-24 03:12`."""
    when = local_time(at)
    return when[11:16] if when[:10] == local_time(now)[:10] else when[5:16]


def fleet_header(
    count: int,
    levels: Mapping[FleetLevel, int],
    oldest: int | None,
    running: float | None,
    width: int,
    *,
    now: int,
    read_only: bool,
    paused: bool,
) -> Line:
    """How many targets have each level; at the right how old that is.

    Args:
        count: of all targets.
        oldest: when the oldest survey was made; None: there is none.
        running: how much of a survey is done.
    """
    spans: list[Span] = [(" Fleet ", Role.HEADING), (f" {counted(count, 'target')}", Role.STRONG)]
    parts = [(f"{number:,} {level}", LEVEL_ROLES[level]) for level, number in levels.items() if number]
    for at, part in enumerate(parts):
        spans += [(": " if at == 0 else ", ", Role.DIM), part]
    age = f"surveyed {_when(oldest, now)}" if oldest is not None else ""
    done = f"surveying {percent(running)}" if running is not None else age
    barred: tuple[Span, ...] = (("  read-only", Role.WARNING),) if read_only else ()
    pause: tuple[Span, ...] = (("  paused ", Role.WARNING),) if paused else ()
    end: tuple[Span, ...] = (*barred, (f"  {done} ", Role.DIM), *pause)
    if span_cells(spans) > width - span_cells(end):  # the counts come before the age
        end = pause
    return both_ends(tuple(spans), end, width)


def list_title(shown: int, marked: int, sort: Sort, reclaimable: int) -> str:
    """The title of the list: `300 targets by level, 675 MB reclaimable, 3 marked`."""
    gain = f", {size(reclaimable)} reclaimable" if reclaimable else ""
    marks = f", {marked:,} marked" if marked else ""
    return f"{counted(shown, 'target')} by {sort}{gain}{marks}"


def longest_name(states: Iterable[TargetState]) -> int:
    """Cells of the longest name with its label."""
    return max((_name_cells(state.entry.name, state.entry.label) for state in states), default=0)


def _name_cells(name: str, label: str | None) -> int:
    is_plain = not label and name.isascii() and name.isprintable()
    return len(name) if is_plain else cell_len(TargetName(name, label))
