"""The HTML report, one page for all: a row for each job, failures with reasons, space given back, and nights."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, TypeVar

from engine import BatchId
from engine.domain.job_outcomes import JobOutcome
from engine.domain.schedules import Firing, FiringStatus
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, Survey
from tui.presentation.batch_summary import TROUBLE
from tui.presentation.page import charts, layouts, period
from tui.presentation.page.html import Html, Part, element, joined, table
from tui.presentation.page.period import LeftOfBatch, MissedNights, NightSum, Period, Problem, TargetTrend
from tui.presentation.page.runs import Run
from tui.presentation.page.style import STYLE
from tui.presentation.schedule_format import REASONS, ScheduleRow, due_text, marked_result, nothing_ran, took_text
from tui.presentation.survey_format import why
from tui.presentation.target_names import TargetName
from tui.presentation.text import counted, duration, local_time, precise_duration, shortened, size

MOST_FAILURES: Final = 200
MOST_TARGETS: Final = 400
MOST_NIGHTS: Final = 100
MOST_REQUESTS: Final = 200
_LONGEST: Final = 300
"""Cells of an error."""
_DIGEST: Final = b64encode(sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"
"""Nothing of the page runs or is fetched, whatever a name holds; no style but its own applies."""
_KINDS: Final[Mapping[JobOutcome, str]] = {
    JobOutcome.COMPLETED: "good",
    JobOutcome.PARTIAL: "part",
    JobOutcome.FAILED: "bad",
    JobOutcome.UNREACHABLE: "bad",
    JobOutcome.INCONSISTENT: "bad",
}
_LEFT: Final = {JobOutcome.SKIPPED: "not reached", JobOutcome.CANCELLED: "cancelled"}
"""What became of targets on which a batch left work."""
_MOST_REASONS: Final = 3
_LEGEND: Final = (("good", "completed"), ("part", "partial"), ("bad", "failed"), ("none", "other"))
_LEVELS: Final[Mapping[FleetLevel, str]] = {
    FleetLevel.CRITICAL: "bad",
    FleetLevel.NOW: "part",
    FleetLevel.UNREACHABLE: "bad",
    FleetLevel.OK: "good",
}
Named = Callable[[str], TargetName]
T = TypeVar("T")


def report_page(found: Period, *, named: Named, host: str, store: str, version: str) -> str:
    sections = (
        _attention(found, named),
        _what_ran(found),
        _given_back(found, named),
        _layouts(found, named),
        _targets(found, named),
        _schedules(found),
        _jobs(found, named),
    )
    title = f"dbtend report of {host}"
    when = f"{_minute(found.since)} to {_minute(found.until)}"
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
        element("p", f"{when}, local time (UTC{_offset(found.until)}). Store: {store}", class_="soft"),
        _tiles(found),
        *(section for made in sections for section in made),
        element("footer", f"Made by dbtend {version} at {local_time(found.until)}."),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _tiles(found: Period) -> Html:
    counts = period.outcomes(found.jobs)
    trouble = sum(counts.get(outcome, 0) for outcome in TROUBLE)
    in_danger = len(period.in_danger(found.surveys.values()))
    missed = sum(firing.status is FiringStatus.MISSED for firing in found.firings)
    tiles = [
        (f"{len(found.jobs):,}{'+' if found.is_cut else ''}", _noun(len(found.jobs), "job", "jobs"), "none"),
        (f"{counts.get(JobOutcome.COMPLETED, 0):,}", "completed", "good"),
        (f"{trouble:,}", "failed, unreachable or inconsistent", "bad" if trouble else "good"),
        (f"{in_danger:,}", "critical or unreachable", "bad" if in_danger else "good"),
        (size(period.given_back(found.jobs)), "given back", "none"),
    ]
    if found.schedules or found.firings:
        tiles.append((f"{missed:,}", _noun(missed, "night missed", "nights missed"), "bad" if missed else "good"))
    return element(
        "div",
        *(element("div", element("b", number), what, class_=f"tile {kind}") for number, what, kind in tiles),
        class_="tiles",
    )


def _attention(found: Period, named: Named) -> Iterator[Html]:
    yield element("h2", "What needs attention")
    in_danger, failures = period.in_danger(found.surveys.values()), period.failures(found.jobs)
    missed = period.missed(found.firings)
    if not (in_danger or failures or missed):
        yield element("p", "Nothing failed, no night was missed, and no target is critical or unreachable.")
    if in_danger:
        yield element("h3", "Critical and unreachable targets")
        yield table(
            ("target", "level", "why", "seen"),
            (
                (_name(one.target, named), _word(one.level.value, "bad"), _long(why(one)), _minute(one.surveyed_at))
                for one in in_danger
            ),
        )
    if missed:
        yield element("h3", "Nights that were missed")
        yield from _table(
            ("schedule", "why", "times", "last", "now"), missed, MOST_NIGHTS, "row", _missed_row, numbers=(2,)
        )
    if failures:
        yield element("h3", "What failed, and why")
        yield from _problems(failures, named, "error", "bad", "target")
    left, of_batches = period.left(found.jobs), period.left_of_batches(found.jobs)
    if left or of_batches:
        yield element("h3", "Unfinished work")
    if of_batches:
        yield from _table(("batch", "what", "why", "last", "now"), of_batches, MOST_NIGHTS, "batch", _left_row)
    if left:
        yield from _problems(left, named, "why", "part", "operation")


def _problems(rows: Sequence[Problem], named: Named, head: str, kind: str, noun: str) -> Iterator[Html]:
    """`kind`: the class of those that are open."""

    def cells(row: Problem) -> Sequence[Part]:
        unlisted = len(row.others) - _MOST_REASONS
        return (
            _name(row.target, named),
            ", ".join(dict.fromkeys(one.what for one in (row, *row.others))),
            joined(
                (
                    _long(row.why),
                    element("div", row.to_do, class_="soft to-do") if row.to_do else None,
                    *(element("div", _long(f"{other.what}: {other.why}")) for other in row.others[:_MOST_REASONS]),
                    f"and {counted(unlisted, 'other reason')}" if unlisted > 0 else None,
                )
            ),
            f"{row.times:,}",
            element("span", f"#{row.job}, {_minute(row.at)}", class_="date"),
            _word("completed since", "good") if row.is_over else _word("open", kind),
        )

    yield from _table(("target", "what", head, "times", "last", "now"), rows, MOST_FAILURES, noun, cells, numbers=(3,))


def _missed_row(row: MissedNights) -> Sequence[Part]:
    return (
        _long(row.schedule),
        _long(row.error or (REASONS[row.reason] if row.reason else "")),
        f"{row.times:,}",
        element("span", _minute(row.due_at), class_="date"),
        _word("fired since", "good") if row.is_over else _word("open", "bad"),
    )


def _left_row(row: LeftOfBatch) -> Sequence[Part]:
    """`b12 nightly`, `266 targets not reached`, and how it goes on."""
    name = str(BatchId(row.batch))
    reached: Counter[str] = Counter()
    for outcome, number in row.targets.items():
        reached[_LEFT.get(outcome, "done in part")] += number
    what = "; ".join(f"{counted(number, 'target')} {how}" for how, number in reached.most_common())
    why = "; ".join(f"{why} ({number:,})" for why, number in row.why[:_MOST_REASONS])
    again = f"dbtend retry {name} --failed"
    to_do = f"the next night goes on, or {again}" if row.schedule else again
    return (
        joined((name, element("div", row.schedule, class_="soft") if row.schedule else None)),
        what,
        joined((_long(why), None if row.is_over else element("div", to_do, class_="soft to-do"))),
        element("span", _minute(row.at), class_="date"),
        _word("completed since", "good") if row.is_over else _word("open", "part"),
    )


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


def _jobs_bar(day: str, jobs: Sequence[Run]) -> charts.Bar:
    kinds = dict.fromkeys((kind for kind, _ in _LEGEND), 0.0)
    counts = period.outcomes(jobs)
    for outcome, number in counts.items():
        kinds[_KINDS.get(outcome, "none")] += number
    return charts.Bar(day, kinds, f"{day}: {_counts(jobs) or 'no job'}")


def _given_back(found: Period, named: Named) -> Iterator[Html]:
    whole = period.given_back(found.jobs)
    if whole <= 0:
        return
    yield element("h2", "Space given back")
    days = [(day, period.given_back(jobs)) for day, jobs in period.days(found)]
    most = max(back for _, back in days)
    marks = [charts.Bar(day, {"accent": back}, f"{day}: {size(back)}") for day, back in days]
    yield charts.bars("Space given back", marks, size(most))
    rows = sorted(period.trends(found), key=lambda one: -one.given_back)[:10]
    yield table(
        ("target", "given back", "size now"),
        (
            (_name(row.target, named), size(row.given_back), size(row.sizes[-1]) if row.sizes else "")
            for row in rows
            if row.given_back > 0
        ),
        numbers=(1, 2),
    )


def _layouts(found: Period, named: Named) -> Iterator[Html]:
    if not found.layouts:
        return
    yield element("h2", "Pages of SQLite files, before and after")
    yield layouts.legend()
    for layout in found.layouts:
        what = element("span", f" #{layout.job} {layout.operation}, {_minute(layout.at)}", class_="soft")
        yield element("section", element("h3", _name(layout.target, named), what), layouts.pictures(layout.maps))


def _targets(found: Period, named: Named) -> Iterator[Html]:
    yield element("h2", "Targets")
    rows = period.trends(found)
    if not rows:
        yield element("p", "No target was surveyed or had a job.")
        return
    yield from _table(
        ("target", "level", "size", "trend of size", "jobs", "last job", "it took", "trend of time"),
        rows, MOST_TARGETS, "target", lambda one: _target_row(one, named, found.next_due.get(one.target)),
        numbers=(2, 4, 6),
    )  # fmt: skip


def _target_row(one: TargetTrend, named: Named, next_due: Micros | None) -> Sequence[Part]:
    survey, last = one.survey, one.last
    now = one.sizes[-1] if one.sizes else None if survey is None else survey.size
    sizes, times = _trend(one.sizes, size), _trend(one.seconds, _took)
    ended = (
        [] if last is None else [_outcome(last), " ", element("span", f"#{last.id}, {_day(last.at)}", class_="date")]
    )
    if next_due is not None:
        ended.append(element("div", f"next {_minute(next_due)}", class_="soft date"))
    return (
        _name(one.target, named),
        _level(survey),
        size(now) if now is not None else "",
        sizes,
        f"{one.jobs:,}",
        joined(ended),
        _took(one.seconds[-1]) if one.seconds else "",
        times,
    )


def _level(survey: Survey | None) -> Part:
    if survey is None:
        return None
    level = _word(survey.level.value, _LEVELS.get(survey.level, "none"))
    reason = why(survey)
    return joined((level, element("div", shortened(reason, _LONGEST), class_="long soft reason") if reason else None))


def _trend(values: Sequence[float], shown: Callable[[float], str]) -> Html | None:
    """A line with its first value: the last one has a column of its own."""
    if len(values) < 2:
        return None
    line = charts.line(values, f"from {shown(values[0])} to {shown(values[-1])}")
    return joined((line, element("div", f"from {shown(values[0])}", class_="soft")))


def _schedules(found: Period) -> Iterator[Html]:
    if not (found.schedules or found.firings):
        return
    yield element("h2", "Nights")
    fired, not_fired = period.nights(found), period.not_fired(found.firings)
    if found.schedules:
        yield element("h3", "Due next")
        yield table(
            ("schedule", "next", "last night", "it took", "trend of time"),
            (_schedule_row(row, found.until, fired) for row in found.schedules),
            numbers=(3,),
        )
        if not found.is_served:
            yield element("p", "No permanent worker starts them.", class_="soft")
    yield element("h3", "Missed or skipped")
    if not_fired:
        yield from _table(("schedule", "due", "what", "why"), not_fired, MOST_NIGHTS, "night", _not_fired_row)
    else:
        yield element("p", "Nothing in this time.")
    if fired:
        yield element("h3", "What started")
        heads = ("schedule", "due", "jobs", "result", "it took", "given back")
        yield from _table(heads, fired, MOST_NIGHTS, "night", _night_row, numbers=(4, 5))


def _not_fired_row(firing: Firing) -> Sequence[Part]:
    return (
        _long(firing.schedule),
        _minute(firing.due_at),
        _word(firing.status.value, "bad" if firing.status is FiringStatus.MISSED else "none"),
        _long(firing.error or (REASONS[firing.reason] if firing.reason else "")),
    )


def _schedule_row(row: ScheduleRow, now: Micros, fired: Sequence[NightSum]) -> Sequence[Part]:
    night = row.nights[0] if row.nights else None
    last = f"{_minute(night.firing.due_at)}: {marked_result(night)}" if night is not None else "none yet"
    due = row.next_due(now)
    next_due = due_text(row, now) if due is None else _minute(due)
    took = [one.seconds for one in reversed(fired) if one.firing.schedule == row.schedule.name]
    trend = _trend([seconds for seconds in took if seconds is not None], _took)
    return _long(row.schedule.name), next_due, _long(last), took_text(night) if night is not None else "", trend


def _night_row(night: NightSum) -> Sequence[Part]:
    firing, jobs = night.firing, night.jobs
    batch = None if firing.batch is None else str(BatchId(firing.batch))
    result: Part = _result(jobs) if jobs else nothing_ran(firing) or "no job is left"
    back = period.given_back(jobs)
    took = "" if night.seconds is None else _took(night.seconds)
    return _long(firing.schedule), _minute(firing.due_at), batch, result, took, size(back) if back else ""


def _jobs(found: Period, named: Named) -> Iterator[Html]:
    rows = period.requests(found.jobs)
    if not rows:
        return
    yield element("h2", "Jobs")
    heads = ("job", "created", "target", "operations", "result", "it took", "effect")
    yield from _table(heads, rows, MOST_REQUESTS, "request", lambda jobs: _request_row(jobs, named), numbers=(5,))


def _request_row(jobs: Sequence[Run], named: Named) -> Sequence[Part]:
    """A job, or all of a batch."""
    first, is_one = jobs[0], len(jobs) == 1
    operations = dict.fromkeys(operation.operation.value for job in jobs for operation in job.operations)
    back, took = period.given_back(jobs), period.seconds_of(jobs)
    effect = first.effect if is_one else f"{size(back)} given back" if back else ""
    return (
        f"#{first.id}" if first.batch is None else str(BatchId(first.batch)),
        _minute(min(job.created_at for job in jobs)),
        _name(first.target, named) if is_one else counted(len(jobs), "target"),
        ", ".join(operations),
        _result(jobs),
        "" if took is None else _took(took),
        _long(effect),
    )


def _result(jobs: Sequence[Run]) -> Html:
    """`298 completed, 1 failed`, in the colour of the worst."""
    kinds = [_KINDS.get(job.outcome, "none") for job in jobs]
    worst = min(kinds, key=("bad", "part", "none", "good").index)
    return element("span", _counts(jobs) if len(jobs) > 1 else jobs[0].outcome.value, class_=f"result {worst}")


def _outcome(job: Run) -> Html:
    return _word(job.outcome.value, _KINDS.get(job.outcome, "none"))


def _counts(jobs: Sequence[Run]) -> str:
    found = period.outcomes(jobs)
    return ", ".join(f"{found[outcome]:,} {outcome}" for outcome in JobOutcome if found.get(outcome))


def _name(url: str, named: Named) -> Html:
    name = named(url)
    label = element("span", name.tag.strip("[]"), class_="label") if name.tag else None
    return element("span", name.name, " " if label else None, label, title=url, class_="long")


def _long(text: str) -> Html:
    return element("span", shortened(text, _LONGEST), class_="long")


def _noun(number: int, one: str, several: str) -> str:
    return one if number == 1 else several


def _word(text: str, kind: str) -> Html:
    return element("span", text, class_=f"word {kind}")


def _table(
    heads: Sequence[str],
    rows: Sequence[T],
    most: int,
    noun: str,
    cells: Callable[[T], Sequence[Part]],
    *,
    numbers: Sequence[int] = (),
) -> Iterator[Html]:
    """A table of the first rows, and how many more there are."""
    yield table(heads, map(cells, rows[:most]), numbers=numbers)
    if len(rows) > most:
        yield element("p", f"and {counted(len(rows) - most, noun)} more", class_="soft")


def _took(seconds: float) -> str:
    return precise_duration(seconds) if seconds < 60 else duration(seconds)


def _offset(at: Micros) -> str:
    """`+01:00`: who reads the page may be elsewhere."""
    found = f"{datetime.fromtimestamp(at / 1e6).astimezone():%z}"
    return f"{found[:3]}:{found[3:5]}"


def _minute(at: Micros) -> str:
    return local_time(at)[:16]


def _day(at: Micros) -> str:
    return local_time(at)[:10]
