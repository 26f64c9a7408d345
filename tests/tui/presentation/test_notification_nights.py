"""A message says which night it is about, when that was due, and what shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.domain.batches import NO_BATCH_OPTIONS, Batch
from engine.domain.job_outcomes import JobOutcome
from engine.domain.notifications import Event, EventKind, ToldBatch
from engine.domain.schedules import Firing, FiringReason, FiringStatus
from tests.tui.presentation.test_notification_text import AT, FAILED, event, message
from tui.presentation.notification_text import message_text
from tui.presentation.text import target_name

ZONES = {"nightly": "Asia/Tokyo"}
COUNTS = {JobOutcome.COMPLETED: 13, JobOutcome.FAILED: 3}
MISSED = Event(kind=EventKind.MISSED, at=AT, schedule="nightly", facts={"reason": "no_worker", "error": None})


def night(number: int = 12, schedule: str | None = "nightly", reason: FiringReason | None = None) -> ToldBatch:
    firing = Firing(
        schedule=schedule or "", due_at=AT, status=FiringStatus.FIRED, recorded_at=AT, batch=number, reason=reason
    )
    batch = Batch(id=number, options=NO_BATCH_OPTIONS, created_at=AT, counts=COUNTS)
    return ToldBatch(batch, firing if schedule else None)


def text_of(*events: Event, batches: tuple[ToldBatch, ...] = ()) -> tuple[str, str]:
    told = replace(message(*events), batches=batches, zones=ZONES)
    made = message_text(told, named=target_name, store="/s")
    return made.subject, made.text


def test_the_subject_names_the_schedule_and_the_batch() -> None:
    subject, _ = text_of(FAILED, FAILED, FAILED, batches=(night(),))
    assert subject.endswith(": nightly b12: 3 failed")


def test_the_text_says_when_it_was_due_in_the_zone_of_the_schedule_and_how_it_ended() -> None:
    _, text = text_of(FAILED, FAILED, FAILED, batches=(night(),))
    due = "2023-11-15 07:13:20 JST (Asia/Tokyo)"
    assert text.splitlines()[:4] == [
        "3 failed", "", f"nightly b12, due {due}: 13 of 16 completed, 3 failed", "  dbtend show b12",
    ]  # fmt: skip
    assert text.rstrip().endswith("For details: dbtend show b12")


def test_one_that_a_person_started_says_so() -> None:
    _, text = text_of(FAILED, batches=(night(reason=FiringReason.BY_HAND),))
    assert "nightly b12, run by hand 2023-11-15" in text


def test_a_schedule_that_leaves_a_database_to_a_person_is_told_with_what_it_found() -> None:
    error = "/srv/a.db: found damage (#18)"
    one = Event(kind=EventKind.FAILED, at=AT, schedule="nightly", facts={"reason": None, "error": error})
    subject, text = text_of(one)
    assert subject.endswith(f": schedule nightly failed: to put right by hand first: {error}")
    assert "dbtend schedules nightly" in text


def test_a_batch_without_a_schedule_is_named() -> None:
    subject, text = text_of(FAILED, FAILED, batches=(night(7, None),))
    assert subject.endswith(": b7: 2 failed")
    assert "b7: 13 of 16 completed, 3 failed" in text


def test_several_nights_are_named_or_counted() -> None:
    subject, _ = text_of(FAILED, FAILED, batches=(night(1), night(2)))
    assert subject.endswith(": nightly b1, nightly b2: 2 failed")
    subject, _ = text_of(FAILED, FAILED, batches=(night(1), night(2), night(3)))
    assert subject.endswith(": nightly b1, 2 others: 2 failed")


def test_several_missed_times_name_their_schedule() -> None:
    subject, _ = text_of(MISSED, replace(MISSED, at=AT + 1))
    assert subject.endswith(": nightly: 2 missed")


def test_a_missed_time_is_in_the_zone_of_its_schedule() -> None:
    _, text = text_of(MISSED)
    assert "not started at 2023-11-15 07:13:20 JST (Asia/Tokyo): no worker was there" in text


@pytest.mark.parametrize(
    ("events", "command"),
    [
        ([MISSED], "dbtend schedules nightly"),
        ([replace(event(EventKind.CRITICAL, cause="damage"), job=None)], "dbtend fleet"),
        ([FAILED], "dbtend show 42"),
    ],
)
def test_the_end_names_a_command_that_can_be_typed(events: list[Event], command: str) -> None:
    _, text = text_of(*events)
    assert text.rstrip().endswith(f"For details: {command}")


def test_the_document_has_the_batches() -> None:
    told = replace(message(FAILED), batches=(night(),), zones=ZONES)
    (batch,) = message_text(told, named=target_name, store="/s").document["batches"]
    assert (batch["batch"], batch["schedule"], batch["timezone"]) == ("b12", "nightly", "Asia/Tokyo")
    assert (batch["due_at"], batch["counts"]["completed"]) == ("2023-11-14T22:13:20.000000Z", 13)


def test_a_time_that_was_told_as_missed_and_fired_after_all_is_told() -> None:
    subject, text = text_of(Event(kind=EventKind.RECOVERED, at=AT, schedule="nightly"))
    assert "schedule nightly recovered: started after all at 2023-11-15 07:13:20 JST" in subject
    assert "although it was reported as missed: the clock was ahead" in text
    assert "dbtend schedules nightly" in text
