"""What the rows of the job tree say, as plain functions of jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from engine import ChildJob, EngineName, JobId, Operation, ParentJob, Progress, Reason, Request, Status, Step
from engine.config.model import TargetEntry
from engine.domain.job_outcomes import JobOutcome
from engine.domain.statuses import parent_status
from engine.domain.steps import FINISHING, WAITING, WRITING_BACK, WaitsFor
from engine.domain.surveys import LastJob
from tests.building import SQLITE_OPERATIONS
from tui.console.views import fleet
from tui.console.views.detail import detail_lines
from tui.console.views.history import columns, history_row
from tui.console.views.job_document import job_document
from tui.console.views.line import Role, wrapped
from tui.console.views.lists import TargetState
from tui.console.views.rows import FoldedKey, TreeColumns, child_row, children_to_show, parent_row, summary, tree_rows
from tui.console.views.status import operations
from tui.presentation.job_status import format_pace
from tui.presentation.target_names import TargetName

SECOND = 1_000_000
NOW = 1_795_000_000 * SECOND
TARGET = "sqlite:///srv/sales.db"
RUNNING = ChildJob(
    parent_id=42,
    ordinal=2,
    operation=Operation.ANALYZE,
    status=Status.RUNNING,
    attempt=1,
    started_at=NOW - 41 * SECOND,
    progress=Progress(fraction=0.539, object="orders", steps_done=4, steps_total=9),
)


def over(ordinal: int, status: Status = Status.COMPLETED, **more: object) -> ChildJob:
    return replace(
        RUNNING,
        ordinal=ordinal,
        status=status,
        finished_at=NOW,
        progress=Progress(),
        **more,  # type: ignore[arg-type]
    )


def parent(*children: ChildJob) -> ParentJob:
    return ParentJob(
        id=42,
        engine=EngineName.SQLITE,
        request=Request(target=TARGET, operations=SQLITE_OPERATIONS),
        status=parent_status((c.status, c.started_at is not None) for c in children),
        created_at=NOW - 60 * SECOND,
        started_at=NOW - 41 * SECOND,
        children=children,
    )


@pytest.mark.parametrize("width", [38, 52, 80, 86, 200])
@pytest.mark.parametrize(
    "child",
    [
        RUNNING,
        replace(RUNNING, progress=Progress()),
        replace(RUNNING, progress=Progress(object="日本語" * 30, steps_done=3, steps_total=9)),
        replace(RUNNING, cancel_requested_at=NOW),
        replace(RUNNING, cancel_requested_at=NOW, progress=Progress(phase=FINISHING)),
        over(1, warnings=("a", "b")),
        over(1, Status.FAILED, error="no\nway " * 40),
        over(1, Status.SKIPPED, reason=Reason.PREVIOUS_FAILED),
        over(1, Status.SKIPPED, reason=Reason.TIME_LIMIT),
    ],
)
def test_a_row_is_exactly_as_wide_as_its_pane(child: ChildJob, width: int) -> None:
    for row in tree_rows(parent(child), "a name " * 20, expanded=True, show_all=False, now=NOW, width=width):
        assert cell_len(row.text) == width


def test_a_running_child_shows_bar_percent_object_and_whole_seconds() -> None:
    assert child_row(RUNNING, TARGET, now=NOW + 999_999, width=86).text.split() == [
        ".2", "analyze", "►", "running", "━━━━━━──────", "53%", "orders", "0:36", "left", "0:41",
    ]  # fmt: skip


def whole_row(child: ChildJob, width: int, *, estimate: float | None = 36.0) -> str:
    waiting = ChildJob(
        parent_id=42, ordinal=3, operation=Operation.REINDEX, status=Status.PENDING, estimate=estimate
    )  # fmt: skip
    job = parent(over(1), replace(child, estimate=36.0), waiting)
    return parent_row(job, "sales.db", expanded=True, now=NOW, width=width).text


def test_the_row_of_a_running_parent_tells_how_much_of_the_whole_is_done_and_left() -> None:
    row = whole_row(RUNNING, 84)
    assert row.split() == [
        "▼", "#42", "sales.db", "vacuum", "analyze", "+7", "1:52", "left", "►", "running", "51%", "1/3", "done", "0:41",
    ]  # fmt: skip
    assert whole_row(RUNNING, 49).split() == ["▼", "#42", "sales.db", "►", "running", "51%", "1:52", "left"]


@pytest.mark.parametrize("width", [40, 49, 60, 84, 120])
def test_nothing_in_the_row_of_a_running_parent_moves_when_its_end_can_be_told(width: int) -> None:
    known, unknown = whole_row(RUNNING, width), whole_row(RUNNING, width, estimate=None)
    begun = whole_row(replace(RUNNING, progress=Progress()), width)
    assert "left" not in unknown
    assert len({row.index("running") for row in (known, unknown, begun)}) == 1
    assert len({row.split("►")[0][:24] for row in (known, unknown, begun)}) == 1


def test_without_a_known_fraction_it_counts_steps() -> None:
    for width in (52, 86):
        child = replace(RUNNING, progress=Progress(object="orders", steps_total=2))
        row = child_row(child, TARGET, now=NOW, width=width).text
        assert "0/2  orders" in row
        assert "%" not in row


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (86, ["━━━━━━──────", "53%", "copying", "orders", "0:36", "left"]),
        (66, ["━━─", "53%", "copying", "0:36", "left"]),
        (60, ["━━━━━─────", "53%", "0:36", "left"]),
        (48, ["53%", "0:36", "left"]),  # beside the lists of an 80 cells wide terminal
        (47, ["━━━━────", "53%"]),
        (42, ["53%"]),
    ],
)
def test_a_narrow_row_drops_what_it_is_at_then_the_bar_then_what_is_left(width: int, words: list[str]) -> None:
    progress = replace(RUNNING.progress, phase="copying")
    row = child_row(replace(RUNNING, progress=progress), TARGET, now=NOW, width=width)
    assert row.text.split()[4:-1] == words


@pytest.mark.parametrize("width", [50, 60, 84, 120])
def test_nothing_in_a_running_row_moves_when_its_end_can_be_told(width: int) -> None:
    just_begun = replace(RUNNING, progress=replace(RUNNING.progress, fraction=0.02))
    early = child_row(just_begun, TARGET, now=NOW, width=width).text
    later = child_row(RUNNING, TARGET, now=NOW, width=width).text
    assert "left" not in early
    assert early.index("2%") == later.index("53%") + 1
    at = later.index("left")
    assert later[at - 5 : at] == "0:36 "
    assert early[at - 5 : at + 4] == " " * 9


def test_an_operation_with_a_long_name_has_its_whole_name_where_there_is_room() -> None:
    both = (replace(RUNNING, operation=Operation.INCREMENTAL_VACUUM), replace(RUNNING, ordinal=3))
    wide, narrow = (
        tree_rows(parent(*both), "sales", expanded=True, show_all=False, now=NOW, width=width)[1:] for width in (86, 52)
    )
    assert ".2 incremental-vacuum ► running" in wide[0].text
    assert ".2 incremental… ► running" in narrow[0].text
    for first, second in (wide, narrow):
        assert first.text.index("►") == second.text.index("►")
        assert "53%" in second.text


def test_a_cancel_that_was_asked_for_is_said_in_words() -> None:
    assert "cancelling" in child_row(replace(RUNNING, cancel_requested_at=NOW), TARGET, now=NOW, width=52).text
    ended = over(2, cancel_requested_at=NOW)
    assert "completed" in child_row(ended, TARGET, now=NOW, width=52).text


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (86, ["cancelling", "(finishing,", "cannot", "be", "interrupted)", "90%", "0:05", "left", "0:41"]),
        (66, ["cancelling", "(finishing)", "90%", "0:05", "left", "0:41"]),
        (48, ["cancelling", "90%", "0:05", "left", "0:41"]),
        (47, ["cancelling", "(finishing)", "0:41"]),
    ],
)
def test_what_cannot_be_interrupted_is_said_beside_how_long_it_goes_on(width: int, words: list[str]) -> None:
    child = replace(RUNNING, cancel_requested_at=NOW, progress=Progress(fraction=0.9, phase=FINISHING))
    assert child_row(child, TARGET, now=NOW, width=width).text.split() == [".2", "analyze", "►", *words]


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (86, ["asked", "to", "stop", "━━━━━━──────", "53%", "orders", "0:41"]),
        (52, ["asked", "to", "stop", "53%", "0:41"]),
        (49, ["stopping", "53%", "0:41"]),
        (42, ["stopping", "0:41"]),
    ],
)
def test_what_is_asked_to_stop_says_so_and_how_far_it_is(width: int, words: list[str]) -> None:
    child = replace(RUNNING, cancel_requested_at=NOW)
    assert child_row(child, TARGET, now=NOW, width=width).text.split() == [".2", "analyze", "►", "cancelling", *words]


@pytest.mark.parametrize(
    ("width", "fraction", "words"),
    [
        (86, 0.539, ["━━━━━━─────", "53%", "orders", "0:36", "left", "attempt", "2"]),
        (52, 0.539, ["53%", "0:36", "left"]),
        (52, None, ["0/2", "attempt", "2"]),
    ],
)
def test_another_attempt_is_said_where_there_is_room(width: int, fraction: float | None, words: list[str]) -> None:
    progress = Progress(fraction=fraction, object="orders", steps_total=2)
    row = child_row(replace(RUNNING, attempt=2, progress=progress), TARGET, now=NOW, width=width)
    assert row.text.split()[4:-1] == words


STEPS_FAILED = "broken: UNIQUE constraint failed: item.note; 1 of 2 steps failed"
LOCKED = "another connection holds a lock (waited 5 s)"
STOPPED = "stopped after 2 of 9 steps; the completed steps stay"


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (over(1, Status.FAILED, reason=Reason.OPERATION_ERROR, error=STEPS_FAILED), "broken: UNIQUE c…"),
        (over(1, Status.FAILED, reason=Reason.TARGET_BUSY, error=LOCKED), "target busy"),
        (over(1, Status.FAILED, reason=Reason.TARGET_BUSY, error="locked"), "locked"),
        (over(1, Status.FAILED, reason=Reason.OWNER_LOST, error="its worker process died"), "worker died"),
        (over(1, Status.CANCELLED, reason=Reason.TIME_LIMIT, error=STOPPED), "past its limit"),
        (over(1, Status.CANCELLED, reason=Reason.CANCELLED_BY_USER, error=STOPPED), "stopped after 2 …"),
    ],
)
def test_why_a_child_did_not_complete_is_said_where_the_whole_error_has_no_room(child: ChildJob, words: str) -> None:
    assert child_row(child, TARGET, now=NOW, width=51).text[26:43].rstrip() == words


def test_a_child_that_waits_for_another_attempt_shows_no_running_clock() -> None:
    rescued = replace(RUNNING, status=Status.PENDING, started_at=None, progress=Progress())
    words = child_row(rescued, TARGET, now=NOW, width=52).text.split()
    assert words == [".2", "analyze", "·", "pending", "waits", "for", "a", "worker"]


@pytest.mark.parametrize(
    ("reason", "words"), [(Reason.TIME_LIMIT, "past its limit"), (Reason.PREVIOUS_FAILED, "earlier failed")]
)
def test_why_a_child_was_skipped_reads_well_where_it_is_narrow(reason: Reason, words: str) -> None:
    row = child_row(over(1, Status.SKIPPED, reason=reason, started_at=None), TARGET, now=NOW, width=48)
    assert words in row.text


LEFT_OUT = over(2, Status.SKIPPED, reason=Reason.TIME_LIMIT, started_at=None)
NOT_NEEDED = over(3, Status.SKIPPED, reason=Reason.NOT_NEEDED)


@pytest.mark.parametrize(
    ("children", "words", "role"),
    [
        ((over(1), LEFT_OUT), "– partial", Role.SKIPPED),
        ((LEFT_OUT, replace(LEFT_OUT, ordinal=1)), "– skipped", Role.SKIPPED),
        ((over(1), LEFT_OUT, NOT_NEEDED), "– partial", Role.SKIPPED),
        ((over(1), NOT_NEEDED), "✓ completed", Role.COMPLETED),
        ((over(1, Status.FAILED), LEFT_OUT), "× failed", Role.FAILED),
        ((over(1, Status.CANCELLED), LEFT_OUT), "■ cancelled", Role.CANCELLED),
    ],
)
def test_a_parent_of_which_something_was_left_out_does_not_read_completed(
    children: tuple[ChildJob, ...], words: str, role: Role
) -> None:
    job = parent(*children)
    for first in (
        tree_rows(job, "sales.db", expanded=False, show_all=False, now=NOW, width=52)[0],
        history_row(job, "sales.db", columns(5, 8, 78), now=NOW),
        detail_lines(job, JobId(42), "sales.db", now=NOW, width=52)[0],
        job_document(job, "sales.db", now=NOW, width=78)[0],
    ):
        assert (words, role) in {(text.rstrip(), role) for text, role in first.spans}


UNREACHABLE = over(1, Status.FAILED, reason=Reason.UNREACHABLE, error="there is no such file", started_at=None)


@pytest.mark.parametrize("width", [30, 38, 52, 80, 120, 200])
def test_an_operation_on_a_target_that_could_not_be_opened_reads_unreachable(width: int) -> None:
    job = parent(UNREACHABLE, replace(UNREACHABLE, ordinal=2, error=None), over(3, Status.COMPLETED))
    rows = tree_rows(job, "gone.db", expanded=True, show_all=True, now=NOW, width=width)
    assert {cell_len(row.text) for row in rows} == {width}
    for row in rows[1:3]:
        assert ("× unreachable", Role.FAILED) in {(text.rstrip(), role) for text, role in row.spans}
        assert "failed" not in row.text
    if width >= 52:
        assert "× unreachable there is" in rows[1].text
        assert [row.text.index(sign) for row, sign in zip(rows[1:], "××✓", strict=True)] == [
            rows[1].text.index("×")
        ] * 3


def test_the_page_and_the_detail_of_a_job_on_a_target_that_could_not_be_opened_read_unreachable() -> None:
    job = parent(UNREACHABLE, replace(UNREACHABLE, ordinal=2))
    for lines in (
        job_document(job, "gone.db", now=NOW, width=78),
        detail_lines(job, JobId(42), "gone.db", now=NOW, width=52),
        detail_lines(job, JobId(42, 1), "gone.db", now=NOW, width=52),
    ):
        text = "\n".join(row.text for row in lines)
        assert "unreachable" in text
        assert "failed" not in text


def test_the_jobs_are_counted_by_their_outcome() -> None:
    jobs = [parent(over(1)), parent(over(1), LEFT_OUT), parent(over(1, Status.FAILED), LEFT_OUT)]
    assert summary(jobs, 50) == "1 failed, 1 partial, 1 completed"
    back = replace(RUNNING, status=Status.PENDING, started_at=None)
    assert summary([parent(back)], 50) == "1 interrupted"


@pytest.mark.parametrize("width", [75, 115])
def test_a_row_of_the_history_keeps_its_columns_where_a_job_is_pinned(width: int) -> None:
    rows = [
        history_row(replace(parent(over(1)), pinned=pinned), "sales.db", columns(5, 8, width), now=NOW).text
        for pinned in (False, True)
    ]
    assert [cell_len(row) for row in rows] == [width, width]
    assert [row.index("✓") for row in rows] == [rows[0].index("✓")] * 2
    assert "pinned" in rows[1] or "*" in rows[1]


@pytest.mark.parametrize("width", [60, 78, 115])
def test_a_row_of_the_tree_keeps_its_columns_where_a_job_is_pinned(width: int) -> None:
    rows = [
        tree_rows(
            replace(parent(over(1)), pinned=pinned), "sales.db", expanded=False, show_all=False, now=NOW, width=width
        )[0].text
        for pinned in (False, True)
    ]
    assert [cell_len(row) for row in rows] == [width, width]
    assert [row.index("✓") for row in rows] == [rows[0].index("✓")] * 2
    assert ("pinned" in rows[1]) == (width > 60)


def test_the_row_of_a_check_says_how_much_it_found_rather_than_what_first() -> None:
    found = over(
        1, Status.FAILED, operation=Operation.CHECK, reason=Reason.OPERATION_ERROR,
        error="row 5 missing from index i, the first of 3 findings", before={}, after={"findings": 3, "level": "full"},
    )  # fmt: skip
    assert "3 findings (full) " in child_row(found, TARGET, now=NOW, width=86).text
    assert "3 findings " in child_row(found, TARGET, now=NOW, width=52).text
    looked_at_nothing = replace(found, after=None)
    assert "row 5 missing from index i" in child_row(looked_at_nothing, TARGET, now=NOW, width=86).text


def test_an_error_does_not_repeat_the_path_of_the_target() -> None:
    failed = over(1, Status.FAILED, error="/srv/sales.db: the lock could not be had")
    row = child_row(failed, TARGET, now=NOW, width=86)
    assert "/srv" not in row.text
    assert "the lock could not be had" in row.text
    assert (Role.FAILED) in {role for _, role in row.spans}


def test_a_small_parent_shows_all_its_children_in_order() -> None:
    children = (over(1), RUNNING, replace(RUNNING, ordinal=3, status=Status.PENDING, started_at=None))
    rows = tree_rows(parent(*children), "sales", expanded=True, show_all=False, now=NOW, width=80)
    assert [row.key for row in rows] == [JobId(42), JobId(42, 1), JobId(42, 2), JobId(42, 3)]


def test_of_many_children_those_that_run_come_first_then_those_that_failed() -> None:
    """The rest is folded into one line that counts it."""
    children = [over(n) for n in range(1, 13)]
    children[3] = over(4, Status.FAILED)
    children[8] = replace(RUNNING, ordinal=9)
    big = parent(*children)
    assert [child.ordinal for child in children_to_show(big)] == [9, 4]
    rows = tree_rows(big, "sales", expanded=True, show_all=False, now=NOW, width=80)
    assert rows[-1].key == FoldedKey(42)
    assert rows[-1].text.strip() == "10 more: 10 completed"
    assert len(tree_rows(big, "sales", expanded=True, show_all=True, now=NOW, width=80)) == 13


@pytest.mark.parametrize("width", [49, 86, 120])
def test_of_what_is_done_to_the_whole_database_no_object_is_named(width: int) -> None:
    progress = Progress(fraction=0.5, object="main", steps_total=1, phase="copying")
    child = replace(RUNNING, operation=Operation.VACUUM, progress=progress)
    assert "main" not in child_row(child, TARGET, now=NOW, width=width).text
    assert "main" not in "".join(
        row.text for row in detail_lines(parent(child), JobId(42, 2), "sales", now=NOW, width=width)
    )


def test_before_the_first_layout_no_word_is_broken() -> None:
    assert [one.text for one in wrapped("Inspecting ...", 0)] == ["Inspecting ..."]


def test_the_fleet_has_room_for_the_engine_and_version_of_mariadb() -> None:
    has = fleet.columns(20, 200, has_mysql=True, without=())
    assert has.others["engine"] == len("mariadb 11.8")
    assert has.others["why"] == fleet.columns(20, 200, without=()).others["why"] - 5


@pytest.mark.parametrize("names", [10, 16, 24, 40])
@pytest.mark.parametrize("width", [76, 100, 116, 156, 200])
def test_the_reasons_of_the_fleet_are_readable_before_it_has_more_columns(names: int, width: int) -> None:
    others = fleet.columns(names, width, without=()).others
    assert others["why"] >= (fleet.WHY_GOOD if "last run" in others else fleet.WHY_LEAST)
    assert width < 116 or names > 24 or "last run" in others


@pytest.mark.parametrize("outcome", JobOutcome)
def test_how_the_last_run_ended_is_whole_with_its_day(outcome: JobOutcome) -> None:
    last_job = LastJob(id=1, outcome=outcome, finished_at=NOW - 30 * 86_400 * SECOND, ran_until=None)
    state = TargetState(TargetEntry(name="shop", url="shop.db"), last_job=last_job)
    row = fleet.fleet_row(1, state, fleet.columns(4, 116, without=()), is_marked=False, now=NOW)
    assert row.text.count("…") == 1, "but for the level, which is not known"


def test_hostile_names_cannot_reach_the_terminal() -> None:
    child = replace(RUNNING, progress=Progress(object="x\x1b[2J\u202e", steps_done=1, steps_total=2))
    rows = tree_rows(parent(child), "\x07sales", expanded=True, show_all=False, now=NOW, width=120)
    text = "".join(row.text for row in rows)
    assert not set(text) & {"\x1b", "\x07", "\u202e"}


@pytest.mark.parametrize("width", range(26, 60))
def test_where_it_is_narrow_the_target_stays_and_no_time_is_cut(width: int) -> None:
    job = parent(over(1), replace(RUNNING, started_at=NOW - 3723 * SECOND))
    job = replace(job, started_at=NOW - 3723 * SECOND)
    name = TargetName("warehouse-eu.db", "PROD")
    head, *children = tree_rows(job, name, expanded=True, show_all=False, now=NOW, width=width)
    assert cell_len(head.text) <= width
    assert " w" in head.text
    assert width < 29 or "[PROD]" in head.text
    assert "running" in head.text
    for row in (head, *children):
        assert cell_len(row.text) <= width
        assert not row.text.rstrip().endswith((":02:0", ":02", "1:", " 1")), row.text
    assert any(time in head.text for time in ("1:02:03", "53:05 left")) == (width >= 40)


BESIDE_THE_LISTS = 36
"""Cells of a row beside the lists of a terminal of 60."""


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (over(1, before={"size": 24.1e6}, after={"size": 14.3e6}), "✓ completed 41.00 s"),
        (over(1, started_at=NOW - 3723 * SECOND), "✓ completed 1:02:03"),
        (over(1, Status.FAILED, reason=Reason.OPERATION_ERROR, error="no way"), "× failed 41.00 s"),
        (over(1, Status.CANCELLED, reason=Reason.CANCELLED_BY_USER, error="stopped"), "■ cancelled 41.00 s"),
        (over(1, Status.SKIPPED, reason=Reason.PREVIOUS_FAILED, started_at=None), "– skipped"),
        (RUNNING, "► 53% 0:36 left"),
        (replace(RUNNING, progress=Progress(steps_done=3, steps_total=9)), "► running 3/9 0:41"),
        (
            replace(
                RUNNING, progress=Progress(fraction=0.1, phase=f"{WAITING}: sqlite3 (12)", waits_for=WaitsFor.LOCK)
            ),
            "► waits 0:41",
        ),
        (replace(RUNNING, cancel_requested_at=NOW), "► cancelling 0:41"),
        (replace(RUNNING, cancel_requested_at=NOW, started_at=NOW - 3723 * SECOND), "► cancelling 1:02:03"),
        (replace(RUNNING, cancel_requested_at=NOW, progress=Progress(phase=FINISHING)), "► cancelling 0:41"),
    ],
)
@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.INCREMENTAL_VACUUM])
def test_the_narrowest_row_has_the_operation_its_status_and_its_time(
    child: ChildJob, words: str, operation: Operation
) -> None:
    job = parent(replace(child, operation=operation, ordinal=1))
    head, row = tree_rows(job, "sales.db", expanded=True, show_all=False, now=NOW, width=BESIDE_THE_LISTS)
    assert row.text.split()[2:] == words.split()
    assert cell_len(row.text) <= BESIDE_THE_LISTS
    assert "sales.db" in head.text
    assert head.text.endswith("0:41")


def test_warnings_are_marked_where_there_is_room_for_a_mark_only() -> None:
    warned = over(1, warnings=("a", "b"))
    assert child_row(warned, TARGET, now=NOW, width=BESIDE_THE_LISTS).text.split()[2:] == [
        "✓", "completed", "!2", "41.00", "s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "child",
    [
        over(1, Status.CANCELLED, reason=Reason.CANCELLED_BY_USER, error=STOPPED),
        replace(RUNNING, cancel_requested_at=NOW, progress=Progress(phase=FINISHING)),
        replace(RUNNING, cancel_requested_at=NOW),
        replace(RUNNING, progress=Progress(phase=f"{WAITING}: sqlite3 (12)", waits_for=WaitsFor.LOCK)),
    ],
)
def test_nothing_is_said_rather_than_a_few_letters_of_it(child: ChildJob) -> None:
    for width in range(34, 60):
        words = child_row(child, TARGET, now=NOW, width=width).text.split()
        assert not [word for word in words if word.endswith("…") and len(" ".join(words[4:-1])) < 8], (width, words)


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (over(1, operation=Operation.VACUUM, before={"size": 24.1e6}, after={"size": 14.3e6}), "14.3 MB"),
        (over(1, operation=Operation.CHECK, before={}, after={"findings": 0, "level": "full"}), "none found"),
        (over(1, Status.SKIPPED, reason=Reason.NOT_NEEDED, error="auto_vacuum is not incremental"), "not needed"),
        (replace(RUNNING, status=Status.PENDING, started_at=None, progress=Progress()), "waits"),
        (replace(RUNNING, progress=Progress(phase=f"{WAITING}: sqlite3 (12)", waits_for=WaitsFor.LOCK)), "waits"),
    ],
)
def test_what_is_said_in_ten_cells_is_whole(child: ChildJob, words: str) -> None:
    assert f"  {words} " in child_row(child, TARGET, now=NOW, width=44).text.ljust(45)


@pytest.mark.parametrize(
    ("width", "when"),
    [(58, "11-18 11:06  "), (75, "11-18 11:06  "), (100, "2026-11-18 11:06  "), (130, "2026-11-18 11:06:40  ")],
)
def test_a_row_of_the_history_gives_the_target_room(width: int, when: str) -> None:
    job = replace(parent(over(1)), created_at=NOW)
    row = history_row(job, TargetName("warehouse.db", "PROD"), columns(5, 19, width), now=NOW)
    assert cell_len(row.text) == width
    assert when in row.text
    assert "wa" in row.text
    assert "[PROD]" in row.text
    long_ago = replace(job, created_at=NOW - 86_400 * 800 * SECOND)
    years_ago = history_row(long_ago, "a", columns(5, 19, 58), now=NOW)
    assert "2024-09-09" in years_ago.text


# The history


USUAL = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE)


def usual(*children: ChildJob) -> ParentJob:
    job = parent(*children)
    return replace(job, request=replace(job.request, operations=USUAL))


@pytest.mark.parametrize("names", [4, 12, 90])
def test_a_row_of_the_history_is_as_wide_as_its_pane(names: int) -> None:
    for job in (parent(over(1)), replace(parent(over(1), over(2, Status.FAILED, error="no\n\x1b" * 90)), pinned=True)):
        for width in range(45, 200, 7):
            assert cell_len(history_row(job, "sales", columns(6, names, width), now=NOW).text) == width


def words(job: ParentJob, width: int) -> list[str]:
    return history_row(job, "sales.db", columns(5, 8, width), now=NOW).text.split()


def test_the_history_says_at_every_width_what_matters_most() -> None:
    vacuum = over(1, operation=Operation.VACUUM, before={"size": 1.58e9}, after={"size": 1.1e9})
    done = replace(usual(vacuum), finished_at=NOW)
    assert words(done, 45) == ["#42", "sales.db", "vacuum", "+3", "✓", "completed"]
    assert words(done, 58) == ["#42", "11-18", "11:05", "sales.db", "vacuum", "+3", "✓", "completed"]
    assert words(done, 76) == [
        "#42", "11-18", "11:05", "sales.db", "vacuum", "analyze", "+2", "✓", "completed", "41.00", "s",
    ]  # fmt: skip
    assert words(done, 156) == [
        "#42", "2026-11-18", "11:05:40", "sales.db", "vacuum", "analyze", "reindex", "optimize", "✓", "completed",
        "41.00", "s", "1.58", "GB", "->", "1.10", "GB,", "480", "MB", "back",
    ]  # fmt: skip


def test_where_the_history_has_little_room_for_it_what_was_done_is_said_in_a_shorter_way() -> None:
    vacuum = over(1, operation=Operation.VACUUM, before={"size": 24_100_000}, after={"size": 14_300_000})
    for job in (usual(vacuum), usual(vacuum, over(2))):
        row = history_row(job, "warehouse.db", columns(6, 12, 116), now=NOW)
        assert row.text.rstrip().endswith("24.1 MB -> 14.3 MB")


def test_the_history_says_how_much_of_what_did_not_complete_was_done() -> None:
    both = over(1), over(2, Status.FAILED, error="disk is full")
    assert words(replace(parent(*both), finished_at=NOW), 156)[-7:] == [
        "s", "1/2", "done", "analyze:", "disk", "is", "full",
    ]  # fmt: skip


# A parent


@pytest.mark.parametrize(
    ("children", "words"),
    [
        ((over(1), replace(RUNNING, progress=Progress())), "1/2 done"),
        ((over(1, Status.FAILED), RUNNING), "0/2 done"),
        ((over(1), over(2, Status.FAILED)), "1/2 done"),
        ((over(1, Status.FAILED), over(2, Status.CANCELLED)), "0/2 done"),
        ((over(1), over(2, Status.SKIPPED, reason=Reason.NOT_NEEDED)), "2/2 done"),
        ((over(1), over(2, Status.SKIPPED, reason=Reason.TIME_LIMIT)), "1/2 done"),
    ],
)
def test_a_parent_counts_what_is_done_and_not_what_is_over(children: tuple[ChildJob, ...], words: str) -> None:
    wide, narrow = (
        tree_rows(parent(*children), "sales", expanded=False, show_all=False, now=NOW, width=width)[0].text
        for width in (86, 48)
    )
    assert words in wide
    assert words.removesuffix(" done") in narrow


def test_that_an_operation_failed_is_said_while_others_still_run() -> None:
    job = parent(over(1, Status.FAILED), RUNNING)
    row = tree_rows(job, "sales", expanded=False, show_all=False, now=NOW, width=86)[0]
    assert "1 failed" in row.text
    over_already = parent(over(1, Status.FAILED), over(2))
    assert "1 failed" not in tree_rows(over_already, "a", expanded=False, show_all=False, now=NOW, width=86)[0].text


CANCELLING = replace(RUNNING, cancel_requested_at=NOW)


@pytest.mark.parametrize(
    ("children", "word"),
    [
        ((over(1), CANCELLING), "► cancelling"),
        ((CANCELLING, over(3, Status.CANCELLED)), "► cancelling"),
        ((CANCELLING, replace(RUNNING, ordinal=3)), "► running"),
        ((CANCELLING, replace(RUNNING, ordinal=3, status=Status.PENDING)), "► running"),
        ((over(1, Status.CANCELLED), over(2)), "■ cancelled"),
    ],
)
def test_a_parent_is_cancelling_when_everything_that_is_not_over_is(children: tuple[ChildJob, ...], word: str) -> None:
    row = tree_rows(parent(*children), "sales", expanded=False, show_all=False, now=NOW, width=48)[0]
    assert f"{word} " in row.text


def test_operations_that_do_not_fit_are_counted() -> None:
    job = usual(over(1))
    assert [operations(job, width) for width in (32, 31, 18, 17, 9, 8, 6, 5)] == [
        "vacuum analyze reindex optimize", "vacuum analyze reindex optimize", "vacuum analyze +2",
        "vacuum analyze +2", "vacuum +3", "vacuum", "vacuum", "vacu…",
    ]  # fmt: skip


# A narrow row, and a waiting one


def test_where_there_is_no_room_beside_a_status_percent_and_rest_take_its_place() -> None:
    assert child_row(RUNNING, TARGET, now=NOW, width=35).text.split() == [".2", "analyze", "►", "53%", "0:36", "left"]
    just_begun = replace(RUNNING, progress=replace(RUNNING.progress, fraction=0.02))
    assert child_row(just_begun, TARGET, now=NOW, width=35).text.split() == [".2", "analyze", "►", "2%", "0:41"]
    assert "cancelling" in child_row(CANCELLING, TARGET, now=NOW, width=35).text


WAITS = replace(
    RUNNING,
    progress=Progress(steps_total=1, phase="waiting for its lock: process 4711 (psql)", waits_for=WaitsFor.LOCK),
)


@pytest.mark.parametrize(
    ("width", "words"),
    [(48, "waits for lock"), (60, "waiting for its lock: pro…"), (80, "waiting for its lock: process 4711 (psql)")],
)
def test_that_it_waits_for_a_lock_matters_more_than_how_far_it_is(width: int, words: str) -> None:
    assert words in child_row(WAITS, TARGET, now=NOW, width=width).text


# The detail


def about(job: ParentJob, child: int | None = None, width: int = 47, height: int = 0) -> list[str]:
    lines = detail_lines(job, JobId(42, child), "sales.db", now=NOW, width=width, height=height)
    return [line.text.rstrip() for line in lines]


def a_step(number: int, status: Status = Status.COMPLETED, **more: object) -> Step:
    began = NOW - (41 - 10 * (number - 1)) * SECOND
    return Step(
        number=number, attempt=1, object=f"t{number}", command=f'ANALYZE main."t{number}"', status=status,
        started_at=began, finished_at=began + 10 * SECOND if status.is_final else None, **more,  # type: ignore[arg-type]
    )  # fmt: skip


_FAILED = a_step(4, Status.FAILED, error="no way")
AT_WORK = replace(RUNNING, steps=(a_step(1), a_step(2), a_step(3), _FAILED, a_step(5, Status.RUNNING)))


def test_the_detail_tells_how_fast_it_gets_on_what_runs_and_what_ended_last() -> None:
    assert about(parent(AT_WORK), 2, height=7) == [
        "#42.2 analyze  ► running  0:41",
        "53%  0:36 left  10 s a step",
        "4 of 9 steps done, at orders",
        'ANALYZE main."t5"',
        '×   10.00 s  ANALYZE main."t4"  no way',
        '✓   10.00 s  ANALYZE main."t3"',
        '✓   10.00 s  ANALYZE main."t2"',
    ]
    assert about(parent(AT_WORK, replace(over(3, Status.PENDING), started_at=None)), height=7) == [
        "#42 sales.db  ► running 26%  0:41",
        "analyze  53%  0:36 left  10 s a step",
        "4 of 9 steps done, at orders",
        'ANALYZE main."t5"',
        "vacuum analyze reindex +6: 1 pending, 1 running",
        "started 11:05:59",
        '×   10.00 s  ANALYZE main."t4"  no way',
    ]


def test_what_runs_beside_each_other_is_told_first() -> None:
    beside = replace(AT_WORK, steps=(a_step(1), a_step(2, Status.RUNNING), a_step(3, Status.RUNNING)))
    assert about(parent(beside), 2, height=7)[3:] == [
        'ANALYZE main."t3"',
        '►      0:31  ANALYZE main."t2"',
        '✓   10.00 s  ANALYZE main."t1"',
    ]


@pytest.mark.parametrize("width", [47, 84])
def test_the_lines_of_the_detail_keep_their_place_while_it_runs(width: int) -> None:
    busy = [
        AT_WORK,
        replace(AT_WORK, progress=replace(RUNNING.progress, fraction=0.01, phase="copying")),
        replace(AT_WORK, progress=replace(RUNNING.progress, steps_done=8, object="a very long name of an index" * 3)),
    ]
    for at in (None, 2):
        lines = [about(parent(child), at, width, height=11) for child in busy]
        assert len({len(one) for one in lines}) == 1
        assert len({one.index('ANALYZE main."t5"') for one in lines}) == 1


@pytest.mark.parametrize(
    ("child", "pace"),
    [
        (replace(RUNNING, progress=replace(RUNNING.progress, steps_done=123, steps_total=200)), "3.0 steps/s"),
        (replace(RUNNING, progress=replace(RUNNING.progress, steps_done=0)), ""),
        (replace(RUNNING, progress=replace(RUNNING.progress, waited=21 * SECOND)), "5.0 s a step"),
        (replace(RUNNING, progress=Progress(fraction=0.5, object="main", steps_total=2)), ""),
    ],
)
def test_the_pace_is_that_of_the_steps(child: ChildJob, pace: str) -> None:
    assert format_pace(child, NOW, 82_000_000) == pace


@pytest.mark.parametrize(("fraction", "pace"), [(0.5, "about 1.00 MB/s"), (0.02, ""), (None, "")])
def test_the_pace_of_one_step_on_the_whole_database_is_by_its_size(fraction: float | None, pace: str) -> None:
    progress = Progress(fraction=fraction, object="main", steps_total=2)
    child = replace(RUNNING, operation=Operation.VACUUM, progress=progress)
    assert format_pace(child, NOW, 82_000_000) == pace
    assert format_pace(child, NOW, None) == ""


LOCKED = "/srv/sales.db: the lock could not be had in 5 s: process 4711 (psql) has locked it for itself"


def test_the_detail_says_what_went_wrong_and_what_to_do_before_when_that_was() -> None:
    busy = [over(n, Status.FAILED, reason=Reason.TARGET_BUSY, error=LOCKED) for n in (1, 2)]
    busy[0] = replace(busy[0], operation=Operation.VACUUM)
    assert about(replace(usual(*busy), finished_at=NOW)) == [
        "#42 sales.db  × failed  41.00 s",
        "vacuum, analyze: the lock could not be had in 5",
        "s: process 4711 (psql) has locked it for itself",
        "Press t when the database is free. New jobs",
        "wait longer with --lock-timeout, or",
        "lock_timeout in the config file.",
        "vacuum analyze reindex optimize: 2 failed",
        "started 11:05:59  finished 11:06:40",
    ]


def test_what_to_do_about_a_lock_is_said_once() -> None:
    busy = parent(over(1, Status.FAILED, reason=Reason.TARGET_BUSY, error=LOCKED))
    for lines in (
        about(busy, 1, 200),
        about(busy, None, 200),
        [line.text for line in job_document(busy, "a", now=NOW, width=200)],
    ):
        assert " ".join(lines).lower().count("press t when") == 1
        assert "process 4711 (psql) has locked it for itself" in " ".join(lines)


def test_the_detail_of_what_waits_says_first_and_whole_for_whom() -> None:
    for child in (None, 2):
        assert "Waiting for its lock: process 4711 (psql)" in about(parent(WAITS), child)[1:3]


def test_where_the_first_line_of_the_detail_is_full_the_next_one_goes_on() -> None:
    done = over(2, before={"size": 24.1e6}, after={"size": 14.3e6}, operation=Operation.VACUUM, warnings=("one",))
    whole = "#42.2 vacuum  ✓ completed  41.00 s  24.1 MB -> 14.3 MB, 9.80 MB back  1 warning"
    assert about(parent(done), 2, 120)[0] == whole
    assert about(parent(done), 2)[:2] == ["#42.2 vacuum  ✓ completed  41.00 s  now 14.3 MB", "1 warning"]


def test_dates_of_another_day_fit_into_one_line_as_well() -> None:
    job = replace(parent(over(1)), started_at=NOW - 86_500 * SECOND, finished_at=NOW - 86_400 * SECOND, pinned=True)
    assert about(job)[-1] == "started 2026-11-17 11:05:00  finished 11:06:40"
    assert about(job, width=60)[-1] == "started 2026-11-17 11:05:00  finished 11:06:40  pinned"


@pytest.mark.parametrize("width", [86, 52])
def test_what_writes_back_says_at_once_that_it_cannot_be_stopped(width: int) -> None:
    child = replace(RUNNING, cancel_requested_at=NOW, progress=Progress(fraction=0.45, phase=WRITING_BACK))
    row = child_row(child, TARGET, now=NOW, width=width).text
    assert "stop" not in row
    said = " ".join(line.text for line in detail_lines(parent(child), child.id, "sales", now=NOW, width=200))
    assert "Cancel was requested" not in said
    assert "it will complete" in said


def test_what_does_not_stop_when_it_is_asked_to_will_only_probably_complete() -> None:
    child = replace(RUNNING, cancel_requested_at=NOW, progress=Progress(fraction=0.45, phase=FINISHING))
    said = " ".join(line.text for line in detail_lines(parent(child), child.id, "sales", now=NOW, width=200))
    assert "it will probably complete" in said


def test_a_job_that_failed_names_first_what_failed() -> None:
    checked = over(4, Status.FAILED, operation=Operation.OPTIMIZE, reason=Reason.OPERATION_ERROR, error="no")
    failed = parent(over(1, operation=Operation.VACUUM), checked)
    more = f"+{len(SQLITE_OPERATIONS) - 1}"
    assert operations(failed, 12) == f"optimize {more}"
    assert operations(failed).startswith("vacuum analyze")
    assert operations(parent(over(1, operation=Operation.VACUUM)), 12) == f"vacuum {more}"


@pytest.mark.parametrize("width", [58, 75])
def test_a_pin_takes_no_room_from_the_operations(width: int) -> None:
    rows = [
        history_row(replace(parent(over(1)), pinned=pinned), "sales.db", columns(5, 8, width), now=NOW).text
        for pinned in (False, True)
    ]
    assert rows[1].replace("*", " ") == rows[0]
    assert "*" in rows[1]


@pytest.mark.parametrize("width", range(50, 90))
def test_the_page_of_a_job_says_what_an_operation_did_whole(width: int) -> None:
    facts = {"size": 544_000_000}, {"size": 371_000_000}
    child = over(1, operation=Operation.VACUUM, before=facts[0], after=facts[1], warnings=("one",))
    lines = job_document(parent(child), "sales", now=NOW, width=width)
    assert all(cell_len(line.text) <= width for line in lines)
    assert "544 MB -> 371 MB, 173 MB back" in " ".join(line.text for line in lines)


def test_how_many_jobs_there_are_is_left_out_rather_than_cut() -> None:
    jobs = [parent(RUNNING), *[parent(over(1))] * 7]
    assert summary(jobs, 22) == "1 running, 7 completed"
    assert summary(jobs, 21) == "1 running"
    assert summary(jobs, 3) == ""


def test_what_waits_for_a_lock_says_its_timeout() -> None:
    waiting = replace(
        RUNNING, progress=Progress(phase=f"{WAITING}: process 7 (python) has it", waits_for=WaitsFor.LOCK)
    )
    said = [line.text for line in detail_lines(parent(waiting), waiting.id, "sales", now=NOW, width=200)]
    assert "Its lock timeout is 5 s." in said


@pytest.mark.parametrize("width", [33, 36, 200])
def test_the_time_a_job_took_is_never_cut(width: int) -> None:
    job = parent(over(1, Status.FAILED))
    lines = [line.text for line in detail_lines(job, JobId(42), "a name of thirty cells [PROD]", now=NOW, width=width)]
    head = ["#42 a name of thirty cells [PROD]", "× failed  0:41"]
    assert lines[: 2 if width < 200 else 1] == (head if width < 200 else ["  ".join(head)])


@pytest.mark.parametrize(
    ("waits_for", "phase", "limit"),
    [
        (
            WaitsFor.SERVER,
            "server is down; next try in 15 s",
            "It waits up to 10m for its server, longer while other jobs of dbtend fill it.",
        ),
        (WaitsFor.TRANSACTIONS, "waiting for snapshot of pid 4711", "Readers and writers are not blocked."),
    ],
)
def test_what_waits_for_more_than_a_lock_says_for_how_long(waits_for: WaitsFor, phase: str, limit: str) -> None:
    waiting = replace(RUNNING, progress=Progress(phase=phase, waits_for=waits_for))
    said = [line.text for line in detail_lines(parent(waiting), waiting.id, "sales", now=NOW, width=200)]
    assert limit in said
    assert f"{phase[0].upper()}{phase[1:]}" in said


@pytest.mark.parametrize("width", [64, 86, 120, 180])
def test_operations_and_status_line_up_from_row_to_row(width: int) -> None:
    children = [over(n, operation=operation) for n, operation in enumerate((Operation.VACUUM, Operation.REINDEX), 1)]
    jobs = [
        (replace(parent(*children), id=7), "app"),
        (replace(parent(children[0]), id=1042, pinned=True), "a longer name of a database"),
        (
            parent(replace(over(1, Status.RUNNING), finished_at=None), *[over(n, Status.FAILED) for n in (2, 3)]),
            "sales.db",
        ),
    ]
    columns = TreeColumns()
    for job, name in jobs:
        columns = columns.with_job(job, name)
    rows = [parent_row(job, name, expanded=False, now=NOW, width=width, columns=columns).text for job, name in jobs]
    assert {len(row) for row in rows} == {width}
    assert len({row.index(name[:3]) for row, (_, name) in zip(rows, jobs, strict=True)}) == 1
    assert len({row.index("  vacuum") for row in rows}) == 1
    assert len({row.index(f"{glyph} ", 6) for row, glyph in zip(rows, "✓✓►", strict=True)}) == 1
