"""The status banner and messages about the store: pure functions."""

from __future__ import annotations

import pytest

from engine.domain.errors import StoreBusyError, StoreError, StoreLostError
from tui.console.actions import ACTIONS, barred
from tui.console.views.line import Role
from tui.console.views.status_banner import StatusBanner, banner_lines, not_stored, waiting_for_the_store

LOST = StoreLostError("/srv/jobs.db", "was removed while it was in use", "put it back")
UNREAD = StoreError("/srv/jobs.db", "is damaged", "restore it")
NO_WORKER = StoreError("worker", "it ended right after its start", "see /srv/jobs.db.d/worker.log")


@pytest.mark.parametrize(
    ("about", "said", "role"),
    [
        (
            StatusBanner(lost=LOST, unread=UNREAD, no_worker=NO_WORKER),
            "/srv/jobs.db: was removed while it was in use (put it back). "
            "The screen shows the last state that was read.",
            Role.FAILED,
        ),
        (StatusBanner(lost=LOST, has_store=False), f"{LOST}.", Role.WARNING),
        (
            StatusBanner(unread=UNREAD, waiting=1),
            "/srv/jobs.db: is damaged (restore it). The screen shows the last state that was read; retrying.",
            Role.FAILED,
        ),
        (
            StatusBanner(no_worker=NO_WORKER, waiting=2),
            "No worker: it ended right after its start (see /srv/jobs.db.d/worker.log).",
            Role.FAILED,
        ),
        (
            StatusBanner(waiting_elsewhere={"db3": 1, "db2": 2}),
            "3 jobs wait for a worker of db2, db3: start dbtend worker there.",
            Role.WARNING,
        ),
        (
            StatusBanner(waiting=1),
            "1 job waits, no worker is up. Start one with: dbtend worker, or run another job here.",
            Role.WARNING,
        ),
        (
            StatusBanner(waiting=2, read_only=True),
            "2 jobs wait, no worker is up. Start one with: dbtend worker.",
            Role.WARNING,
        ),
        (
            StatusBanner(has_store=False, read_only=True),
            "No job store yet: nothing has run. A read-only console creates none.",
            Role.DIM,
        ),
    ],
)
def test_what_weighs_most_is_said(about: StatusBanner, said: str, role: Role) -> None:
    (line,) = banner_lines(about, 200)
    assert line.text.strip() == said
    assert {span_role for text, span_role in line.spans if text.strip()} == {role}


def test_nothing_is_said_where_all_is_well() -> None:
    assert banner_lines(StatusBanner(), 80) == []


def test_words_on_a_store_that_is_locked() -> None:
    assert waiting_for_the_store("", 3) == (
        "The job store is busy: another process has locked it. Retrying for 3 s more."
    )
    error = StoreBusyError("the store", "another process has kept it locked for 10 s", "end that process, or try again")
    assert not_stored(error, "") == (
        "Nothing was stored: another process has kept it locked for 10 s (end that process, or try again)."
    )
    assert "for 10 s; process 7 (cp) reads it (end" in not_stored(error, "process 7 (cp) reads it")


def test_every_action_that_is_barred_has_a_sentence() -> None:
    for action in ACTIONS:
        if action.writes:
            assert barred(action.id).startswith("Read-only: ")
