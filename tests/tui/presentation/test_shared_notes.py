"""What several operations or steps of a job share is told once, with whom it concerns."""

from __future__ import annotations

from dataclasses import replace

from engine import ChildJob, Operation, ParentJob, Reason, Status, Step
from tests.tui.jobs import SECOND, START, child, parent
from tui.commands.job_report import job_lines
from tui.console.views.job_document import job_document
from tui.presentation.job_notes import Instructions
from tui.presentation.shared_notes import SharedNotes, shared_notes, told_once

HOW = Instructions(retry="press t", show="press enter", skip_recovery="press c again", force="press c again")
BUSY = "no lock within 5 s: pid 4711 (psql) reads it"


def shared(*children: ChildJob) -> list[SharedNotes]:
    return shared_notes(parent(*children), lambda _: HOW)


def busy(ordinal: int, operation: Operation, why: str = BUSY, *steps: Step) -> ChildJob:
    failed = child(ordinal, Status.FAILED, Reason.TARGET_BUSY, operation=operation, error=f"/srv/sales.db: {why}")
    return replace(failed, steps=steps)


def step(number: int, error: str | None = BUSY, name: str | None = None) -> Step:
    return Step(
        number=number, attempt=1, object=name or f"t{number}", command=f"ANALYZE {number}",
        status=Status.FAILED if error else Status.COMPLETED, started_at=START, finished_at=START + SECOND, error=error,
    )  # fmt: skip


def page(job: ParentJob) -> str:
    return "\n".join(line.text for line in job_document(job, "sales", now=START + SECOND, width=78))


def shown(job: ParentJob) -> str:
    """What `dbtend show` prints below its summary."""
    return "\n".join(job_lines(job, START + SECOND)[1:])


def test_an_error_and_its_advice_are_told_once_with_all_operations() -> None:
    three = (busy(1, Operation.VACUUM), busy(2, Operation.ANALYZE), busy(3, Operation.REINDEX))
    (one,) = shared(*three)
    assert one.subjects == ".1 vacuum, .2 analyze, .3 reindex"
    assert one.notes[0].text == BUSY
    assert len(one.notes) == 2
    for text in (page(parent(*three)), shown(parent(*three))):
        assert text.count("pid 4711 (psql) reads it") == 1
        assert text.count("when the database is free") == 1
        assert one.subjects in text


def test_the_error_of_many_steps_is_told_once_with_the_first_of_them() -> None:
    steps = tuple(step(n, BUSY if n > 2 else None) for n in range(1, 43))
    failed = replace(
        child(1, Status.FAILED, Reason.OPERATION_ERROR, operation=Operation.ANALYZE, error=f"t3: {BUSY}; 40 failed"),
        steps=steps,
    )
    (one,) = shared(failed)
    assert one.subjects == ".1 analyze (t3, t4, t5, t6, t7 and 35 more)"
    for text in (page(parent(failed)), shown(parent(failed))):
        assert " ".join(text.split()).count(BUSY) == 2  # with that of the operation itself


def test_different_errors_are_told_where_they_belong() -> None:
    two = (busy(1, Operation.VACUUM), busy(2, Operation.ANALYZE, "disk is full"))
    assert [[note.text for note in one.notes if BUSY in note.text] for one in shared(*two)] == [[]]  # the advice
    text = page(parent(*two))
    assert text.index(".1 vacuum  ") < text.index(BUSY) < text.index(".2 analyze  ") < text.index("disk is full")


def test_what_an_operation_shares_only_with_its_own_step_is_not_shared() -> None:
    assert shared(busy(1, Operation.ANALYZE, BUSY, step(1))) == []
    assert shared(busy(1, Operation.ANALYZE, BUSY, step(1), step(2))) == []


def test_what_was_not_needed_is_no_error_to_share() -> None:
    idle = [
        child(n, Status.SKIPPED, Reason.NOT_NEEDED, operation=operation, error="nothing to do")
        for n, operation in enumerate((Operation.CHECKPOINT, Operation.VACUUM), 1)
    ]
    assert shared(*idle) == []


def test_names_in_the_list_cannot_harm_a_terminal() -> None:
    steps = tuple(step(n, name=f"t\x1b{n}") for n in (1, 2))
    (one,) = shared(replace(child(1, Status.FAILED, Reason.OPERATION_ERROR, error="2 failed"), steps=steps))
    assert "\x1b" not in one.subjects


def test_all_texts_that_were_told_are_known() -> None:
    found = shared(busy(1, Operation.VACUUM), busy(2, Operation.ANALYZE))
    assert BUSY in told_once(found)
    assert told_once([]) == frozenset()
