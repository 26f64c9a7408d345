"""The report: one page that says what ran, what failed and why, what was given back, what was missed, what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from engine import ParentJob
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel
from tui.presentation.batch_summary import given_back
from tui.presentation.page import charts, period
from tui.presentation.page.html import Html, Part, element, joined, table
from tui.presentation.page.period import Period, TargetTrend
from tui.presentation.page.style import STYLE
from tui.presentation.schedule_format import REASONS, ScheduleRow, due_text, local, result_text, took_text
from tui.presentation.survey_format import why
from tui.presentation.target_names import TargetName
from tui.presentation.text import counted, duration, local_time, precise_duration, shortened, size

MOST_FAILURES: Final = 200
MOST_TARGETS: Final = 400
MOST_NIGHTS: Final = 100
_LONGEST: Final = 300
"""Cells of an error."""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing of the page runs or is fetched, whatever a name holds."""
_KINDS: Final[Mapping[JobOutcome, str]] = {
    JobOutcome.COMPLETED: "good",
    JobOutcome.PARTIAL: "part",
    JobOutcome.FAILED: "bad",
    JobOutcome.UNREACHABLE: "bad",
}
_LEGEND: Final = (("good", "completed"), ("part", "partial"), ("bad", "failed"), ("none", "other"))
_LEVELS: Final[Mapping[FleetLevel, str]] = {
    FleetLevel.CRITICAL: "bad",
    FleetLevel.NOW: "part",
    FleetLevel.UNREACHABLE: "bad",
    FleetLevel.OK: "good",
}
Named = Callable[[str], TargetName]


def report_page(found: Period, *, named: Named, host: str, store: str, version: str) -> str:
    sections = (
        _attention(found, named),
        _what_ran(found),
        _given_back(found, named),
        _targets(found, named),
        _schedules(found),
    )
    title = f"dbtend report of {host}"
    when = f"{local_time(found.since)[:16]} to {local_time(found.until)[:16]}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", f"{title}, {when}"),
        element("style", Html(STYLE)),
    )
    body = element(
        "body",
        element("h1", title),
        element("p", f"{when}, local time. Store: {store}", class_="soft"),
        _tiles(found),
        *(section for made in sections for section in made),
        element("footer", f"Made by dbtend {version} at {local_time(found.until)}."),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _tiles(found: Period) -> Html:
    counts = period.outcomes(found.jobs)
    trouble = counts.get(JobOutcome.FAILED, 0) + counts.get(JobOutcome.UNREACHABLE, 0)
    critical = len(period.critical(found.surveys.values()))
    missed = sum(firing.status.value == "missed" for firing in found.firings)
    tiles = [
        (f"{len(found.jobs):,}{'+' if found.is_cut else ''}", "jobs", "none"),
        (f"{counts.get(JobOutcome.COMPLETED, 0):,}", "completed", "good"),
        (f"{trouble:,}", "failed or unreachable", "bad" if trouble else "good"),
        (f"{critical:,}", "targets critical", "bad" if critical else "good"),
        (size(given_back(found.jobs)), "given back", "none"),
    ]
    if found.schedules or found.firings:
        tiles.append((f"{missed:,}", "nights missed", "bad" if missed else "good"))
    return element(
        "div",
        *(element("div", element("b", number), what, class_=f"tile {kind}") for number, what, kind in tiles),
        class_="tiles",
    )


def _attention(found: Period, named: Named) -> Iterator[Html]:
    yield element("h2", "What needs attention")
    critical, failures = period.critical(found.surveys.values()), period.failures(found.jobs)
    if not (critical or failures):
        yield element("p", "Nothing failed, and no target is critical.")
    if critical:
        yield element("h3", "Critical targets")
        yield table(
            ("target", "why", "surveyed"),
            ((_name(one.target, named), why(one), local_time(one.surveyed_at)[:16]) for one in critical),
        )
    if failures:
        yield element("h3", "What failed, and why")
        yield table(
            ("target", "what", "error", "times", "last", "now"),
            (
                (
                    _name(row.target, named),
                    row.operation,
                    element("span", shortened(row.error, _LONGEST), class_="long"),
                    f"{row.times:,}",
                    element("span", f"#{row.job}, {local_time(row.at)[:16]}", class_="date"),
                    _word("completed since", "good") if row.is_over else _word("open", "bad"),
                )
                for row in failures[:MOST_FAILURES]
            ),
            numbers=(3,),
        )
        yield from _more(len(failures) - MOST_FAILURES, "failure")


def _what_ran(found: Period) -> Iterator[Html]:
    yield element("h2", "What ran")
    if not found.jobs:
        yield element("p", "No job ran in this time.")
        return
    days = period.days(found)
    most = max(len(jobs) for _, jobs in days)
    yield charts.bars("Jobs that ended", [_jobs_bar(day, jobs) for day, jobs in days], f"{most:,}")
    legend = (element("span", element("i", class_=kind), what) for kind, what in _LEGEND)
    yield element("p", *legend, class_="legend soft")
    yield table(
        ("operation", "completed", "failed", "other", "time in all", "longest"),
        (
            (
                one.operation.value, f"{one.completed:,}", f"{one.failed:,}", f"{one.other:,}",
                precise_duration(one.seconds), precise_duration(one.longest),
            )
            for one in period.operation_sums(found.jobs)
        ),
        numbers=(1, 2, 3, 4, 5),
    )  # fmt: skip
    if found.is_cut:
        yield element("p", f"These are the newest {len(found.jobs):,} jobs; there were more.", class_="soft")


def _jobs_bar(day: str, jobs: Sequence[ParentJob]) -> charts.Bar:
    kinds = dict.fromkeys((kind for kind, _ in _LEGEND), 0.0)
    counts = period.outcomes(jobs)
    for outcome, number in counts.items():
        kinds[_KINDS.get(outcome, "none")] += number
    told = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in JobOutcome if counts.get(outcome))
    return charts.Bar(day, kinds, f"{day}: {told or 'no job'}")


def _given_back(found: Period, named: Named) -> Iterator[Html]:
    whole = given_back(found.jobs)
    if whole <= 0:
        return
    yield element("h2", "Space given back")
    days = [(day, given_back(jobs)) for day, jobs in period.days(found)]
    most = max(back for _, back in days)
    marks = [charts.Bar(day, {"accent": back}, f"{day}: {size(back)}") for day, back in days]
    yield charts.bars("Space given back", marks, size(most))
    rows = sorted(period.trends(found), key=lambda one: -one.given_back)[:10]
    yield table(
        ("target", "given back", "size now"),
        (
            (_name(one.target, named), size(one.given_back), size(one.sizes[-1]) if one.sizes else "")
            for one in rows
            if one.given_back > 0
        ),
        numbers=(1, 2),
    )


def _targets(found: Period, named: Named) -> Iterator[Html]:
    yield element("h2", "Targets")
    rows = period.trends(found)
    if not rows:
        yield element("p", "No target was surveyed or had a job.")
        return
    yield table(
        ("target", "level", "size", "trend of size", "jobs", "last job", "it took", "trend of time"),
        (_target_row(one, named) for one in rows[:MOST_TARGETS]),
        numbers=(2, 4, 6),
    )
    yield from _more(len(rows) - MOST_TARGETS, "target")


def _target_row(one: TargetTrend, named: Named) -> Sequence[Part]:
    survey, last = one.survey, one.last
    level = _word(survey.level.value, _LEVELS.get(survey.level, "none")) if survey is not None else None
    now = one.sizes[-1] if one.sizes else None if survey is None else survey.size
    sizes = charts.line(one.sizes, f"from {size(one.sizes[0])} to {size(one.sizes[-1])}" if one.sizes else "")
    times = charts.line(one.seconds, f"from {_took(one.seconds[0])} to {_took(one.seconds[-1])}" if one.seconds else "")
    ended = None
    if last is not None:
        outcome = outcome_of(last)
        when = element("span", f"#{last.id}, {_day(last.created_at)}", class_="date")
        ended = joined((_word(outcome.value, _KINDS.get(outcome, "none")), " ", when))
    return (
        _name(one.target, named),
        level,
        size(now) if now is not None else "",
        sizes,
        f"{one.jobs:,}",
        ended,
        _took(one.seconds[-1]) if one.seconds else "",
        times,
    )


def _schedules(found: Period) -> Iterator[Html]:
    if not (found.schedules or found.firings):
        return
    yield element("h2", "Nights")
    if found.schedules:
        yield element("h3", "What is due")
        yield table(
            ("schedule", "next", "last night", "it took"),
            (_schedule_row(row, found.until) for row in found.schedules),
            numbers=(3,),
        )
    not_fired = period.not_fired(found.firings)
    if found.schedules or not_fired:
        yield element("h3", "What was missed or skipped")
    if not not_fired:
        yield element("p", "Nothing in this time.")
        return
    yield table(
        ("schedule", "due", "what", "why"),
        (
            (
                firing.schedule,
                local_time(firing.due_at)[:16],
                _word(firing.status.value, "bad" if firing.status.value == "missed" else "none"),
                firing.error or (REASONS[firing.reason] if firing.reason else ""),
            )
            for firing in not_fired[:MOST_NIGHTS]
        ),
    )
    yield from _more(len(not_fired) - MOST_NIGHTS, "night")


def _schedule_row(row: ScheduleRow, now: Micros) -> Sequence[Part]:
    night = row.nights[0] if row.nights else None
    last = f"{local(night.firing.due_at, row.schedule)}: {result_text(night)}" if night is not None else "none yet"
    return row.schedule.name, due_text(row, now), last, took_text(night) if night is not None else ""


def _name(url: str, named: Named) -> Html:
    name = named(url)
    label = element("span", name.tag.strip("[]"), class_="label") if name.tag else None
    return element("span", name.name, " " if label else None, label, title=url, class_="long")


def _word(text: str, kind: str) -> Html:
    return element("span", text, class_=f"word {kind}")


def _more(number: int, noun: str) -> Iterator[Html]:
    if number > 0:
        yield element("p", f"and {counted(number, noun)} more", class_="soft")


def _took(seconds: float) -> str:
    return precise_duration(seconds) if seconds < 60 else duration(seconds)


def _day(at: Micros) -> str:
    return local_time(at)[:10]
