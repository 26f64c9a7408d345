"""A job of ten thousand steps: its page has all on request, and is read less often the more steps there are."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import JobId, ParentJob, Progress, Status, Step
from engine.domain.claims import Report
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, _claim_of_running, add_running_job, entry, open_console
from tests.tui.jobs import SECOND, child, parent
from tui.console.console_screen import steps_every
from tui.console.feed import News
from tui.console.screens.job import JobScreen
from tui.console.views.line import wrapped
from tui.presentation.text import plain


@pytest.mark.parametrize(("steps", "seconds"), [(0, 1), (900, 1), (15_000, 10)])
def test_the_more_steps_there_are_the_less_often_they_are_read(steps: int, seconds: int) -> None:
    half = replace(child(1), progress=Progress(steps_total=steps // 3))
    rest = replace(child(2), progress=Progress(steps_total=steps - steps // 3))
    assert steps_every(parent(half, rest)) == seconds * SECOND


async def test_the_page_of_a_job_tells_the_longest_steps_or_all_and_is_not_read_at_every_look(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 3_000
    job = await add_running_job(seeded.store, seeded.owner, clock)
    steps = tuple(
        Step(
            number=n,
            attempt=1,
            object=f"t{n}",
            command=f"ANALYZE main.t{n}",
            status=Status.COMPLETED,
            started_at=clock.now,
            finished_at=clock.now + n,
        )
        for n in range(1, number + 1)
    )
    claim = _claim_of_running(seeded.owner, job)
    await seeded.store.report(claim, Report(progress=Progress(steps_done=number, steps_total=2 * number), steps=steps))
    async with open_console(seeded.path, entry(), clock=clock) as console:
        read, reads = console.engine.job, list[int]()

        async def counting(parent_id: int) -> ParentJob:
            reads.append(parent_id)
            return await read(parent_id)

        screen = JobScreen(console.app.context, JobId(job))
        await console.app.push_screen(screen)
        await console.until(lambda: any(f"ANALYZE main.t{number}" in line for line in console.lines("#page")))
        assert sum("ANALYZE main.t" in line for line in console.lines("#page")) == 10
        assert any("2,990 shorter steps: z" in line for line in console.lines("#page"))
        await console.press("z")
        assert sum("ANALYZE main.t" in line for line in console.lines("#page")) == number
        monkeypatch.setattr(console.engine, "job", counting)
        (news,) = await console.engine.jobs([job])
        for seconds, due in ((2, False), (1, False), (2, True)):
            clock.forward(seconds)
            screen.hear(News((news,), frozenset()))
            await console.settle()
            assert bool(reads) == due  # the feed may have told of it, too


@given(text=st.text(), width=st.integers(8, 40))
def test_short_lines_are_as_if_they_had_been_wrapped(text: str, width: int) -> None:
    pieces = [
        piece
        for paragraph in text.splitlines() or [""]
        for piece in textwrap.wrap(plain(paragraph.expandtabs(4)), width, break_on_hyphens=False) or [""]
    ]
    assert [line.text for line in wrapped(text, width)] == pieces
