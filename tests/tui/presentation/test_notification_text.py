"""What people are told, as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.domain.jobs import JobId
from engine.domain.notifications import Event, EventKind, Message, MessageStatus
from tui.presentation.notification_text import MOST_LINES, event_phrase, message_text, trial_message
from tui.presentation.text import target_name

AT = 1_700_000_000_000_000


def event(kind: EventKind, target: str = "sqlite:///srv/sales.db", **facts: Any) -> Event:
    return Event(kind=kind, at=AT, target=target, job=JobId(42, 1), facts=facts)


def message(*events: Event, left_out: int = 0) -> Message:
    return Message(
        id=1, key="abc", recipient="ops", status=MessageStatus.WAITING, created_at=AT, next_try_at=AT, events=events,
        left_out=left_out,
    )  # fmt: skip


FAILED = event(EventKind.FAILED, operation="vacuum", error="disk I/O error", failed=1)


@pytest.mark.parametrize(
    ("what", "phrase"),
    [
        (FAILED, "vacuum: disk I/O error"),
        (event(EventKind.FAILED, operation="vacuum", error="", reason="refused", failed=3),
         "vacuum: refused (and 2 other operations)"),
        (event(EventKind.FAILED, operation="check", error="/srv/sales.db: there is no such file", failed=2,
               outcome="unreachable"), "unreachable: there is no such file"),
        (event(EventKind.CRITICAL, cause="disk_full", free=1_000_000, size=9_000_000_000),
         "only 1.00 MB free on its disk of 9.00 GB"),
        (event(EventKind.CRITICAL, cause="damage", operation="check", error="row missing from index x"),
         "row missing from index x"),
        (event(EventKind.CRITICAL, cause="damage"), "damage found"),
        (event(EventKind.CRITICAL, cause="of a newer dbtend"), "critical"),
        (event(EventKind.LONGER_THAN_USUAL, operation="vacuum", seconds=130.0, median=31.5),
         "vacuum took 2:10, usually 31.50 s"),
        (event(EventKind.LONGER_THAN_USUAL, operation="vacuum", seconds=130.0, median=31.5, is_running=True),
         "vacuum has been running for 2:10, usually 31.50 s"),
        (event(EventKind.RECOVERED, operations=["vacuum", "analyze"], failed_job=41),
         "vacuum, analyze completed; it had failed in job #41"),
    ],
)  # fmt: skip
def test_each_event_has_a_phrase(what: Event, phrase: str) -> None:
    assert event_phrase(what) == phrase


def test_a_missed_schedule_is_named() -> None:
    missed = Event(kind=EventKind.MISSED, at=AT, schedule="nightly", facts={"reason": "no_worker", "error": None})
    made = message_text(message(missed), named=target_name, store="/s")
    assert "schedule nightly  not started at 2023-11-1" in made.text
    assert "no worker was there" in made.text


def test_a_skipped_schedule_says_why() -> None:
    skipped = Event(kind=EventKind.SKIPPED, at=AT, schedule="nightly", facts={"reason": "still_running", "error": None})
    made = message_text(message(skipped), named=target_name, store="/s")
    assert "Skipped\n  schedule nightly  not started at 2023-11-1" in made.text
    assert "still running" in made.text


def test_one_event_is_the_subject() -> None:
    made = message_text(message(FAILED), named=target_name, store="/var/jobs.db")
    assert made.subject.endswith(": sales.db failed: vacuum: disk I/O error")
    assert made.text.splitlines()[:4] == ["1 failed", "", "Failed", "  sales.db  #42.1  vacuum: disk I/O error"]
    assert "Store: /var/jobs.db" in made.text


def test_several_are_counted_the_most_urgent_first() -> None:
    recovered = event(EventKind.RECOVERED, operations=["vacuum"], failed_job=1)
    critical = event(EventKind.CRITICAL, cause="damage")
    made = message_text(message(recovered, FAILED, FAILED, critical), named=target_name, store="/s")
    assert made.subject.endswith(": 1 critical, 2 failed, 1 recovered")
    assert [line for line in made.text.splitlines() if line[:1].isalpha()][:3] == ["Critical", "Failed", "Recovered"]
    assert [one["kind"] for one in made.document["events"]] == ["critical", "failed", "failed", "recovered"]
    assert made.document["counts"]["failed"] == 2


def test_a_long_list_is_cut_and_the_rest_is_counted() -> None:
    made = message_text(message(*[FAILED] * 80, left_out=5), named=target_name, store="/s")
    assert made.text.count("disk I/O error") == MOST_LINES
    assert "and 35 more: dbtend history" in made.text
    assert made.subject.endswith("80 failed, 5 more")


HOSTILE = ["\x1b[2J", "a\nSubject: evil", "\r\n.\r\nMAIL FROM:<x>", "\u202egpj.exe", "\udcff", "x" * 10_000, "<script>"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_or_error_breaks_a_line_or_obeys(name: str) -> None:
    wrong = event(EventKind.FAILED, f"sqlite:///srv/{name}.db", operation="vacuum", error=name, failed=1)
    made = message_text(message(wrong), named=target_name, store=f"/{name}")
    assert "\n" not in made.subject
    assert len(made.subject) <= 120
    for line in made.text.splitlines():
        assert line.isprintable()
    assert len(made.text.splitlines()) == 6
    json.dumps(made.document)


def test_the_document_has_a_text_for_services_that_show_one() -> None:
    made = message_text(message(FAILED), named=target_name, store="/s")
    assert made.document["text"].startswith(made.subject)
    assert made.document["message"] == "abc"
    assert made.document["events"][0]["job"] == "42.1"


def test_a_test_says_that_it_is_one() -> None:
    made = trial_message("ops", AT)
    assert "test message for ops" in made.subject
    assert set(made.document) == set(message_text(message(FAILED), named=target_name, store="/s").document)
