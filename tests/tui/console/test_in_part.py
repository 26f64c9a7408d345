"""How an operation that completed in part reads in the console: never as one that is completed."""

from __future__ import annotations

from dataclasses import replace

from engine import Reason, Status
from engine.domain.steps import Progress
from tests.tui.jobs import START, child, parent
from tui.console.views.copied import copied_job
from tui.console.views.detail import detail_lines
from tui.console.views.line import Role
from tui.console.views.remarks import remarks
from tui.console.views.rows import child_row, parent_row
from tui.console.views.status import status_span
from tui.presentation.effect_summary import done_of
from tui.presentation.job_status import format_status

ERROR = "300 of 542 steps done by the time limit; 242 not begun: public.idx_a, public.idx_b"
PARTLY = replace(
    child(1, Status.COMPLETED, Reason.TIME_LIMIT, error=ERROR),
    left=242,
    progress=Progress(fraction=0.6, steps_done=300, steps_total=542),
)
JOB = parent(PARTLY)


def test_neither_the_operation_nor_its_job_is_drawn_as_completed() -> None:
    for job in (PARTLY, JOB):
        assert format_status(job) == (Status.SKIPPED, "partial")
        assert status_span(job) == ("– partial   ", Role.SKIPPED)
    assert "✓" not in parent_row(JOB, "sales", expanded=False, now=START, width=100).text
    assert done_of(JOB) == "0/1"


def test_its_row_says_how_far_it_came() -> None:
    wide = child_row(PARTLY, JOB.target, now=START, width=140).text
    assert "300 of 542 steps done by the time limit" in wide
    assert "past its limit" in child_row(PARTLY, JOB.target, now=START, width=60).text


def test_its_page_says_what_is_left_and_what_to_do() -> None:
    lines = remarks(JOB, PARTLY, 200)
    assert [text for text, role in lines[0].spans if role is Role.WARNING and ERROR in text]
    assert "to run the rest" in lines[1].text
    about = detail_lines(JOB, replace(PARTLY.id, ordinal=None), "sales", now=START, width=120)
    assert any("1 partial" in line.text for line in about)


def test_what_is_left_can_be_copied() -> None:
    assert copied_job(JOB, PARTLY.id, ("this row", "row")) == ("the remaining findings", ERROR)
