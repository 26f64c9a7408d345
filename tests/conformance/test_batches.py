"""Batches in the store: the ends of their jobs decide which jobs are held back, released and skipped."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.domain.batches import Batch, BatchOptions, Retries
from engine.domain.claims import Outcome, Report
from engine.domain.errors import JobNotFoundError
from engine.domain.events import ChangeKind, HistoryFilter
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.jobs import JobId, ParentJob
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.store.protocol import Failure, NewBatch, NewJob
from tests.building import CANCELLED, COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores, newest_change
from tests.engine.working import FunctionWorker, completes, over, processing

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = "1" * 32
UNREACHABLE = Failure(Reason.UNREACHABLE, "db.db: there is no such file")
NOT_NEEDED = Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED)


def jobs(number: int, *, unreachable: Sequence[int] = (), host: str | None = None) -> list[NewJob]:
    """Each on a target of its own; `unreachable`: the places of those that cannot be opened."""
    return [
        new_job(
            f"db{place}",
            Operation.VACUUM,
            Operation.ANALYZE,
            failure=UNREACHABLE if place in unreachable else None,
            host_key=host,
        )
        for place in range(1, number + 1)
    ]


async def submit(
    store: RescuingStore,
    of: Sequence[NewJob],
    *,
    max_failures: int | None = None,
    canary: int | None = None,
    max_per_host: int | None = None,
) -> list[int]:
    options = BatchOptions(max_failures=max_failures, canary=canary, max_per_host=max_per_host)
    return await store.submit(of, OnDuplicate.REFUSE, NewBatch(options=options))


async def end(store: RescuingStore, parent_id: int, *outcomes: Outcome) -> None:
    """Execute the children of a parent."""
    for outcome in outcomes or (COMPLETED, COMPLETED):
        claim = await store.claim("me", [parent_id])
        assert claim is not None
        await store.finish(claim, outcome, Report())


async def children(store: RescuingStore, parent_id: int) -> list[tuple[Status, Reason | None]]:
    return [(child.status, child.reason) for child in (await store.job(parent_id)).children]


async def statuses(store: RescuingStore, batch_id: int = 1) -> list[Status]:
    return [job.status for job in await store.batch_jobs(batch_id)]


def skipped(reason: Reason) -> list[tuple[Status, Reason | None]]:
    return [(Status.SKIPPED, reason)] * 2


async def test_a_batch_counts_its_jobs_and_they_name_it(store: RescuingStore) -> None:
    await store.submit([new_job("alone")], OnDuplicate.REFUSE)
    ids = await submit(store, jobs(3), max_failures=5, canary=3, max_per_host=4)
    assert [job.batch for job in await store.jobs([1, *ids])] == [None, 1, 1, 1]
    await end(store, ids[0])
    batch = await store.batch(1)
    assert batch == Batch(
        id=1,
        created_at=batch.created_at,
        options=BatchOptions(max_failures=5, canary=3, max_per_host=4),
        newest_job=ids[-1],
        counts={JobOutcome.COMPLETED: 1, JobOutcome.PENDING: 2},
    )
    assert (batch.total, batch.is_over) == (3, False)
    assert [job.id for job in await store.batch_jobs(1)] == ids


async def test_a_batch_counts_what_became_of_its_jobs(store: RescuingStore) -> None:
    partly = Outcome(status=Status.COMPLETED, reason=Reason.TIME_LIMIT)
    past_limit = Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT)
    ids = await submit(store, jobs(11, unreachable=[1]), max_failures=3)
    await end(store, ids[1], COMPLETED, NOT_NEEDED)
    await end(store, ids[2], NOT_NEEDED, NOT_NEEDED)
    await end(store, ids[3], COMPLETED, partly)
    await end(store, ids[4], COMPLETED, past_limit)
    await end(store, ids[5], past_limit)
    await end(store, ids[6], FAILED, COMPLETED)
    assert await store.claim("me", [ids[7]]) is not None
    await store.request_cancel(JobId(ids[8]))
    before = {
        JobOutcome.COMPLETED: 2,
        JobOutcome.PARTIAL: 2,
        JobOutcome.FAILED: 1,
        JobOutcome.UNREACHABLE: 1,
        JobOutcome.CANCELLED: 1,
        JobOutcome.SKIPPED: 1,
        JobOutcome.RUNNING: 1,
    }
    assert (await store.batch(1)).counts == before | {JobOutcome.PENDING: 2}
    await end(store, ids[9], FAILED, FAILED)
    batch = await store.batch(1)
    assert batch.counts == before | {JobOutcome.FAILED: 2, JobOutcome.SKIPPED: 2}
    assert (batch.total, batch.is_over) == (11, False)
    assert batch.counts == Counter(map(outcome_of, await store.batch_jobs(1)))


async def test_there_is_no_such_batch(store: RescuingStore) -> None:
    with pytest.raises(JobNotFoundError, match="batch b7: "):
        await store.batch(7)
    with pytest.raises(JobNotFoundError, match="batch b7"):
        await store.cancel_batch(7)
    assert await store.batch_jobs(7) == []


async def test_r15_what_cannot_be_opened_is_stored_as_failed_and_never_claimed(store: RescuingStore) -> None:
    ids = await submit(store, jobs(3, unreachable=[2]))
    job = await store.job(ids[1])
    assert (job.status, job.started_at) == (Status.FAILED, None)
    assert job.finished_at == job.created_at
    for child in job.children:
        assert (child.status, child.reason, child.error) == (Status.FAILED, Reason.UNREACHABLE, UNREACHABLE.error)
        assert (child.attempt, child.attempts) == (0, ())
    claimed = [claim.job.parent for _ in range(3) if (claim := await store.claim("me")) is not None]
    assert claimed == [ids[0], ids[2]]
    moves = [(change.old, change.new) for change in await store.changes(0, 99) if change.job == JobId(ids[1])]
    assert moves == [(None, Status.PENDING), (Status.PENDING, Status.FAILED)]


async def test_the_same_target_may_fail_to_open_again_and_again(store: RescuingStore) -> None:
    await submit(store, jobs(2, unreachable=[1, 2]))
    await submit(store, jobs(2, unreachable=[1, 2]))
    assert await statuses(store, 2) == [Status.FAILED] * 2


async def test_after_too_many_failures_nothing_more_begins_and_what_runs_goes_on(store: RescuingStore) -> None:
    ids = await submit(store, jobs(6, unreachable=[1]), max_failures=2)
    begun = await store.claim("me", [ids[2]])
    await end(store, ids[1], COMPLETED, FAILED)
    assert begun is not None
    assert await statuses(store) == [
        *(Status.FAILED, Status.FAILED, Status.RUNNING),
        *(Status.COMPLETED, Status.COMPLETED, Status.COMPLETED),
    ]
    for parent_id in ids[3:]:
        assert await children(store, parent_id) == skipped(Reason.TOO_MANY_FAILURES)
    await store.finish(begun, COMPLETED, Report())
    await end(store, ids[2], COMPLETED)
    assert (await store.batch(1)).counts == {
        JobOutcome.FAILED: 1,
        JobOutcome.UNREACHABLE: 1,
        JobOutcome.SKIPPED: 3,
        JobOutcome.COMPLETED: 1,
    }


async def test_too_many_that_cannot_be_opened_end_all_at_the_submit(store: RescuingStore) -> None:
    ids = await submit(store, jobs(4, unreachable=[2, 3]), max_failures=2)
    assert await children(store, ids[0]) == skipped(Reason.TOO_MANY_FAILURES)
    assert await children(store, ids[3]) == skipped(Reason.TOO_MANY_FAILURES)
    assert (await store.batch(1)).is_over


async def test_a_job_that_was_handed_back_has_begun(store: RescuingStore) -> None:
    ids = await submit(store, jobs(3), max_failures=1)
    claim = await store.claim("me", [ids[0]])
    assert claim is not None
    await store.release(claim, Report())
    await end(store, ids[1], FAILED, FAILED)
    assert await children(store, ids[0]) == [(Status.PENDING, None)] * 2
    assert await children(store, ids[2]) == skipped(Reason.TOO_MANY_FAILURES)


async def test_others_wait_for_the_canaries(store: RescuingStore) -> None:
    ids = await submit(store, jobs(4), canary=2)
    claimed = [claim for _ in range(4) if (claim := await store.claim("me")) is not None]
    assert [claim.job.parent for claim in claimed] == ids[:2]
    assert not await store.has_pending(ids[2:])
    for claim in claimed:
        await store.finish(claim, COMPLETED, Report())
    await end(store, ids[0], NOT_NEEDED)
    assert await store.claim("other", ids[2:]) is None
    seen = await newest_change(store)
    await end(store, ids[1], COMPLETED)
    released = [change.job for change in await store.changes(seen, 99) if change.kind is ChangeKind.RELEASED]
    assert released == [JobId(ids[2], 1), JobId(ids[2], 2), JobId(ids[3], 1), JobId(ids[3], 2)]
    await end(store, ids[2])
    await end(store, ids[3])
    assert (await store.batch(1)).counts == {JobOutcome.COMPLETED: 4}


@pytest.mark.parametrize(
    "ends", [(COMPLETED, FAILED), (CANCELLED, COMPLETED), (COMPLETED, Outcome(status=Status.SKIPPED))], ids=str
)
async def test_where_a_canary_does_not_complete_the_others_are_skipped_after_the_last(
    store: RescuingStore, ends: tuple[Outcome, ...]
) -> None:
    ids = await submit(store, jobs(4), canary=2)
    await end(store, ids[0], *ends)
    assert await children(store, ids[2]) == [(Status.PENDING, None)] * 2
    await end(store, ids[1])
    for parent_id in ids[2:]:
        assert await children(store, parent_id) == skipped(Reason.CANARY_FAILED)
    assert (await store.batch(1)).is_over


async def test_a_canary_that_cannot_be_opened_did_not_complete(store: RescuingStore) -> None:
    ids = await submit(store, jobs(3, unreachable=[1]), canary=1)
    assert await children(store, ids[1]) == skipped(Reason.CANARY_FAILED)
    assert (await store.batch(1)).is_over


async def test_what_waits_may_be_one_that_cannot_be_opened(store: RescuingStore) -> None:
    ids = await submit(store, jobs(3, unreachable=[3]), canary=1)
    assert await statuses(store) == [Status.PENDING, Status.PENDING, Status.FAILED]
    await end(store, ids[0])
    await end(store, ids[1])
    assert await statuses(store) == [Status.COMPLETED, Status.COMPLETED, Status.FAILED]


async def test_canaries_may_be_all_there_are(store: RescuingStore) -> None:
    ids = await submit(store, jobs(2), canary=5)
    for parent_id in ids:
        await end(store, parent_id)
    assert await statuses(store) == [Status.COMPLETED] * 2


async def test_too_many_failed_canaries_end_the_batch_at_once(store: RescuingStore) -> None:
    ids = await submit(store, jobs(4), canary=3, max_failures=1)
    await end(store, ids[0], FAILED, FAILED)
    for parent_id in ids[1:]:
        assert await children(store, parent_id) == skipped(Reason.TOO_MANY_FAILURES)


async def test_a_canary_past_its_time_limit_ends_the_others_for_the_limit(stores: Stores) -> None:
    clock = StoppedClock(1_000)
    late = [new_job(f"db{place}", Operation.VACUUM, deadline_at=2_000) for place in range(3)]
    async with stores.open(clock=clock) as store:
        await submit(store, late, canary=1)
        clock.at = 3_000
        await store.enforce_time_limits()
        reasons = {child.reason for job in await store.batch_jobs(1) for child in job.children}
        assert reasons == {Reason.TIME_LIMIT}


async def test_the_death_of_the_process_of_a_canary_ends_the_others(store: RescuingStore) -> None:
    once = dict.fromkeys(Operation, 1)
    ids = await submit(store, [new_job(f"db{n}", Operation.VACUUM, max_attempts=once) for n in range(2)], canary=1)
    for owner in ("first", "second"):  # the second recovers
        assert await store.claim(owner) is not None
        await store.rescue()
    assert (await store.job(ids[0])).status is Status.FAILED
    assert (await store.job(ids[1])).children[0].reason is Reason.CANARY_FAILED


async def test_who_waits_for_something_to_claim_wakes_when_the_canaries_are_over(store: RescuingStore) -> None:
    async with processing(store, FunctionWorker(completes)):
        ids = await submit(store, jobs(5), canary=1)
        assert {job.status for job in await over(store, *ids)} == {Status.COMPLETED}


async def test_what_waits_stays_reserved_for_its_run(store: RescuingStore) -> None:
    async with store.reserving(RUN):
        ids = await submit(store, jobs(2), canary=1)
        for _ in range(2):
            claim = await store.claim("me", ids, RUN)
            assert claim is not None
            assert await store.claim("other") is None
            await store.finish(claim, COMPLETED, Report())
        assert await store.claim("other") is None
        assert await store.has_pending(ids, RUN)
    claim = await store.claim("other")
    assert claim is not None
    assert claim.job.parent == ids[1]


async def test_a_released_run_leaves_its_canaries_first(store: RescuingStore) -> None:
    async with store.reserving(RUN):
        ids = await submit(store, jobs(3), canary=1)
    claimed = [claim.job.parent for _ in range(3) if (claim := await store.claim("other")) is not None]
    assert claimed == ids[:1]


async def test_a_server_runs_no_more_at_once_than_its_batch_allows(store: RescuingStore) -> None:
    host = "postgresql:db1:5432"
    on_host = [new_job(f"db{n}", Operation.VACUUM, host_key=host) for n in range(150)]
    await submit(store, [*on_host, new_job("file", Operation.VACUUM)], max_per_host=2)
    claims = [claim for _ in range(5) if (claim := await store.claim("me")) is not None]
    assert [claim.target for claim in claims] == ["sqlite:///db0.db", "sqlite:///db1.db", "sqlite:///file.db"]
    assert not await store.has_pending()
    await store.submit([new_job("other", Operation.VACUUM, host_key=host)], OnDuplicate.REFUSE)
    alone = await store.claim("me")
    assert alone is not None
    assert alone.target == "sqlite:///other.db"
    await store.finish(claims[0], COMPLETED, Report())
    following = await store.claim("me")
    assert following is not None
    assert following.target == "sqlite:///db2.db"
    assert await store.claim("me") is None


async def test_jobs_without_a_limit_do_not_keep_a_batch_with_one_waiting(store: RescuingStore) -> None:
    """They may follow one another for as long as they like."""
    await store.submit([new_job(f"alone{n}", Operation.VACUUM, host_key="one") for n in range(3)], OnDuplicate.REFUSE)
    await submit(store, [new_job(f"free{n}", Operation.VACUUM, host_key="one") for n in range(3)])
    for _ in range(6):
        assert await store.claim("me") is not None
    await submit(store, jobs(3, host="one"), max_per_host=1)
    limited = await store.claim("me")
    assert limited is not None
    assert limited.target == "sqlite:///db1.db"
    assert await store.claim("me") is None


async def test_batches_with_a_limit_count_together_on_a_server(store: RescuingStore) -> None:
    """A server that may bear two at once bears no two of each batch."""
    await submit(store, jobs(3, host="one"), max_per_host=2)
    claims = [claim for _ in range(3) if (claim := await store.claim("me")) is not None]
    assert len(claims) == 2
    await submit(store, [new_job(f"x{n}", Operation.VACUUM, host_key="one") for n in range(2)], max_per_host=2)
    assert await store.claim("me") is None
    await store.finish(claims[0], COMPLETED, Report())
    assert await store.claim("me") is not None
    assert await store.claim("me") is None


async def test_each_server_has_a_limit_of_its_own(store: RescuingStore) -> None:
    await submit(store, [*jobs(4, host="one"), *[new_job(f"x{n}", host_key="two") for n in range(3)]], max_per_host=1)
    claims = [claim for _ in range(5) if (claim := await store.claim("me", range(1, 9))) is not None]
    assert [claim.target for claim in claims] == ["sqlite:///db1.db", "sqlite:///x0.db"]


async def test_a_batch_is_cancelled_in_one_transaction(store: RescuingStore) -> None:
    ids = await submit(store, jobs(5, unreachable=[2]), canary=2)
    await end(store, ids[0], COMPLETED)
    running = await store.claim("me", [ids[0]])
    assert running is not None
    await store.cancel_batch(1)
    assert await statuses(store) == [Status.RUNNING, Status.FAILED, *[Status.CANCELLED] * 3]
    for parent_id in ids[2:]:
        assert await children(store, parent_id) == [(Status.CANCELLED, Reason.CANCELLED_BY_USER)] * 2
    assert await store.cancel_requests("me") == {JobId(ids[0], 2)}
    await store.finish(running, CANCELLED, Report())
    assert (await store.batch(1)).counts == {JobOutcome.UNREACHABLE: 1, JobOutcome.CANCELLED: 4}
    await store.cancel_batch(1)  # of one that is over, nothing
    assert (await store.batch(1)).counts == {JobOutcome.UNREACHABLE: 1, JobOutcome.CANCELLED: 4}


async def test_a_cancelled_batch_has_no_skipped_jobs(store: RescuingStore) -> None:
    await submit(store, jobs(4), canary=1, max_failures=1)
    await store.cancel_batch(1)
    assert await statuses(store) == [Status.CANCELLED] * 4


async def test_a_cancelled_canary_did_not_complete(store: RescuingStore) -> None:
    ids = await submit(store, jobs(2), canary=1)
    await store.request_cancel(JobId(ids[0]))
    assert await children(store, ids[1]) == skipped(Reason.CANARY_FAILED)


async def test_what_waits_for_a_canary_can_be_cancelled(store: RescuingStore) -> None:
    ids = await submit(store, jobs(3), canary=1)
    await store.request_cancel(JobId(ids[1]))
    await store.request_cancel(JobId(ids[2], 1))
    await end(store, ids[0])
    assert await children(store, ids[1]) == [(Status.CANCELLED, Reason.CANCELLED_BY_USER)] * 2
    claim = await store.claim("me")
    assert claim is not None
    assert claim.job == JobId(ids[2], 2)


async def test_what_is_done_already_is_joined_and_stays_outside(store: RescuingStore) -> None:
    (there,) = await store.submit(jobs(1), OnDuplicate.REFUSE)
    ids = await store.submit(jobs(3), OnDuplicate.MERGE, NewBatch(options=BatchOptions(canary=1)))
    assert ids[0] == there
    assert [job.id for job in await store.batch_jobs(1)] == ids[1:]
    await end(store, ids[1])  # the canary is the first new one
    await end(store, ids[2])


async def test_where_everything_is_joined_there_is_no_batch(store: RescuingStore) -> None:
    ids = await store.submit(jobs(2), OnDuplicate.REFUSE)
    assert await store.submit(jobs(2), OnDuplicate.MERGE, NewBatch()) == ids
    assert [job.batch for job in await store.jobs(ids)] == [None, None]
    with pytest.raises(JobNotFoundError):
        await store.batch(1)


async def test_r21_a_batch_goes_with_its_last_job_and_its_number_is_not_used_again(store: RescuingStore) -> None:
    ids = await submit(store, jobs(3, unreachable=[1, 2, 3]))
    retried = await store.submit(jobs(2, unreachable=[1, 2]), OnDuplicate.REFUSE, NewBatch(retry_of=1))
    assert (await store.batch(2)).retry_of == 1
    await store.prune(ids[:2])
    assert (await store.batch(1)).total == 1
    await store.prune(ids[2:])
    with pytest.raises(JobNotFoundError):
        await store.batch(1)
    assert (await store.batch(2)).retry_of is None
    await store.prune(retried)
    await submit(store, jobs(2))
    assert (await store.batch(3)).total == 2


async def test_r21_jobs_of_a_batch_stay_until_all_of_it_has_ended(store: RescuingStore) -> None:
    """Its rules count those that have ended."""
    ids = await submit(store, jobs(3, unreachable=[1]), max_failures=2)

    async def prunable() -> list[int]:
        return await store.prunable(Status.FAILED, before=2**60, keep_last=0, after=0, limit=9)

    assert await prunable() == []
    assert await store.prune(ids) == 0
    await end(store, ids[1], FAILED, FAILED)
    assert await children(store, ids[2]) == skipped(Reason.TOO_MANY_FAILURES)
    assert await prunable() == ids[:2]
    assert await store.prune(ids) == 3


async def test_the_history_of_one_batch(store: RescuingStore) -> None:
    await store.submit([new_job("alone")], OnDuplicate.REFUSE)
    ids = await submit(store, jobs(3, unreachable=[2]))
    await submit(store, jobs(2, unreachable=[1, 2]))
    everything = await store.history(HistoryFilter(), before=None, limit=99)

    async def found(where: HistoryFilter) -> list[ParentJob]:
        jobs = await store.history(where, before=None, limit=99)
        assert jobs == [job for job in everything if where.matches(job)]
        return jobs

    assert [job.id for job in await found(HistoryFilter(batch=1))] == ids[::-1]
    assert [job.id for job in await found(HistoryFilter(batch=1, status=JobOutcome.FAILED))] == [ids[1]]
    assert [job.id for job in await found(HistoryFilter(batch=1, target_part="db3"))] == [ids[2]]
    assert await found(HistoryFilter(batch=9)) == []
    assert Counter(job.batch for job in everything) == {None: 1, 1: 3, 2: 2}


async def portion(store: RescuingStore, batch: NewBatch, of: Sequence[NewJob], left: int) -> list[int]:
    return await store.submit(of, OnDuplicate.MERGE, replace(batch, unsubmitted=left))


async def begun(store: RescuingStore, batch: NewBatch, number: int) -> NewBatch:
    return replace(batch, id=await store.begin_batch(batch, number))


async def test_the_ids_of_a_batch_that_comes_in_portions_follow_each_other(store: RescuingStore) -> None:
    (before,) = await store.submit([new_job("before")], OnDuplicate.REFUSE)
    batch = await begun(store, NewBatch(), 4)
    first = await portion(store, batch, jobs(4)[:2], 2)
    (other,) = await store.submit([new_job("other")], OnDuplicate.REFUSE)
    assert batch.id is not None
    assert (await store.batch(batch.id)).unsubmitted == 2
    rest = await portion(store, batch, jobs(4)[2:], 0)
    assert [before, *first, *rest, other] == sorted([before, *first, *rest, other])
    whole = await store.batch(batch.id)
    assert (whole.total, whole.unsubmitted, whole.newest_job) == (4, 0, rest[-1])
    made = await store.jobs([before, *first, *rest, other])
    assert [job.created_at for job in made] == sorted(job.created_at for job in made)


async def test_a_batch_without_a_new_job_is_not_kept(store: RescuingStore) -> None:
    ids = await submit(store, jobs(2))
    batch = await begun(store, NewBatch(), 2)
    assert batch.id is not None
    assert await portion(store, batch, jobs(2)[:1], 1) == ids[:1]
    assert await portion(store, batch, jobs(2)[1:], 0) == ids[1:]
    with pytest.raises(JobNotFoundError):
        await store.batch(batch.id)


async def test_later_portions_wait_for_the_canaries_of_the_first(store: RescuingStore) -> None:
    batch = await begun(store, NewBatch(options=BatchOptions(canary=1)), 4)
    first = await portion(store, batch, jobs(4)[:2], 2)
    held = await portion(store, batch, jobs(4)[2:], 0)
    assert await store.claim("me", held) is None
    await end(store, first[0])
    assert (claim := await store.claim("me", held)) is not None
    assert claim.job.parent == held[0]


@pytest.mark.parametrize("ended", [COMPLETED, FAILED])
async def test_a_portion_after_the_canary_has_ended_goes_by_its_end(store: RescuingStore, ended: Outcome) -> None:
    batch = await begun(store, NewBatch(options=BatchOptions(canary=1)), 2)
    (canary,) = await portion(store, batch, jobs(2)[:1], 1)
    await end(store, canary, ended, ended)
    (later,) = await portion(store, batch, jobs(2)[1:], 0)
    waits: list[tuple[Status, Reason | None]] = [(Status.PENDING, None)] * 2
    assert await children(store, later) == (waits if ended is COMPLETED else skipped(Reason.CANARY_FAILED))


@pytest.mark.parametrize("canary", [None, 1])
async def test_a_cancel_reaches_the_portions_that_come_after_it(store: RescuingStore, canary: int | None) -> None:
    (there,) = await store.submit([new_job("there")], OnDuplicate.REFUSE)
    batch = await begun(store, NewBatch(options=BatchOptions(canary=canary)), 5)
    assert batch.id is not None
    (first,) = await portion(store, batch, jobs(1), 4)
    await end(store, first)
    await store.cancel_batch(batch.id)
    assert [job.status for job in await store.batch_jobs(batch.id)] == [Status.COMPLETED]
    (_, joined) = await portion(store, batch, [jobs(2)[1], new_job("there")], 2)
    await portion(store, batch, jobs(4, unreachable=[4])[2:], 0)
    counts = {JobOutcome.COMPLETED: 1, JobOutcome.CANCELLED: 2, JobOutcome.UNREACHABLE: 1}
    assert (await store.batch(batch.id)).counts == counts
    assert (joined, (await store.job(there)).status) == (there, Status.PENDING)


async def test_a_batch_is_cancelled_before_its_first_portion(store: RescuingStore) -> None:
    batch = await begun(store, NewBatch(), 2)
    assert batch.id is not None
    await store.cancel_batch(batch.id)
    await portion(store, batch, jobs(2), 0)
    assert await statuses(store, batch.id) == [Status.CANCELLED] * 2


async def test_a_retry_that_was_not_done_is_gone_on_with(store: RescuingStore) -> None:
    repeated = await submit(store, jobs(3))
    again = [replace(job, retry_of=of) for job, of in zip(jobs(3), repeated, strict=True)]
    for parent_id in repeated:
        await end(store, parent_id)

    async def retry(of: Sequence[NewJob], left: int) -> None:
        for parent_id in await portion(store, await begun(store, NewBatch(retry_of=1), len(of) + left), of, left):
            await end(store, parent_id)

    async def of_last() -> list[int]:
        return sorted((await store.retries(1)).of_last)

    assert await store.retries(1) == Retries()
    await retry(again, 0)
    assert await store.retries(1) == Retries({of: 3 + of for of in repeated})
    await retry(again[:1], 2)
    assert await of_last() == repeated[:1]
    await retry(again[1:2], 1)
    assert await of_last() == repeated[:2]
    await retry(again[2:], 0)
    assert await of_last() == []


async def test_two_that_retry_one_batch_repeat_no_job_twice(store: RescuingStore) -> None:
    """Each has read which of its jobs were repeated before; the jobs of the other may have ended by now."""
    repeated = await submit(store, jobs(4, unreachable=[4]))
    for parent_id in repeated[:3]:
        await end(store, parent_id)

    async def asked() -> list[NewJob]:
        known = (await store.retries(1)).newest
        again = zip(jobs(4, unreachable=[4]), repeated, strict=True)
        return [replace(job, retry_of=of, known_retry=known.get(of, 0)) for job, of in again]

    of_first, of_second = await asked(), await asked()
    first = await begun(store, NewBatch(retry_of=1), 4)
    ids = await portion(store, first, of_first[:2], 2)
    await end(store, ids[0])
    second = await store.submit(of_second, OnDuplicate.MERGE, NewBatch(retry_of=1))
    assert second[:2] == ids
    for parent_id in second[2:3]:
        await end(store, parent_id)
    assert await portion(store, first, of_first[2:], 0) == second[2:]
    assert [job.id for job in await store.batch_jobs(first.id or 0)] == ids
    assert [job.retry_of for job in await store.history(HistoryFilter(), before=None, limit=99)].count(repeated[0]) == 1
    anew = await store.submit(await asked(), OnDuplicate.MERGE, NewBatch(retry_of=1))
    assert anew[0] not in ids  # who knows of a retry may repeat the job once more
    assert anew[1] == ids[1]  # it is open
