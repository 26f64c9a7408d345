"""What the question before a cancel says: a pure function."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import ChildJob, JobId, Operation, Options, Progress, Request, Status
from engine.domain.steps import FINISHING
from tests.tui.jobs import parent
from tui.commands.report import cancel_lines
from tui.console.views.cancel_question import cancel_consequences

NOW = 60_000_000
REQUEST = Request(target="sqlite:///sales.db", operations=(Operation.VACUUM,))
SHOP = Request(target="mysql://dba@db1/shop", operations=(Operation.REBUILD,))
WRITING = ChildJob(
    parent_id=7,
    ordinal=1,
    operation=Operation.VACUUM,
    status=Status.RUNNING,
    started_at=NOW - 30_000_000,
    progress=Progress(fraction=0.75, object="main", steps_total=1, phase="writing back"),
)
COPYING = replace(WRITING, progress=replace(WRITING.progress, phase="copying"))
WAITS = ChildJob(parent_id=7, ordinal=2, operation=Operation.ANALYZE, status=Status.PENDING)
GOES_ON = "is writing back, which cannot be interrupted: it will complete, about 0:10 left. c again kills its process."
STOPS = (
    "ends as soon as that is safe for the data. "
    "Leaves: nothing changed while it copies; once it writes back, it cannot stop."
)


@pytest.mark.parametrize(
    ("children", "said"),
    [
        ([WRITING], f"It {GOES_ON}"),
        ([WRITING, WAITS], f"vacuum {GOES_ON} Pending operations do not start."),
        ([COPYING], f"It {STOPS}"),
        ([COPYING, WAITS], f"vacuum {STOPS} Pending operations do not start."),
        ([COPYING, replace(COPYING, parent_id=8)], f"vacuum {STOPS}"),
        ([WAITS], "It has not started yet, and will not."),
        ([WRITING, replace(COPYING, ordinal=2)], f"vacuum {GOES_ON} vacuum {STOPS}"),
        (
            [replace(WRITING, progress=Progress(phase=FINISHING))],
            "It is finishing, which cannot be interrupted: it will probably complete. c again kills its process.",
        ),
    ],
)
def test_what_follows_from_a_cancel(children: list[ChildJob], said: str) -> None:
    assert cancel_consequences([(child, REQUEST) for child in children], NOW) == said


def test_a_cancel_of_an_exchange_leaves_nothing() -> None:
    exchange = replace(REQUEST, options=Options(swap=True))
    left = "Leaves: nothing changed; the unfinished copy is removed."
    assert cancel_consequences([(COPYING, exchange)], NOW).endswith(left)
    job = replace(parent(COPYING), request=exchange)
    assert "  leaves: nothing changed; the unfinished copy is removed" in cancel_lines(job, job, JobId(job.id), NOW)


def test_it_is_said_in_the_words_of_the_command_line() -> None:
    job = parent(COPYING)
    lines = list(cancel_lines(job, job, JobId(job.id), NOW))
    assert [line.strip().lower() for line in lines[1:3]] == [
        sentence.lower().rstrip(".") for sentence in cancel_consequences([(COPYING, REQUEST)], NOW).split(". ")
    ]


def test_the_steps_that_ended_before_a_cancel_are_not_undone() -> None:
    rebuild = replace(COPYING, operation=Operation.REBUILD, progress=Progress(steps_done=3, steps_total=4))
    said = cancel_consequences([(rebuild, SHOP)], NOW)
    assert said.endswith("Leaves: what 3 steps did; of what runs now: nothing changed.")
    check = replace(rebuild, operation=Operation.CHECK)
    assert "Leaves: nothing changed, except that damaged tables" in cancel_consequences([(check, SHOP)], NOW)
