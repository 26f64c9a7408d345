"""The search of the history: its results, its indexes, and stable pages."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest

from engine.domain.events import HistoryFilter
from engine.domain.job_outcomes import OPEN, JobOutcome
from engine.domain.requests import Operation
from engine.store.sqlite import history_search
from tests.engine.store.test_queries import any_store as any_store
from tests.engine.store.test_queries import plan_of

if TYPE_CHECKING:
    import sqlite3


FILTERS = [
    HistoryFilter(target=target, status=status, operation=operation, error_words=words, batch=batch)
    for target, status, operation, words, batch in product(
        (None, "sqlite:///sales.db"),
        (None, *JobOutcome),
        (None, Operation.VACUUM),
        ((), ("disk", "full"), ("target", "busy")),
        (None, 1),
    )
]
LEADING = {
    "error": "child_job USING COVERING INDEX child_job_error (parent_id>? AND parent_id<?)",
    "batch": "parent_job USING COVERING INDEX parent_job_batch (batch_id=?)",
    "skipped": "child_job USING COVERING INDEX child_job_skipped (parent_id>? AND parent_id<?)",
    "target": "parent_job USING COVERING INDEX parent_job_target (target=? AND id>? AND id<?)",
    "operation": "child_job USING COVERING INDEX child_job_operation (operation=? AND parent_id>? AND parent_id<?)",
    "status": "parent_job USING INDEX parent_job_status (status=? AND id>? AND id<?)",
    "all": "parent_job USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
}
ASKED = (
    r"p USING INTEGER PRIMARY KEY \(rowid=\?\)"
    r"|c USING PRIMARY KEY \(parent_id=\?\)|c USING INDEX child_job_(skipped|error) \(parent_id=\?( AND status=\?)?\)"
    r"|(c|child_job) USING COVERING INDEX child_job_(error|skipped|operation) \((operation=\? AND )?parent_id=\?\)"
)
WORDS = (
    r"MULTI-INDEX OR|INDEX \d|(CORRELATED |REUSE )?(SCALAR|LIST) SUBQUERY \d+|SCAN json_each VIRTUAL TABLE INDEX \d:"
)


def test_r18_a_range_of_the_history_is_read_from_one_index_and_each_of_its_ids_is_looked_up(
    any_store: sqlite3.Connection,
) -> None:
    for where in FILTERS:
        targets = None if where.target is None else [where.target, "sqlite:///app.db"]
        plan = plan_of(any_store, *history_search.ids_in_range(where, targets, low=100, high=150))
        first, *others = [line for line in plan if not re.fullmatch(WORDS, line)]
        if where.status in OPEN and not where.error_words and where.batch is None:
            assert "parent_job_open" in first, where  # those that are open are few
        else:
            assert first.removeprefix("SEARCH ") in LEADING.values(), (where, plan)
        assert not [line for line in others if not re.fullmatch(f"SEARCH ({ASKED})", line)], where


@pytest.mark.parametrize(("since", "until", "batch"), product((None, 5), (None, 9), (None, 1)))
def test_where_the_search_begins_and_ends_is_found_at_once(
    any_store: sqlite3.Connection, since: int | None, until: int | None, batch: int | None
) -> None:
    plan = plan_of(any_store, *history_search.bounds(HistoryFilter(since=since, until=until, batch=batch)))
    dated = "SEARCH parent_job USING COVERING INDEX parent_job_created"
    of_batch = "SEARCH parent_job USING COVERING INDEX parent_job_batch (batch_id=?)"
    for line in plan:
        known = line.startswith((dated, "SCALAR SUBQUERY", "SCAN CONSTANT ROW"))
        assert known or line in {"SEARCH parent_job", of_batch}, plan


def test_a_range_with_folded_batches_looks_once_at_the_job_after_each(any_store: sqlite3.Connection) -> None:
    plan = plan_of(any_store, *history_search.ids_in_range(HistoryFilter(), None, low=100, high=150, folded=True))
    assert [line for line in plan if "SUBQUERY" not in line] == [
        "SEARCH p USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "SEARCH n USING INTEGER PRIMARY KEY (rowid>?)",
    ]


def test_each_target_is_found_by_one_step_along_the_index(any_store: sqlite3.Connection) -> None:
    plan = plan_of(any_store, history_search.TARGETS, {})
    of_jobs = [line for line in plan if "parent_job" in line]
    assert of_jobs == [
        "SEARCH parent_job USING COVERING INDEX parent_job_target",
        "SEARCH parent_job USING COVERING INDEX parent_job_target (target>?)",
    ]
    assert not [line for line in plan if "TEMP B-TREE" in line]


def test_jobs_are_counted_in_an_index(any_store: sqlite3.Connection) -> None:
    (line,) = plan_of(any_store, history_search.COUNT, {})
    assert line.startswith("SCAN parent_job USING COVERING INDEX")
