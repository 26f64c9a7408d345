"""What was to be cancelled when its process died, or is not to be tried once more: its database is looked after, once,
and then it is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, OnFailure, Operation
from engine.domain.statuses import Reason, Status
from engine.store.ending_texts import (
    DONE_SINCE,
    HANDED_BACK,
    NOT_RECOVERED,
    RECOVERY_DIED_TOO,
    RECOVERY_FAILED,
    format_worker_death,
)
from tests.building import CANCELLED, COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores

if TYPE_CHECKING:
    from engine.domain.claims import Claim
    from engine.domain.jobs import ChildJob
    from engine.store.protocol import NewJob

CHILD = JobId(1, 1)


async def child(store: RescuingStore, ordinal: int = 1) -> ChildJob:
    return (await store.job(1)).children[ordinal - 1]


async def lose(store: RescuingStore, job: NewJob | None = None, *, cancel: JobId = CHILD) -> None:
    """Let a process die over #1.1 that was asked to stop."""
    await store.submit([job or new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    await store.claim("dead")
    await store.request_cancel(cancel)
    assert await store._rescue_from("dead") == [CHILD]


async def recovery(store: RescuingStore) -> Claim:
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.job, claim.recovering) == (CHILD, Reason.CANCELLED_BY_USER)
    return claim


async def test_it_is_open_until_somebody_has_looked_after_its_database(store: RescuingStore) -> None:
    await lose(store)
    parent = await store.job(1)
    (waiting,) = parent.children
    assert (parent.status, waiting.status, waiting.recovering) == (Status.RUNNING, Status.PENDING, True)
    assert waiting.cancel_requested_at is not None
    claim = await recovery(store)
    assert await store.cancel_requests("me") == set()  # it is not asked to stop what is the consequence of that
    found = Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER, error="all is well")
    await store.finish(claim, found, Report())
    parent = await store.job(1)
    (over,) = parent.children
    assert parent.status is over.status is Status.CANCELLED
    assert (over.reason, over.error) == (Reason.CANCELLED_BY_USER, "all is well")
    assert [(a.number, a.status, a.reason) for a in over.attempts] == [
        (1, Status.FAILED, Reason.OWNER_LOST),
        (2, Status.CANCELLED, Reason.CANCELLED_BY_USER),
    ]


async def test_a_result_that_the_dead_process_had_kept_is_that_of_its_attempt(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    first = await store.claim("dead")
    assert first is not None
    await store._rescue_from("dead")
    again = await store.claim("me")
    assert again is not None
    ended = replace(COMPLETED, ended_at=first.started_at + 7, attempt=1)
    await store.finish(again, ended, Report())
    over = await child(store)
    assert (over.attempt, over.started_at, over.finished_at) == (1, first.started_at, first.started_at + 7)
    assert [(one.number, one.status) for one in over.attempts] == [(1, Status.COMPLETED)]
    assert (await store.job(1)).status is Status.COMPLETED


async def test_it_needs_no_attempt_to_be_left(store: RescuingStore) -> None:
    await lose(store, new_job("sales", Operation.VACUUM, max_attempts={Operation.VACUUM: 1}))
    await recovery(store)


async def test_where_the_process_that_looks_dies_too_it_is_over(store: RescuingStore) -> None:
    await lose(store)
    await recovery(store)
    assert await store._rescue_from("me") == [CHILD]
    over = await child(store)
    assert (over.status, over.reason, over.error) == (Status.CANCELLED, Reason.CANCELLED_BY_USER, RECOVERY_FAILED)
    assert [attempt.status for attempt in over.attempts] == [Status.FAILED, Status.CANCELLED]
    assert await store.claim("me") is None


async def die_for_good(store: RescuingStore, **options: Any) -> None:
    """Let so many processes die over #1.1 that it is not run again."""
    await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE, **options)], OnDuplicate.REFUSE)
    for _ in range(2):
        await store.claim("dead")
        await store._rescue_from("dead")


async def look_after(store: RescuingStore) -> Claim:
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.job, claim.recovering) == (CHILD, Reason.OWNER_LOST)
    return claim


LOST = Outcome(status=Status.FAILED, reason=Reason.OWNER_LOST, error="all is well")


async def test_what_is_not_tried_once_more_fails_when_its_database_has_been_looked_after(store: RescuingStore) -> None:
    await die_for_good(store)
    await store.finish(await look_after(store), LOST, Report())
    over, following = (await store.job(1)).children
    assert (over.status, over.reason, over.error) == (Status.FAILED, Reason.OWNER_LOST, "all is well")
    assert [(a.status, a.reason) for a in over.attempts] == [
        (Status.FAILED, Reason.OWNER_LOST),
        (Status.FAILED, Reason.OWNER_LOST),
        (Status.FAILED, None),  # this process did not die
    ]
    assert following.status is Status.PENDING


async def test_what_comes_after_it_waits_for_that_and_does_not_run_where_a_failure_stops_it(
    store: RescuingStore,
) -> None:
    await die_for_good(store, on_failure=OnFailure.STOP)
    assert (await child(store, 2)).status is Status.PENDING
    claim = await look_after(store)
    assert await store.claim("other") is None
    await store.finish(claim, LOST, Report())
    assert ((await child(store, 2)).status, (await child(store, 2)).reason) == (
        Status.SKIPPED,
        Reason.PREVIOUS_FAILED,
    )


async def test_where_the_process_that_looks_dies_too_it_has_failed_at_once(store: RescuingStore) -> None:
    await die_for_good(store, on_failure=OnFailure.STOP)
    await look_after(store)
    await store._rescue_from("me")
    over, following = (await store.job(1)).children
    assert (over.status, over.reason) == (Status.FAILED, Reason.OWNER_LOST)
    assert over.error == f"{format_worker_death(2)}, {RECOVERY_DIED_TOO}"
    assert (following.status, following.reason) == (Status.SKIPPED, Reason.PREVIOUS_FAILED)


async def test_a_cancel_ends_it_at_once_and_tells_that_nobody_looked(store: RescuingStore) -> None:
    await die_for_good(store)
    await store.request_cancel(CHILD, Reason.SHUTDOWN)
    over = await child(store)
    assert (over.status, over.reason, over.error) == (Status.CANCELLED, Reason.SHUTDOWN, NOT_RECOVERED)


async def test_a_cancel_while_somebody_looks_after_it_does_not_stop_that(store: RescuingStore) -> None:
    await die_for_good(store)
    claim = await look_after(store)
    await store.request_cancel(CHILD)
    assert await store.cancel_requests("me") == set()
    await store.finish(claim, LOST, Report())
    over = await child(store)
    assert (over.status, over.reason) == (Status.FAILED, Reason.OWNER_LOST)


async def test_a_pause_does_not_keep_anybody_from_looking(store: RescuingStore) -> None:
    await die_for_good(store)
    await store.pause("ann")
    await look_after(store)


@pytest.mark.parametrize("asked", [CHILD, JobId(1)])
async def test_a_further_cancel_ends_it_at_once_and_tells_that_nobody_looked(
    store: RescuingStore, asked: JobId
) -> None:
    await lose(store)
    await store.request_cancel(asked, Reason.SHUTDOWN)
    over = await child(store)
    assert (over.status, over.reason, over.error) == (Status.CANCELLED, Reason.CANCELLED_BY_USER, NOT_RECOVERED)
    assert [(a.number, a.status) for a in over.attempts] == [(1, Status.FAILED)]
    assert (await store.job(1)).status is Status.CANCELLED


async def test_a_cancel_of_what_waits_to_run_again_tells_that_nobody_looked(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    await store.claim("dead")
    await store._rescue_from("dead")
    assert not (await child(store)).recovering
    await store.request_cancel(JobId(1))
    over, following = (await store.job(1)).children
    assert (over.status, over.reason, over.error) == (Status.CANCELLED, Reason.CANCELLED_BY_USER, NOT_RECOVERED)
    assert (following.status, following.error) == (Status.CANCELLED, None)


async def test_a_time_limit_of_what_waits_to_run_again_tells_that_nobody_looked(stores: Stores) -> None:
    clock = StoppedClock()
    async with stores.open(clock=clock) as store:
        limited = new_job("sales", Operation.VACUUM, deadline_at=clock.at + 100)
        await store.submit([limited], OnDuplicate.REFUSE)
        await store.claim("dead")
        await store._rescue_from("dead")
        clock.at += 200
        await store.enforce_time_limits()
        over = await child(store)
        assert (over.status, over.reason, over.error) == (Status.SKIPPED, Reason.TIME_LIMIT, NOT_RECOVERED)


async def test_a_cancel_of_what_was_handed_back_does_not_say_that_it_had_not_begun(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.release(claim, Report())
    await store.request_cancel(JobId(1))
    over = await child(store)
    assert (over.status, over.error) == (Status.CANCELLED, HANDED_BACK)


async def test_what_ends_because_a_later_job_did_the_same_says_so(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.release(claim, Report())
    await store.request_cancel(claim.job, Reason.NOT_NEEDED)
    over = await child(store)
    assert (over.status, over.reason, over.error) == (Status.CANCELLED, Reason.NOT_NEEDED, DONE_SINCE)
    assert (await store.job(1)).status is Status.CANCELLED


async def test_a_cancel_while_somebody_looks_changes_nothing(store: RescuingStore) -> None:
    await lose(store)
    claim = await recovery(store)
    before, changes = await store.job(1), await store.changes(0, 99)
    await store.request_cancel(JobId(1))
    assert (await store.job(1), await store.changes(0, 99)) == (before, changes)
    await store.finish(claim, CANCELLED, Report())


async def test_one_that_is_handed_back_is_looked_after_by_the_next(store: RescuingStore) -> None:
    await lose(store)
    await store.release(await recovery(store), Report())
    assert (await child(store)).status is Status.PENDING
    await recovery(store)


async def test_a_pause_does_not_leave_a_database_as_a_dead_process_left_it(store: RescuingStore) -> None:
    await lose(store, new_job("sales", Operation.VACUUM, Operation.ANALYZE))
    await store.pause("ann")
    assert await store.claim("me", [7]) is None
    claim = await recovery(store)
    await store.finish(claim, CANCELLED, Report())
    assert await store.claim("me") is None
    await store.resume()
    assert await store.claim("me") is not None


async def test_one_that_is_looked_after_holds_its_target(store: RescuingStore) -> None:
    await lose(store)
    await store.pause("ann")
    await store.submit([new_job("sales", Operation.ANALYZE)], OnDuplicate.REFUSE)
    await recovery(store)
    await store.resume()
    assert await store.claim("me") is None


async def test_a_time_limit_does_not_end_it_and_lets_it_begin(stores: Stores) -> None:
    clock = StoppedClock()
    async with stores.open(clock=clock) as store:
        job = new_job("sales", Operation.VACUUM, Operation.ANALYZE, deadline_at=clock.at + 100, stop_at_limit=True)
        await lose(store, job)
        clock.at += 200
        await store.enforce_time_limits()
        changes = await store.changes(0, 99)
        await store.enforce_time_limits()  # there is nothing left for it to do
        assert await store.changes(0, 99) == changes
        assert [c.status for c in (await store.job(1)).children] == [Status.PENDING, Status.SKIPPED]
        await recovery(store)


async def test_what_a_time_limit_stopped_is_over_for_that_reason(stores: Stores) -> None:
    clock = StoppedClock()
    async with stores.open(clock=clock) as store:
        limited = new_job("sales", Operation.VACUUM, deadline_at=clock.at + 100, stop_at_limit=True)
        await store.submit([limited], OnDuplicate.REFUSE)
        await store.claim("dead")
        clock.at += 200
        await store.enforce_time_limits()
        await store._rescue_from("dead")
        claim = await store.claim("me")
        assert claim is not None
        assert claim.recovering is Reason.TIME_LIMIT
        await store.finish(claim, replace(CANCELLED, reason=Reason.CANCELLED_BY_USER), Report())
        assert (await child(store)).reason is Reason.TIME_LIMIT


async def test_it_is_no_failure_that_would_stop_what_comes_after_it(store: RescuingStore) -> None:
    await lose(store, new_job("sales", Operation.VACUUM, Operation.ANALYZE, verify=True))
    await store.finish(await recovery(store), CANCELLED, Report())
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.job, claim.recovering) == (JobId(1, 2), None)


async def test_force_is_remembered_with_the_cancel_it_belongs_to(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    await store.claim("dead")
    assert await store.request_force(JobId(1), CHILD, "dead")
    first, second = (await store.job(1)).children
    assert first.force_requested_at is not None
    assert first.cancel_requested_at == first.force_requested_at
    assert (second.status, second.force_requested_at) == (Status.CANCELLED, None)
    await store._rescue_from("dead")
    claim = await recovery(store)
    assert claim.forced
    await store.finish(claim, CANCELLED, Report())
    assert (await child(store)).force_requested_at == first.force_requested_at


async def test_force_is_refused_whole_where_the_child_was_over_first(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, COMPLETED, Report())
    before = await store.job(1)
    assert not await store.request_force(JobId(1), CHILD, "me")
    assert await store.job(1) == before


async def test_where_the_first_check_of_a_verified_job_fails_nothing_else_runs(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM, verify=True)], OnDuplicate.REFUSE)
    assert [c.operation for c in (await store.job(1)).children] == ["check", "vacuum", "check"]
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, FAILED, Report())
    assert [(c.status, c.reason) for c in (await store.job(1)).children] == [
        (Status.FAILED, None),
        (Status.SKIPPED, Reason.PREVIOUS_FAILED),
        (Status.SKIPPED, Reason.PREVIOUS_FAILED),
    ]


async def test_an_operation_of_a_verified_job_that_fails_is_checked_after_all_the_same(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM, verify=True)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    for outcome in (COMPLETED, FAILED):
        assert claim is not None
        claim = await store.finish_and_claim(claim, outcome, Report())
    assert claim is not None
    assert claim.job == JobId(1, 3)


@pytest.mark.parametrize("reason", [Reason.CANCELLED_BY_USER, Reason.TIME_LIMIT, Reason.SHUTDOWN])
async def test_an_orphan_that_was_to_be_cancelled_is_so_for_the_reason_it_was_asked(
    store: RescuingStore, reason: Reason
) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("who has died since")
    assert claim is not None
    await store.request_cancel(claim.job, reason)
    assert await store.rescue() == [claim.job]
    recovery = await store.claim("me")
    assert recovery is not None
    assert (recovery.job, recovery.attempt, recovery.recovering, recovery.forced) == (claim.job, 2, reason, False)
    await store.finish(recovery, CANCELLED, Report())
    (child,) = (await store.job(claim.job.parent)).children
    assert (child.status, child.reason) == (Status.CANCELLED, reason)
