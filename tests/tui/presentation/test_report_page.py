"""The report as a page: what it says, and that no name of a database becomes markup."""

from __future__ import annotations

import time
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from engine import ChildJob, EngineName, Operation, ParentJob, Reason, Request, Status
from engine.domain.requests import CheckLevel
from engine.domain.schedules import Firing, FiringReason, FiringStatus, Schedule
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from tests.tui.jobs import SECOND, START, child, parent
from tui.commands.report import instructions
from tui.presentation.page import period
from tui.presentation.page.html import Html, element, joined, table
from tui.presentation.page.period import Period
from tui.presentation.page.report import report_page
from tui.presentation.page.runs import Run, run_of
from tui.presentation.schedule_format import REASONS, ScheduleRow
from tui.presentation.target_names import TargetName
from tui.presentation.text import target_name

DAY = 86_400 * SECOND
NOW = START + 6 * DAY
ALONE = {"meta", "line", "rect", "path", "circle"}
EXPECTED = {
    *("html", "head", "title", "style", "body", "h1", "h2", "h3", "p", "div", "b", "span", "i", "table", "thead"),
    *("tbody", "tr", "th", "td", "svg", "g", "text", "footer", *ALONE),
}


class Page(HTMLParser):
    """Checks that each element is closed where it must be."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.names: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += f"{data} "


def run(made: ParentJob) -> Run:
    return run_of(made, instructions)


def job(number: int, *children: Status, target: str = "sqlite:///srv/sales.db", error: str | None = None) -> Run:
    return run(parent_job(number, *children, target=target, error=error))


def parent_job(
    number: int, *children: Status, target: str = "sqlite:///srv/sales.db", error: str | None = None
) -> ParentJob:
    made = parent(
        *(
            replace(
                child(at, status, Reason.OPERATION_ERROR if status is Status.FAILED else None),
                parent_id=number, error=error if status is Status.FAILED else None,
                before={"size": 30_000_000}, after={"size": 20_000_000 + number * 1_000_000},
            )
            for at, status in enumerate(children, 1)
        )
    )  # fmt: skip
    at = START + number * DAY // 2
    asked = Request(target=target, operations=(Operation.VACUUM,) * len(children))
    return replace(made, id=number, request=asked, created_at=at, started_at=at, finished_at=at + 2 * SECOND)


def survey(target: str, level: FleetLevel) -> Survey:
    reason = SurveyReason(level, SurveyCause.CANNOT_BE_READ, {"error": f"<i>{target}</i>"})
    return Survey(
        target=target, engine=EngineName.SQLITE, surveyed_at=NOW, level=level, size=9_000_000, reasons=(reason,)
    )


def page(*jobs: Run, surveys: tuple[Survey, ...] = (), firings: tuple[Firing, ...] = (), **more: object) -> str:
    found = Period(
        since=START, until=NOW, jobs=sorted(jobs, key=lambda one: -one.id),
        surveys={one.target: one for one in surveys}, firings=firings, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    return report_page(found, named=lambda url: TargetName(target_name(url)), host="db1", store="/s.db", version="1")


def test_an_empty_report_says_so() -> None:
    text = Page(page()).text
    assert "Nothing failed, no night was missed, and no target is critical or unreachable." in text
    assert "No job ran in this time." in text
    assert "Nights" not in text


def test_it_says_what_ran_what_failed_and_what_was_given_back() -> None:
    jobs = [job(1, Status.COMPLETED), job(2, Status.FAILED, error="disk I/O error"), job(3, Status.COMPLETED)]
    text = Page(page(*jobs)).text
    for said in ("2 completed", "1 failed", "disk I/O error", "completed since", "24.0 MB given back", "#2, "):
        assert said in " ".join(text.split()).replace("3 jobs", ""), said


def test_a_week_of_missed_nights_needs_attention() -> None:
    why = FiringReason.NO_WORKER

    def firing(schedule: str, days_ago: int, status: FiringStatus) -> Firing:
        due_at = NOW - days_ago * DAY
        return Firing(schedule=schedule, due_at=due_at, status=status, recorded_at=NOW, reason=why)

    week = [firing("nightly", days_ago, FiringStatus.MISSED) for days_ago in range(1, 6)]
    over = [firing("weekly", 1, FiringStatus.FIRED), firing("weekly", 2, FiringStatus.MISSED)]
    rows = period.missed([*over, *week])
    assert [(row.schedule, row.times, row.is_over) for row in rows] == [("nightly", 5, False), ("weekly", 1, True)]
    attention = Page(page(firings=(*over, *week))).text.split("What ran")[0]
    assert "Nothing failed" not in attention
    for said in ("nightly", REASONS[why], "open", "fired since"):
        assert said in attention


def test_failures_that_are_open_come_before_those_that_are_over() -> None:
    open_one = job(3, Status.FAILED, target="sqlite:///srv/b.db", error="locked")
    jobs = [job(1, Status.FAILED, error="disk full"), job(2, Status.COMPLETED), open_one, job(4, Status.COMPLETED)]
    found = period.failures(jobs)
    assert [(row.why, row.is_over) for row in found] == [("locked", False), ("disk full", True)]


def test_a_clean_check_ends_only_the_findings_on_what_it_looked_at() -> None:
    def check(number: int, status: Status, *tables: str, level: CheckLevel = CheckLevel.FULL) -> Run:
        made = parent_job(number, status, error="rows without their parent")
        options = replace(made.request.options, check=level, objects=tables)
        children = tuple(replace(one, operation=Operation.CHECK) for one in made.children)
        return run(replace(made, children=children, request=replace(made.request, options=options)))

    found, of_a = check(1, Status.FAILED), check(2, Status.FAILED, "a")
    narrow, quick = check(3, Status.COMPLETED, "b"), check(4, Status.COMPLETED, level=CheckLevel.QUICK)
    assert [row.is_over for row in period.failures([found, narrow, quick])] == [False]
    assert [row.is_over for row in period.failures([found, check(5, Status.COMPLETED)])] == [True]
    assert [row.is_over for row in period.failures([of_a, check(5, Status.COMPLETED, "a", "b")])] == [True]


def test_the_same_failure_night_after_night_is_one_line() -> None:
    (row,) = period.failures([job(number, Status.FAILED, error="disk full") for number in range(1, 6)])
    assert (row.times, row.job, row.is_over) == (5, 5, False)


def test_all_that_failed_on_a_target_is_one_row_with_the_reasons() -> None:
    def night(number: int) -> Run:
        check, vacuum = parent_job(number, Status.FAILED, Status.FAILED).children
        found = replace(check, operation=Operation.CHECK, error="row 5 missing from index")
        return run(replace(parent_job(number, Status.FAILED), children=(found, replace(vacuum, error="it is damaged"))))

    early = job(2, Status.FAILED, error="disk full")
    (row,) = period.failures([night(4), night(3), early])
    assert (row.what, row.why, row.times, row.job) == ("check", "row 5 missing from index", 3, 4)
    assert [(one.what, one.why) for one in row.others] == [("vacuum", "it is damaged"), ("vacuum", "disk full")]
    text = " ".join(Page(page(night(4), night(3), early)).text.split())
    assert "check, vacuum" in text
    assert "vacuum: it is damaged" in text
    assert "dbtend show 4.1" in text
    over = period.failures([job(5, Status.COMPLETED), night(4), early])
    assert [(one.what, one.is_over, len(one.others)) for one in over] == [("check", False, 0), ("vacuum", True, 1)]


def test_each_day_has_a_bar_also_one_on_which_nothing_ran() -> None:
    found = Period(since=START, until=NOW, jobs=[job(8, Status.COMPLETED), job(1, Status.COMPLETED)], surveys={})
    days = period.days(found)
    assert len(days) == 7
    assert [len(jobs) for _, jobs in days].count(0) == 5
    assert len(period.days(replace(found, until=START + 400 * DAY))) == 58


@pytest.mark.parametrize(("days", "most"), [(0, 1), (1, 26), (2, 50), (7, 8), (119, 120), (121, 120), (9000, 120)])
def test_every_job_is_in_one_bar_and_bars_are_not_too_many(days: int, most: int) -> None:
    since = START - days * DAY
    jobs = [
        replace(job(number, Status.COMPLETED), ended_at=since + number * days * DAY // 24)
        for number in range(24, 0, -1)
    ]
    found = period.days(Period(since=since, until=START, jobs=jobs, surveys={}))
    assert sum(len(those) for _, those in found) == 24
    assert 0 < len(found) <= most


def test_a_long_period_begins_with_its_first_job() -> None:
    found = period.days(Period(since=-60_000_000_000 * SECOND, until=NOW, jobs=[job(1, Status.COMPLETED)], surveys={}))
    assert len(found) == 6


@pytest.mark.parametrize("change", [1_792_886_400 * SECOND, 1_774_742_400 * SECOND])
def test_bars_are_days_of_the_clock_where_that_changes(change: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        jobs = [replace(job(n, Status.COMPLETED), ended_at=change + n * DAY) for n in range(3, -5, -1)]
        found = period.days(Period(since=change - 4 * DAY, until=change + 3 * DAY, jobs=jobs, surveys={}))
        assert [len(those) for _, those in found] == [1] * 8
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_clock_that_was_set_back_loses_no_job() -> None:
    ahead = replace(job(1, Status.COMPLETED), ended_at=NOW + 3 * DAY)
    found = period.days(Period(since=START, until=NOW, jobs=[ahead], surveys={}))
    assert sum(len(those) for _, those in found) == 1


def test_critical_targets_and_missed_nights_are_told() -> None:
    missed = Firing(
        schedule="nightly", due_at=NOW - DAY, status=FiringStatus.MISSED, recorded_at=NOW, reason=FiringReason.NO_WORKER
    )
    schedule = Schedule(name="nightly", targets=("/x",), start="0 22 * * *", timezone="UTC")
    made = page(
        surveys=(survey("sqlite:///srv/a.db", FleetLevel.CRITICAL), survey("sqlite:///srv/b.db", FleetLevel.OK)),
        firings=(missed,),
        schedules=(ScheduleRow(schedule=schedule, state=None),),
    )
    text = " ".join(Page(made).text.split())
    for said in ("Critical and unreachable targets", "1 critical or", "1 night missed", "no worker was there", "22:00"):
        assert said in text


def test_what_was_left_is_told_apart_from_what_failed_with_what_to_do() -> None:
    skipped = replace(child(2, Status.SKIPPED, Reason.TIME_LIMIT, operation=Operation.CHECK), parent_id=5)
    of_part = replace(child(1, Status.COMPLETED, Reason.TIME_LIMIT), parent_id=5)
    made = run(replace(parent_job(5, Status.COMPLETED, Status.COMPLETED), children=(of_part, skipped)))
    assert period.failures([made]) == []
    assert [(row.what, row.why) for row in period.left([made])] == [
        ("vacuum", "past its limit"),
        ("check", "past its limit"),
    ]
    text = Page(page(made)).text
    assert "Nothing failed" in text
    assert "Unfinished work" in text
    assert "Run dbtend retry 5 to run the rest." in text
    later = run(
        replace(
            parent_job(6, Status.COMPLETED, Status.COMPLETED),
            children=(child(1), replace(skipped, status=Status.COMPLETED, reason=None)),
        )
    )
    assert [row.is_over for row in period.left([later, made])] == [True, True]
    assert "dbtend retry" not in Page(page(made, later)).text


def test_what_a_night_left_is_one_row_however_many_targets_it_left() -> None:
    skipped = replace(child(1, Status.SKIPPED, Reason.TIME_LIMIT))
    of_part = replace(child(1, Status.COMPLETED, Reason.WILL_NOT_FIT))

    def left(number: int, *children: ChildJob) -> Run:
        made = parent_job(number, Status.COMPLETED, target=f"sqlite:///srv/{number}.db")
        return run(replace(made, children=children, batch=12, schedule="nightly"))

    night = [left(number, skipped) for number in range(300, 34, -1)] + [left(1, of_part)]
    assert period.left(night) == []
    (row,) = period.left_of_batches(night)
    assert (row.batch, row.schedule, row.is_over) == (12, "nightly", False)
    text = " ".join(Page(page(*night)).text.split())
    assert "266 targets not reached; 1 target done in part" in text
    assert "past its limit (266); no time left (1)" in text
    assert "the next night goes on, or dbtend retry b12 --failed" in text
    done = run(replace(parent_job(999, Status.COMPLETED, target="sqlite:///srv/1.db"), batch=13))
    assert period.left_of_batches([done, night[-1]])[0].is_over


@pytest.mark.parametrize("reason", [Reason.NOT_NEEDED, Reason.PREVIOUS_FAILED])
def test_what_needed_nothing_or_follows_from_a_failure_is_not_left(reason: Reason) -> None:
    made = parent_job(1, Status.FAILED, Status.SKIPPED, error="disk full")
    made = replace(made, children=(made.children[0], replace(made.children[1], reason=reason)))
    assert period.left([run(made)]) == []
    assert len(period.failures([run(made)])) == 1


def test_a_failure_says_what_to_do_until_it_is_over() -> None:
    failed = job(2, Status.FAILED, error="disk full")
    assert "dbtend show 2.1" in Page(page(failed)).text
    assert "dbtend show" not in Page(page(failed, job(3, Status.COMPLETED))).text


def test_a_night_that_started_has_the_jobs_of_its_batch() -> None:
    jobs = [
        replace(
            job(number, status, error="disk full"),
            batch=4,
            started_at=NOW - 60 * SECOND,
            ended_at=NOW - number * SECOND,
        )
        for number, status in ((3, Status.COMPLETED), (2, Status.FAILED), (1, Status.COMPLETED))
    ]
    other = job(9, Status.COMPLETED)
    fired = Firing(schedule="nightly", due_at=NOW - DAY, status=FiringStatus.FIRED, recorded_at=NOW, batch=4)
    not_needed = replace(fired, due_at=NOW - 2 * DAY, batch=None, reason=FiringReason.NOT_NEEDED)
    (night, nothing) = period.nights(
        Period(since=START, until=NOW, jobs=[other, *jobs], surveys={}, firings=[fired, not_needed])
    )
    assert [one.id for one in night.jobs] == [3, 2, 1]
    assert night.seconds == 59
    assert (list(nothing.jobs), nothing.seconds) == ([], None)
    assert [len(same) for same in period.requests([other, *jobs])] == [1, 3]
    text = " ".join(Page(page(other, *jobs, firings=(fired, not_needed))).text.split())
    assert "b4 2 completed, 1 failed 59.00 s" in text
    assert "nothing was needed" in text
    assert "#9 " in text


def test_while_a_job_of_a_night_is_open_it_has_no_duration() -> None:
    still_open = replace(job(2, Status.RUNNING), ended_at=None)
    assert period.seconds_of([still_open, job(1, Status.COMPLETED)]) is None


def test_a_target_says_why_it_has_its_level() -> None:
    assert "now <i>sqlite:///srv/a.db</i>" in " ".join(
        Page(page(surveys=(survey("sqlite:///srv/a.db", FleetLevel.NOW),))).text.split()
    )


def test_times_are_dates_as_a_page_is_read_later_and_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        schedule = Schedule(name="n", targets=("/x",), start="30 22 * * *", timezone="UTC")
        text = Page(page(schedules=(ScheduleRow(schedule=schedule, state=None),), is_served=False)).text
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "local time (UTC+05:30)" in text
    assert "2023-11-21 04:00" in text
    assert "today" not in text
    assert "No permanent worker starts them." in text


def test_only_its_own_style_applies() -> None:
    made = page(job(1, Status.COMPLETED))
    style = made.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src &#x27;sha256-{digest}&#x27;" in made
    assert "unsafe-inline" not in made
    assert not [value for name, value in Page(made).attributes if name == "style"]


HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onload='alert(1)", "</title><script>x</script>",
    "</style><script>x</script>", "javascript:alert(1)", "&lt;b&gt;", "]]>", "<!--", "\x00", "\x1b[2J", "\udcff",
    "\u202egnp.exe", "a\nb", "{{7*7}}",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_or_error_is_markup(name: str) -> None:
    target = f"sqlite:///srv/{name}.db"
    schedule = Schedule(name="n", targets=(name,), start="0 22 * * *", timezone="UTC")
    missed = Firing(
        schedule=name, due_at=NOW - DAY, status=FiringStatus.MISSED, recorded_at=NOW, reason=None, error=name
    )
    fired = replace(missed, status=FiringStatus.FIRED, due_at=NOW - 2 * DAY)
    made = page(
        job(1, Status.FAILED, target=target, error=name),
        job(2, Status.COMPLETED, target=target),
        surveys=(survey(target, FleetLevel.CRITICAL),),
        firings=(missed, fired),
        schedules=(ScheduleRow(schedule=schedule, state=None),),
    )
    read = Page(made)
    assert set(read.names) <= EXPECTED
    assert not [name for name, _ in read.attributes if name.startswith("on") or name in {"src", "href", "xlink:href"}]
    made.encode()


def test_the_page_needs_nothing_from_elsewhere() -> None:
    made = page(job(1, Status.COMPLETED), job(2, Status.FAILED, error="x"))
    assert "http://" not in made
    assert "https://" not in made
    assert "url(" not in made
    assert "default-src 'none'" in Page(made).attributes[3][1] + str(Page(made).attributes)


def test_many_targets_are_cut_and_counted() -> None:
    jobs = [job(number, Status.COMPLETED, target=f"sqlite:///srv/t{number}.db") for number in range(1, 450)]
    made = page(*jobs)
    assert "and 49 targets more" in Page(made).text


def test_an_element_escapes_all_but_elements() -> None:
    assert element("p", "<b>", element("b", "x"), title='"', class_=None) == '<p title="&quot;">&lt;b&gt;<b>x</b></p>'
    assert joined(["a", None, Html("<i>")]) == "a<i>"
    assert table(("a", "b"), [("1", "2")], numbers=(1,)).count('class="number"') == 2
