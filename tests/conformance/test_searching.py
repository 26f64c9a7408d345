"""The search of the history: its results, and stable pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.events import HistoryFilter
from engine.domain.job_outcomes import JobOutcome
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status, format_reason
from engine.store.protocol import NewBatch
from tests.building import COMPLETED, FAILED, new_job
from tests.conformance.stores import RescuingStore
from tests.engine.store.test_queries import any_store as any_store

if TYPE_CHECKING:
    pass


def read_in_ranges(monkeypatch: pytest.MonkeyPatch, first: int, largest: int) -> None:
    for kind in ("sqlite", "postgres"):
        monkeypatch.setattr(f"engine.store.{kind}.history_search.FIRST_RANGE", first)
        monkeypatch.setattr(f"engine.store.{kind}.history_search.LARGEST_RANGE", largest)


async def test_r24_paging_shows_each_job_once_while_new_ones_arrive(store: RescuingStore) -> None:
    await store.submit([new_job(f"db{number}") for number in range(25)], OnDuplicate.REFUSE)
    seen: list[int] = []
    before: int | None = None
    while (page := await store.history(HistoryFilter(), before=before, limit=10)) and len(seen) < 50:
        seen += [job.id for job in page]
        before = page[-1].id
        await store.submit([new_job(f"new{len(seen)}")], OnDuplicate.REFUSE)
    assert seen == list(range(25, 0, -1))


async def test_history_filters(store: RescuingStore) -> None:
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


async def test_a_job_that_no_process_runs_is_found_and_counted_as_interrupted(store: RescuingStore) -> None:
    requests = [new_job(name, Operation.VACUUM, Operation.ANALYZE) for name in ("begun", "handed back", "waits")]
    await store.submit(requests, OnDuplicate.REFUSE, NewBatch())
    _, handed_back = [await store.claim("me", [parent_id]) for parent_id in (1, 2)]
    assert handed_back is not None
    await store.release(handed_back, Report())
    everything = await store.history(HistoryFilter(), before=None, limit=9)
    for outcome, parent_id in ((JobOutcome.RUNNING, 1), (JobOutcome.INTERRUPTED, 2), (JobOutcome.PENDING, 3)):
        where = HistoryFilter(status=outcome)
        assert await searched(store, where) == [parent_id]
        assert await searched(store, HistoryFilter(status=outcome, batch=1)) == [parent_id]
        assert [job.id for job in everything if where.matches(job)] == [parent_id]
        assert (await store.batch(1)).counts[outcome] == 1
    assert not (await store.batch(1)).is_over


async def searched(store: RescuingStore, where: HistoryFilter) -> list[int]:
    return [parent_id async for ids in store.search(where) for parent_id in ids]


async def test_the_first_ids_come_before_the_rest_is_read_and_other_reads_pass_between(
    store: RescuingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_in_ranges(monkeypatch, 4, 8)
    await store.submit([new_job(f"db{number}") for number in range(30)], OnDuplicate.REFUSE)
    bits = [list(ids) async for ids in store.search(HistoryFilter())]
    assert [len(bit) for bit in bits] == [4, 8, 8, 8, 2]
    assert [parent_id for bit in bits for parent_id in bit] == list(range(30, 0, -1))
    search = store.search(HistoryFilter())
    assert list(await anext(search)) == [30, 29, 28, 27]
    (job,) = await asyncio.wait_for(store.jobs([3]), 10)
    assert job.id == 3
    assert len([ids async for ids in search]) == 4


async def test_what_was_removed_in_the_middle_is_no_end(store: RescuingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read_in_ranges(monkeypatch, 2, 2)
    ids = await store.submit([new_job(f"db{number}") for number in range(12)], OnDuplicate.REFUSE)
    for parent_id in ids:
        await store.request_cancel(JobId(parent_id))
    await store.prune(range(3, 10))
    assert await searched(store, HistoryFilter()) == [12, 11, 10, 2, 1]
    assert [job.id for job in await store.history(HistoryFilter(), before=11, limit=2)] == [10, 2]


@pytest.mark.parametrize("size", [2, 3, 100])
async def test_a_batch_is_one_folded_id_wherever_a_range_ends_and_whatever_was_removed(
    store: RescuingStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    read_in_ranges(monkeypatch, size, size)
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


async def test_the_jobs_of_a_batch_are_found_in_one_read(store: RescuingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read_in_ranges(monkeypatch, 4, 16)
    await store.submit([new_job(f"a{number}") for number in range(20)], OnDuplicate.REFUSE)
    await store.submit([new_job(f"b{number}") for number in range(4)], OnDuplicate.REFUSE, NewBatch())
    await store.submit([new_job(f"c{number}") for number in range(20)], OnDuplicate.REFUSE)
    assert [list(ids) async for ids in store.search(HistoryFilter(batch=1))] == [[24, 23, 22, 21]]


async def test_a_job_of_which_several_operations_match_is_found_once(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    while claim := await store.claim("me"):
        await store.finish(claim, Outcome(status=Status.FAILED, error="disk is FULL"), Report())
    assert await searched(store, HistoryFilter(error_words=("disk", "full"))) == [1]
    assert await store.count() == 1


@pytest.mark.parametrize("reason", Reason)
async def test_the_words_of_a_reason_are_found_as_they_are_shown(store: RescuingStore, reason: Reason) -> None:
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


async def test_a_reason_is_found_where_there_is_no_error(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED), Report())
    assert await searched(store, HistoryFilter(error_words=("not needed",))) == [1]
    assert await searched(store, HistoryFilter(error_words=("not%needed",))) == []


@pytest.mark.parametrize("word", ["größe", "GRößE", "GRÖßE", "100%", "_", "%", "\\", "a\tb", "ſ", "K"])
async def test_a_job_matches_while_it_changes_as_the_store_finds_it_later(store: RescuingStore, word: str) -> None:
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
