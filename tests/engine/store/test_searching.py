"""The search of the history: its results, its indexes, and stable pages."""

from __future__ import annotations

import asyncio
import re
from itertools import product
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.events import HistoryFilter
from engine.domain.job_outcomes import JobOutcome
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status, format_reason
from engine.store.protocol import NewBatch
from engine.store.sqlite import history_search
from tests.building import COMPLETED, FAILED, new_job
from tests.engine.store.test_queries import any_store as any_store
from tests.engine.store.test_queries import plan_of

if TYPE_CHECKING:
    import sqlite3

    from engine.store.sqlite.store import SqliteStore

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


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_r18_a_range_of_the_history_is_read_from_one_index_and_each_of_its_ids_is_looked_up(
    any_store: sqlite3.Connection, where: HistoryFilter
) -> None:
    targets = None if where.target is None else [where.target, "sqlite:///app.db"]
    plan = plan_of(any_store, *history_search.ids_in_range(where, targets, low=100, high=150))
    first, *others = [line for line in plan if not re.fullmatch(WORDS, line)]
    if where.status in {JobOutcome.RUNNING, JobOutcome.PENDING} and not where.error_words and where.batch is None:
        assert "parent_job_open" in first  # those that are open are few
    else:
        assert first.removeprefix("SEARCH ") in LEADING.values(), plan
    assert not [line for line in others if not re.fullmatch(f"SEARCH ({ASKED})", line)]


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


async def test_r24_paging_shows_each_job_once_while_new_ones_arrive(store: SqliteStore) -> None:
    await store.submit([new_job(f"db{number}") for number in range(25)], OnDuplicate.REFUSE)
    seen: list[int] = []
    before: int | None = None
    while (page := await store.history(HistoryFilter(), before=before, limit=10)) and len(seen) < 50:
        seen += [job.id for job in page]
        before = page[-1].id
        await store.submit([new_job(f"new{len(seen)}")], OnDuplicate.REFUSE)
    assert seen == list(range(25, 0, -1))


async def test_history_filters(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM), new_job("stock", Operation.ANALYZE)], OnDuplicate.REFUSE)
    for outcome in (COMPLETED, FAILED):
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, outcome, Report())
    created = [(await store.job(n)).created_at for n in (1, 2)]

    async def found(where: HistoryFilter) -> list[int]:
        ids = [job.id for job in await store.history(where, before=None, limit=9)]
        assert ids == await searched(store, where)
        assert ids == [
            job.id for job in await store.history(HistoryFilter(), before=None, limit=9) if where.matches(job)
        ]
        return ids

    assert await found(HistoryFilter()) == [2, 1]
    assert await found(HistoryFilter(target="sqlite:///sales.db")) == [1]
    assert await found(HistoryFilter(status=JobOutcome.FAILED)) == [2]
    assert await found(HistoryFilter(operation=Operation.ANALYZE)) == [2]
    assert await found(HistoryFilter(error_words=("IT BROKE",))) == [2]
    assert await found(HistoryFilter(error_words=("it%broke",))) == []
    assert await found(HistoryFilter(error_words=("broke", "it"))) == [2]
    assert await found(HistoryFilter(error_words=("it", "stayed whole"))) == []
    assert await found(HistoryFilter(target_part="S")) == [2, 1]
    assert await found(HistoryFilter(target_part="SALE")) == [1]
    assert await found(HistoryFilter(target_part="prod", named_targets=frozenset({"sqlite:///stock.db"}))) == [2]
    assert await found(HistoryFilter(target_part="sale", status=JobOutcome.FAILED)) == []
    assert await found(HistoryFilter(since=created[0])) == [2, 1]
    assert await found(HistoryFilter(since=created[1] + 1)) == []
    assert await found(HistoryFilter(until=created[0] - 1)) == []


async def searched(store: SqliteStore, where: HistoryFilter) -> list[int]:
    return [parent_id async for ids in store.search(where) for parent_id in ids]


async def test_the_first_ids_come_before_the_rest_is_read_and_other_reads_pass_between(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_search, "FIRST_RANGE", 4)
    monkeypatch.setattr(history_search, "LARGEST_RANGE", 8)
    await store.submit([new_job(f"db{number}") for number in range(30)], OnDuplicate.REFUSE)
    bits = [list(ids) async for ids in store.search(HistoryFilter())]
    assert [len(bit) for bit in bits] == [4, 8, 8, 8, 2]
    assert [parent_id for bit in bits for parent_id in bit] == list(range(30, 0, -1))
    search = store.search(HistoryFilter())
    assert list(await anext(search)) == [30, 29, 28, 27]
    (job,) = await asyncio.wait_for(store.jobs([3]), 10)
    assert job.id == 3
    assert len([ids async for ids in search]) == 4


async def test_what_was_removed_in_the_middle_is_no_end(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_search, "FIRST_RANGE", 2)
    monkeypatch.setattr(history_search, "LARGEST_RANGE", 2)
    ids = await store.submit([new_job(f"db{number}") for number in range(12)], OnDuplicate.REFUSE)
    for parent_id in ids:
        await store.request_cancel(JobId(parent_id))
    await store.prune(range(3, 10))
    assert await searched(store, HistoryFilter()) == [12, 11, 10, 2, 1]
    assert [job.id for job in await store.history(HistoryFilter(), before=11, limit=2)] == [10, 2]


@pytest.mark.parametrize("size", [2, 3, 100])
async def test_a_batch_is_one_folded_id_wherever_a_range_ends_and_whatever_was_removed(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(history_search, "FIRST_RANGE", size)
    monkeypatch.setattr(history_search, "LARGEST_RANGE", size)
    await store.submit([new_job("alone")], OnDuplicate.REFUSE)  # 1
    for batch in (1, 2):  # 2 to 5, 6 to 9; their first request joins an open job
        jobs = [new_job("alone"), *(new_job(f"db{batch}.{number}") for number in range(4))]
        await store.submit(jobs, OnDuplicate.MERGE, NewBatch())
    await store.submit([new_job("another")], OnDuplicate.REFUSE)  # 10

    async def folded(where: HistoryFilter) -> list[int]:
        return [parent_id async for ids in store.search(where, folded=True) for parent_id in ids]

    assert await folded(HistoryFilter()) == [10, -9, -5, 1]
    created_at = (await store.job(9)).created_at
    assert await folded(HistoryFilter(since=created_at)) == [10, -9]
    assert await folded(HistoryFilter(until=created_at)) == [-9, -5, 1]
    assert await folded(HistoryFilter(batch=1)) == [5, 4, 3, 2]
    assert await folded(HistoryFilter(status=JobOutcome.PENDING)) == list(range(10, 0, -1))
    assert await folded(HistoryFilter(target_part="db")) == list(range(10, 0, -1))
    assert [(await store.batch(batch)).newest_job for batch in (1, 2)] == [5, 9]
    for parent_id in range(2, 10):
        await store.request_cancel(JobId(parent_id))
    await store.prune([3, 5, 6, 7, 8])
    assert await folded(HistoryFilter()) == [10, -9, -4, 1]
    assert (await store.batch(1)).newest_job == 4
    await store.prune([9])
    assert await folded(HistoryFilter()) == [10, -4, 1]


async def test_the_jobs_of_a_batch_are_found_in_one_read(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_search, "FIRST_RANGE", 4)
    await store.submit([new_job(f"a{number}") for number in range(20)], OnDuplicate.REFUSE)
    await store.submit([new_job(f"b{number}") for number in range(4)], OnDuplicate.REFUSE, NewBatch())
    await store.submit([new_job(f"c{number}") for number in range(20)], OnDuplicate.REFUSE)
    assert [list(ids) async for ids in store.search(HistoryFilter(batch=1))] == [[24, 23, 22, 21]]


async def test_a_job_of_which_several_operations_match_is_found_once(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    while claim := await store.claim("me"):
        await store.finish(claim, Outcome(status=Status.FAILED, error="disk is FULL"), Report())
    assert await searched(store, HistoryFilter(error_words=("disk", "full"))) == [1]
    assert await store.count() == 1


@pytest.mark.parametrize("reason", Reason)
async def test_the_words_of_a_reason_are_found_as_they_are_shown(store: SqliteStore, reason: Reason) -> None:
    await store.submit([new_job("sales", Operation.VACUUM), new_job("stock", Operation.VACUUM)], OnDuplicate.REFUSE)
    for outcome in (Outcome(status=Status.FAILED, reason=reason, error="locked by 4711"), COMPLETED):
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, outcome, Report())
    everything = await store.history(HistoryFilter(), before=None, limit=9)
    for shown in (reason.value, reason.value.replace("_", " "), format_reason(reason)):
        for words in ((shown,), (shown.upper(),), tuple(shown.split()), ("4711", shown)):
            where = HistoryFilter(error_words=words)
            assert await searched(store, where) == [1], words
            assert [job.id for job in everything if where.matches(job)] == [1]
        assert await searched(store, HistoryFilter(error_words=(shown, "4712"))) == []


async def test_a_reason_is_found_where_there_is_no_error(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED), Report())
    assert await searched(store, HistoryFilter(error_words=("not needed",))) == [1]
    assert await searched(store, HistoryFilter(error_words=("not%needed",))) == []


@pytest.mark.parametrize("word", ["größe", "GRößE", "GRÖßE", "100%", "_", "%", "\\", "a\tb", "ſ", "K"])
async def test_a_job_matches_while_it_changes_as_the_store_finds_it_later(store: SqliteStore, word: str) -> None:
    """In the store LIKE decides, which knows of ASCII letters only that they are the same in both cases."""
    errors = ["Größe: 100% of a_b", "a\\b\tc", "10 kB", "ſ"]
    await store.submit([new_job(f"db{n}", Operation.VACUUM) for n in range(len(errors))], OnDuplicate.REFUSE)
    for error in errors:
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, Outcome(status=Status.FAILED, error=error), Report())
    where = HistoryFilter(error_words=(word,))
    everything = await store.history(HistoryFilter(), before=None, limit=9)
    assert await searched(store, where) == [job.id for job in everything if where.matches(job)]
