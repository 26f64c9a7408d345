"""The picture of a job: rows in columns, none too wide, with the steps of one child."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine import Operation, ParentJob, Reason, Status, Step
from engine.domain.steps import Progress
from tests.tui.jobs import SECOND, START, child, parent
from tui.presentation.job_picture import job_picture
from tui.presentation.text import cells
from tui.presentation.timeline import Mark

NOW = START + 60 * SECOND


def steps(number: int) -> tuple[Step, ...]:
    """Steps one after the other, each longer than the one before it."""
    return tuple(
        Step(
            number=n, attempt=1, object=f"index {n}", command=f"REINDEX {n}", status=Status.COMPLETED,
            started_at=START + n * (n - 1) // 2 * 1000, finished_at=START + n * (n + 1) // 2 * 1000,
            operation=Operation.REINDEX,
        )
        for n in range(1, number + 1)
    )  # fmt: skip


def job() -> ParentJob:
    failed = replace(
        child(2, Status.FAILED, Reason.OPERATION_ERROR, operation=Operation.REINDEX, error="disk is full"),
        started_at=START + 3 * SECOND // 2,
        finished_at=START + 2 * SECOND,
        steps=steps(3),
    )
    skipped = child(3, Status.SKIPPED, Reason.PREVIOUS_FAILED, operation=Operation.OPTIMIZE)
    return parent(child(1), failed, skipped)


def rows(of: ParentJob, width: int = 48, **more: int) -> list[str]:
    return [row.plain for row in job_picture(of, NOW, width, **more)]


def test_each_child_has_a_bar_over_the_time_of_the_job() -> None:
    assert rows(job()) == [
        "              0 s           1 s",
        "✓ .1 vacuum   ▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆        1.50 s",
        "× .2 reindex  ····················▆▆▆▆▆▆▆ 500 ms",
        "– .3 optimize earlier failed",
        "▆ ran  · queued",
    ]


def test_the_steps_of_the_selected_child_stand_below_it_on_their_own_axis() -> None:
    lines = rows(job(), selected=2)
    assert lines[3].startswith("     3 steps")
    assert [line.split()[1] for line in lines[4:7]] == ["index", "index", "index"]
    assert lines[7].startswith("– .3 optimize")


def test_of_many_steps_the_longest_and_a_count_are_shown() -> None:
    many = parent(replace(child(operation=Operation.REINDEX), steps=steps(500)))
    shown = job_picture(many, NOW, 80, selected=1, steps_most=4)
    names = [row.label.split()[-1] for row in shown if row.label.strip().startswith("✓ index")]
    assert names == ["497", "498", "499", "500"]
    assert any("496 shorter steps" in row.text for row in shown)


def test_in_a_wide_picture_effects_and_errors_stand_beside_the_bars() -> None:
    assert "disk is full" in "\n".join(rows(job(), 120))
    assert rows(job(), 120)[3].count("earlier failed") == 1
    running = replace(child(status=Status.RUNNING), progress=Progress(fraction=0.5))
    assert "50%" in rows(parent(running), 120)[1]


def test_what_ran_at_once_needs_no_legend() -> None:
    assert "ran" not in "".join(rows(parent(child())))
    assert "queued 24:00:00 before" in rows(replace(parent(child()), created_at=START - 86_400 * SECOND))[-1]


def test_a_job_of_which_nothing_ran_has_no_axis() -> None:
    refused = child(status=Status.FAILED, reason=Reason.UNREACHABLE, error="no such file")
    (row,) = rows(parent(replace(refused, started_at=None, finished_at=None)))
    assert row == "× .1 vacuum no such file"


def test_names_from_a_database_cannot_harm_a_terminal() -> None:
    step = replace(steps(1)[0], object="i\x1b[2J", error="bad\x1b[2J\nworse")
    text = "".join(rows(parent(replace(child(), steps=(step,))), 160, selected=1))
    assert "\x1b" not in text
    assert "\n" not in text


STATUSES = st.sampled_from(Status)


@given(
    st.lists(st.tuples(STATUSES, st.integers(0, 10**9), st.integers(0, 12)), min_size=1, max_size=8),
    st.integers(20, 220),
    st.integers(0, 9),
)
def test_every_row_fits_and_bars_are_of_one_width(
    kinds: list[tuple[Status, int, int]], width: int, selected: int
) -> None:
    children = [
        replace(
            child(n, status, error="an error " * 9 if status is Status.FAILED else None),
            started_at=START + n * took,
            finished_at=START + n * took + took if status.is_final else None,
            steps=steps(count),
        )
        for n, (status, took, count) in enumerate(kinds, 1)
    ]
    picture = job_picture(parent(*children), NOW, width, selected=selected, steps_most=5)
    assert max(cells(row.plain) for row in picture) <= width
    assert len({sum(count for _, count in row.runs) for row in picture if row.runs}) <= 1
    assert [row.child for row in picture if row.child] == list(range(1, len(kinds) + 1))
    assert all(set(dict(row.runs)) <= set(Mark) for row in picture)
