"""What the rows of the job tree say, as plain functions of jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from engine import ChildJob, EngineName, JobId, Operation, ParentJob, Progress, Reason, Request, Status
from engine.jobs import FINISHING, parent_status
from tests.building import SQLITE_OPERATIONS
from tui.target_names import TargetName
from tui.views.detail import detail_lines
from tui.views.history import history_row
from tui.views.job_document import job_document
from tui.views.line import Role
from tui.views.rows import FoldedKey, child_row, children_to_show, tree_rows

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


STEPS_FAILED = "1 of 2 steps failed: broken: UNIQUE constraint failed: item.note"
LOCKED = "another connection holds a lock (waited 5 s)"
STOPPED = "stopped after 2 of 9 steps; what was done stays done"


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
    assert words == [".2", "analyze", "·", "pending", "will", "run", "again"]


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
        ((over(1), LEFT_OUT), "– 1 skipped", Role.SKIPPED),
        ((LEFT_OUT, replace(LEFT_OUT, ordinal=1)), "– 2 skipped", Role.SKIPPED),
        ((over(1), LEFT_OUT, NOT_NEEDED), "– 1 skipped", Role.SKIPPED),
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
        history_row(job, "sales.db", now=NOW, width=78),
        detail_lines(job, JobId(42), "sales.db", now=NOW, width=52)[0],
        job_document(job, "sales.db", now=NOW, width=78)[0],
    ):
        assert (words, role) in {(text.rstrip(), role) for text, role in first.spans}


@pytest.mark.parametrize("width", [75, 115])
def test_a_row_of_the_history_keeps_its_columns_where_a_job_is_pinned(width: int) -> None:
    rows = [
        history_row(replace(parent(over(1)), pinned=pinned), "sales.db", now=NOW, width=width).text
        for pinned in (False, True)
    ]
    assert [cell_len(row) for row in rows] == [width, width]
    assert [row.index("✓") for row in rows] == [rows[0].index("✓")] * 2
    assert "pinned" in rows[1]


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
    assert width < 28 or "[PROD]" in head.text
    assert "running" in head.text
    for row in (head, *children):
        assert cell_len(row.text) <= width
        assert not row.text.rstrip().endswith((":02:0", ":02", "1:", " 1")), row.text
    assert ("1:02:03" in head.text) == (width >= 39)


@pytest.mark.parametrize(
    ("width", "when"),
    [(58, "11-18 11:06  "), (69, "11-18 11:06  "), (70, "2026-11-18 11:06  "), (100, "2026-11-18 11:06:40  ")],
)
def test_a_row_of_the_history_gives_the_target_room(width: int, when: str) -> None:
    job = replace(parent(over(1)), created_at=NOW)
    row = history_row(job, TargetName("warehouse.db", "PROD"), now=NOW, width=width)
    assert cell_len(row.text) == width
    assert when in row.text
    assert "ware" in row.text
    assert "[PROD]" in row.text
    years_ago = history_row(replace(job, created_at=NOW - 86_400 * 800 * SECOND), "a", now=NOW, width=58)
    assert "2024-09-09" in years_ago.text
