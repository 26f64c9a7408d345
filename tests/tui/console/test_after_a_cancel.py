"""What the question before a cancel says: a pure function."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import ChildJob, Operation, Progress, Status
from engine.jobs import FINISHING
from tui.views.after_a_cancel import after_a_cancel

NOW = 60_000_000
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
GOES_ON = "is writing back, which cannot be interrupted, about 0:10 left: it will complete. c again ends it by force."
STOPS = "What runs is stopped as soon as that is safe for the data."


@pytest.mark.parametrize(
    ("children", "said"),
    [
        ([WRITING], f"It {GOES_ON}"),
        ([WRITING, WAITS], f"vacuum {GOES_ON} What waits does not start."),
        ([COPYING], STOPS),
        ([COPYING, WAITS], f"{STOPS} What waits does not start."),
        ([WAITS], "It has not begun, and does not start."),
        ([replace(COPYING, ordinal=2), WRITING], f"vacuum {GOES_ON} {STOPS}"),
        (
            [replace(WRITING, progress=Progress(phase=FINISHING))],
            "It is finishing, which cannot be interrupted: it will complete. c again ends it by force.",
        ),
    ],
)
def test_what_follows_from_a_cancel(children: list[ChildJob], said: str) -> None:
    assert after_a_cancel(children, NOW) == said
