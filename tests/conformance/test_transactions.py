"""What each transaction of a store does, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.errors import DuplicateRequestError, JobNotFoundError, OwnershipLostError
from engine.domain.jobs import JobId, ParentJob
from engine.domain.kept_page_map import kept_maps, packed
from engine.domain.page_map import FREE, MappedObject, PageMap
from engine.domain.requests import OnDuplicate, OnFailure, Operation
from engine.domain.statuses import Reason, Status, parent_status
from engine.domain.steps import FILE, PAGES_AFTER, PAGES_BEFORE, REPLACED_FILE, Facts, LogLevel, LogLine, Progress, Step
from engine.store.ending_texts import format_worker_death
from tests.building import ALL_FOUR, COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores, newest_change

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.domain.claims import Claim

NOTHING = Report()
WHOLE_REPORT = Report(
    progress=Progress(fraction=1.0, object="main", steps_done=1, steps_total=1),
    steps=(
        Step(
            number=1, attempt=1, object="main", command="VACUUM", status=Status.COMPLETED, started_at=5, finished_at=9
        ),
    ),
    log=(LogLine(number=1, attempt=1, at=7, level=LogLevel.INFO, message="done"),),
)


async def submit(store: RescuingStore, *jobs: object) -> list[int]:
    return await store.submit([*jobs], OnDuplicate.REFUSE)  # type: ignore[list-item]


def statuses(parent: ParentJob) -> list[Status]:
    return [child.status for child in parent.children]


async def test_submit_stores_the_request_as_it_was_asked(store: RescuingStore) -> None:
    job = new_job("sales", Operation.ANALYZE, Operation.VACUUM, on_failure=OnFailure.STOP)
    (parent_id,) = await submit(store, job)
    parent = await store.job(parent_id)
    assert parent.request == job.request
    assert parent.status is Status.PENDING
    assert [(str(c.id), c.operation) for c in parent.children] == [("1.1", "analyze"), ("1.2", "vacuum")]


async def test_submit_stores_what_each_operation_is_expected_to_take(store: RescuingStore) -> None:
    job = new_job("sales", Operation.ANALYZE, Operation.VACUUM, verify=True)
    estimates = {Operation.VACUUM: 2.5, Operation.CHECK: 0.0}
    (parent_id,) = await submit(store, replace(job, request=replace(job.request, estimates=estimates)))
    parent = await store.job(parent_id)
    assert [child.estimate for child in parent.children] == [0.0, None, 2.5, 0.0]
    assert parent.request.estimates == {}


async def test_r25_what_is_stored_is_enough_to_submit_it_again(store: RescuingStore) -> None:
    asked = new_job("sales", on_failure=OnFailure.STOP)
    (first,) = await submit(store, asked)
    await store.request_cancel(JobId(first))
    stored = await store.job(first)
    (second,) = await submit(store, new_job("sales", *stored.request.operations, on_failure=OnFailure.STOP, retry_of=1))
    again = await store.job(second)
    assert (again.request, again.retry_of) == (asked.request, first)


async def test_r12_a_submit_that_fails_half_way_stores_nothing(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    with pytest.raises(DuplicateRequestError):
        await submit(store, new_job("other"), new_job("sales"))
    assert [job.id for job in await store.open_jobs()] == [1]
    (next_id,) = await submit(store, new_job("other"))
    assert next_id == 2


async def test_r20_the_same_request_twice_is_refused_or_merged(store: RescuingStore) -> None:
    (first,) = await submit(store, new_job("sales"))
    with pytest.raises(DuplicateRequestError, match="#1 already"):
        await submit(store, new_job("sales"))
    assert await store.submit([new_job("sales")], OnDuplicate.MERGE) == [first]
    assert await submit(store, new_job("sales", Operation.VACUUM)) == [2]  # another request is no duplicate


async def test_of_two_that_retry_one_job_only_one_makes_a_job(store: RescuingStore) -> None:
    """Each has read which jobs there were before; that of the other may have ended by now."""
    (first,) = await submit(store, new_job("sales"))
    await store.request_cancel(JobId(first))
    again = replace(new_job("sales"), retry_of=first, known_retry=first)
    (second,) = await submit(store, again)
    await store.request_cancel(JobId(second))
    with pytest.raises(DuplicateRequestError, match=f"#{second} already"):
        await submit(store, again)
    assert await submit(store, replace(again, known_retry=second)) == [second + 1]  # who knows of it may repeat it


async def test_a_cancelled_job_is_not_merged_with(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    await store.claim("me")
    await store.request_cancel(JobId(1))
    assert await store.submit([new_job("sales")], OnDuplicate.MERGE) == [2]


async def test_children_are_claimed_in_the_order_of_the_request(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    seen = []
    while claim := await store.claim("me"):
        seen.append(claim.operation)
        await store.finish(claim, COMPLETED, NOTHING)
    assert seen == list(ALL_FOUR)
    assert (await store.job(1)).status is Status.COMPLETED


async def test_r20_a_target_with_a_running_child_gives_no_second_one(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    await submit(store, new_job("sales", Operation.VACUUM))
    await submit(store, new_job("other"))
    first, second, third = await store.claim("me"), await store.claim("you"), await store.claim("me")
    assert first is not None
    assert second is not None
    assert (str(first.job), str(second.job), third) == ("1.1", "3.1", None)


async def test_a_claim_among_given_parents_leaves_the_others_alone(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    await submit(store, new_job("other"))
    claim = await store.claim("me", parents=[2])
    assert claim is not None
    assert claim.job == JobId(2, 1)
    assert await store.claim("me", parents=[]) is None


async def test_r4_the_parent_closes_in_the_transaction_of_its_last_child(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    before = await newest_change(store)
    await store.finish(claim, COMPLETED, NOTHING)
    changes = await store.changes(before, 10)
    assert [(str(c.job), c.old, c.new) for c in changes] == [
        ("1.1", "running", "completed"),
        ("1", "running", "completed"),
    ]
    assert changes[0].at == changes[1].at
    parent = await store.job(1)
    assert parent.finished_at == parent.children[0].finished_at == changes[0].at


async def test_r2_the_parent_stays_open_while_a_child_is(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM, Operation.ANALYZE))
    claim = await store.claim("me")
    assert claim is not None
    assert (await store.job(1)).status is Status.RUNNING
    await store.finish(claim, COMPLETED, NOTHING)
    parent = await store.job(1)
    assert (parent.status, parent.finished_at) == (Status.RUNNING, None)


async def test_r3_one_failed_child_makes_the_parent_failed(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    for outcome in (COMPLETED, FAILED, COMPLETED, COMPLETED):
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, outcome, NOTHING)
    parent = await store.job(1)
    assert parent.status is Status.FAILED
    assert parent.status is parent_status((c.status, c.attempt > 0) for c in parent.children)
    assert parent.children[1].error == "it broke"


async def test_on_failure_stop_skips_the_rest(store: RescuingStore) -> None:
    await submit(store, new_job("sales", on_failure=OnFailure.STOP))
    claim = await store.claim("me")
    assert claim is not None
    assert await store.finish_and_claim(claim, FAILED, NOTHING) is None
    parent = await store.job(1)
    assert statuses(parent) == [Status.FAILED, Status.SKIPPED, Status.SKIPPED, Status.SKIPPED]
    assert {c.reason for c in parent.children[1:]} == {Reason.PREVIOUS_FAILED}
    assert parent.status is Status.FAILED


async def test_r13_an_outcome_is_stored_whole(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    step = Step(
        number=1, attempt=1, object="main", command="VACUUM", status=Status.COMPLETED, started_at=5, finished_at=9
    )
    line = LogLine(number=1, attempt=1, at=7, level=LogLevel.WARNING, message="the WAL is in use")
    settings = LogLine(number=2, attempt=1, at=8, level=LogLevel.INFO, message="mapped into memory", is_settings=True)
    outcome = Outcome(
        status=Status.COMPLETED, warnings=("the WAL is in use",), before={"size": 9000}, after={"size": 4000}
    )
    await store.finish(claim, outcome, Report(steps=(step,), log=(line, settings)))
    (child,) = (await store.job(1)).children
    assert (child.steps, child.log, child.warnings) == ((step,), (line, settings), ("the WAL is in use",))
    assert (child.before, child.after) == ({"size": 9000}, {"size": 4000})
    assert (child.owner, child.attempt) == (None, 1)


async def test_page_maps_are_kept_with_their_operation(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    before, after = mapped(free=True), mapped(free=False)
    kept: Facts = {"size": 4000, PAGES_BEFORE: packed(before), PAGES_AFTER: packed(after)}
    await store.finish(claim, replace(COMPLETED, after=kept), NOTHING)
    (child,) = (await store.job(1)).children
    maps = kept_maps(child.after)
    assert maps is not None
    assert (maps.before, maps.after) == (before, after)


def mapped(*, free: bool) -> PageMap:
    """Of a table with a name that is no plain text."""
    table = MappedObject(name="\x00é'\U0001f600", is_index=False, pages=1_000, jumps=7)
    return PageMap(
        pages=1_000,
        page_size=4096,
        free_pages=500 * free,
        owners=(*(FREE if free else 0 for _ in range(500)), *(0 for _ in range(500))),
        fills=(*(None if free else 1.0 for _ in range(500)), *(1.0 for _ in range(500))),
        in_order=tuple(place % 2 == 0 or (free and place < 500) for place in range(1_000)),
        objects=(table,),
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda store, _: submit(store, new_job("stock"), new_job("other")),
        lambda store, claim: store.claim(claim.owner),
        lambda store, claim: store.report(claim, WHOLE_REPORT),
        lambda store, claim: store.finish(claim, COMPLETED, WHOLE_REPORT),
        lambda store, claim: store.finish(claim, FAILED, WHOLE_REPORT),
        lambda store, claim: store.finish_and_claim(claim, COMPLETED, WHOLE_REPORT),
        lambda store, claim: store.release(claim, WHOLE_REPORT),
        lambda store, claim: store.request_cancel(JobId(claim.job.parent)),
        lambda store, claim: store.request_force(JobId(claim.job.parent), claim.job, claim.owner),
        lambda store, claim: store._rescue_from(claim.owner),
        lambda store, _: store.pause("ann"),
    ],
    ids=[
        *("submit", "claim", "report", "finish", "failure that stops the rest", "finish and claim", "release"),
        *("cancel", "cancel by force", "rescue", "pause"),
    ],
)
async def test_r13_others_see_all_of_a_write_or_nothing_of_it(
    stores: Stores, store: RescuingStore, write: Callable[[RescuingStore, Claim], Awaitable[object]]
) -> None:
    """At each of its statements the store is read as another process sees it, and as a kill would leave it."""
    await submit(store, new_job("sales", on_failure=OnFailure.STOP), new_job("more"))
    claim = await store.claim("owner")
    assert claim is not None
    seen = [stores.contents()]

    async with stores.watched(store, lambda: seen.append(stores.contents())):
        await write(store, claim)
    seen.append(stores.contents())
    assert len(seen) > 2
    assert len([now for before, now in pairwise(seen) if now != before]) == 1


async def test_a_report_sent_twice_is_stored_once(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    step = Step(number=1, attempt=1, object="main", command="VACUUM", status=Status.RUNNING, started_at=5)
    line = LogLine(number=1, attempt=1, at=7, level=LogLevel.INFO, message="begun")
    report = Report(progress=Progress(fraction=0.5, object="main", steps_total=1, waited=7), steps=(step,), log=(line,))
    await store.report(claim, report)
    await store.report(claim, report)
    (child,) = (await store.job(1)).children
    assert (child.steps, child.log, child.progress) == ((step,), (line,), report.progress)


async def test_progress_is_no_event(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    before = await newest_change(store)
    await store.report(claim, Report(progress=Progress(fraction=0.5)))
    assert await newest_change(store) == before


async def test_r8_a_finish_by_a_former_owner_changes_nothing(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    stale = await store.claim("dead")
    assert stale is not None
    await store._rescue_from("dead")
    fresh = await store.claim("me")
    assert fresh is not None
    assert (fresh.job, fresh.attempt) == (stale.job, 2)
    for write in (store.finish(stale, COMPLETED, NOTHING), store.report(stale, NOTHING), store.release(stale, NOTHING)):
        with pytest.raises(OwnershipLostError):
            await write
    (child,) = (await store.job(1)).children
    assert (child.status, child.owner) == (Status.RUNNING, "me")


async def test_r8_a_former_owner_is_told_when_it_asks(stores: Stores, store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    stale = await store.claim("dead")
    assert stale is not None
    await store.require_owned(stale)
    await store._rescue_from("dead")
    with pytest.raises(OwnershipLostError):
        await store.require_owned(stale)
    fresh = await store.claim("me")
    assert fresh is not None
    before = stores.contents()
    with pytest.raises(OwnershipLostError):
        await store.require_owned(stale)
    await store.require_owned(fresh)
    assert stores.contents() == before
    await store.finish(fresh, COMPLETED, NOTHING)
    with pytest.raises(OwnershipLostError):
        await store.require_owned(fresh)


async def test_r8_an_earlier_attempt_of_the_same_owner_changes_nothing(stores: Stores, store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    first = await store.claim("me")
    assert first is not None
    await store.release(first, NOTHING)
    await store.claim("me")
    before = stores.contents()
    for write in (store.finish(first, COMPLETED, NOTHING), store.report(first, NOTHING), store.release(first, NOTHING)):
        with pytest.raises(OwnershipLostError):
            await write
    assert stores.contents() == before


async def test_rescue_gives_a_child_a_second_chance_and_then_only_its_database_is_looked_after(
    store: RescuingStore,
) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    for number in (1, 2):
        claim = await store.claim("dead")
        assert claim is not None
        assert (claim.recovering, claim.deaths) == (None, number - 1)
        assert await store._rescue_from("dead") == [JobId(1, 1)]
    parent = await store.job(1)
    (child,) = parent.children
    assert (parent.status, child.status, child.recovering) == (Status.RUNNING, Status.PENDING, True)
    assert child.cancel_requested_at is None
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.recovering, claim.deaths, claim.attempt, claim.forced) == (Reason.OWNER_LOST, 2, 3, False)


async def test_rescue_ends_the_step_that_was_running(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("dead")
    assert claim is not None
    step = Step(number=1, attempt=1, object="main", command="VACUUM", status=Status.RUNNING, started_at=5)
    await store.report(claim, Report(steps=(step,)))
    await store._rescue_from("dead")
    (child,) = (await store.job(1)).children
    assert [(s.status, s.error) for s in child.steps] == [(Status.FAILED, format_worker_death(1))]


async def test_a_claim_tells_what_the_attempts_before_it_did(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("dead")
    assert claim is not None
    assert claim.earlier == ()
    step = Step(number=1, attempt=1, object="main", command="VACUUM", status=Status.COMPLETED, started_at=5)
    await store.report(claim, Report(steps=(replace(step, finished_at=6, effect={"freed_pages": 3}),)))
    await store._rescue_from("dead")
    again = await store.claim("me")
    assert again is not None
    assert again.earlier == (await store.job(1)).children[0].steps
    assert [(s.command, s.effect) for s in again.earlier] == [("VACUUM", {"freed_pages": 3})]


async def test_a_released_child_is_pending_with_its_attempts_left(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    for _ in range(5):
        claim = await store.claim("me")
        assert claim is not None
        await store.release(claim, NOTHING)
    parent = await store.job(1)
    assert (statuses(parent), parent.status) == ([Status.PENDING], Status.RUNNING)


async def test_cancel_ends_what_is_pending_and_asks_what_runs(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    claim = await store.claim("me")
    assert claim is not None
    await store.request_cancel(JobId(1))
    parent = await store.job(1)
    assert statuses(parent) == [Status.RUNNING, Status.CANCELLED, Status.CANCELLED, Status.CANCELLED]
    assert await store.cancel_requests("me") == {JobId(1, 1)}
    await store.finish(claim, COMPLETED, NOTHING)  # it could not be interrupted any more: the truth is stored
    parent = await store.job(1)
    assert (parent.children[0].status, parent.status) == (Status.COMPLETED, Status.CANCELLED)


async def test_cancel_of_one_child_leaves_its_siblings(store: RescuingStore) -> None:
    await submit(store, new_job("sales"))
    await store.request_cancel(JobId(1, 2))
    assert statuses(await store.job(1)) == [Status.PENDING, Status.CANCELLED, Status.PENDING, Status.PENDING]


async def test_cancel_of_what_is_over_changes_nothing(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, COMPLETED, NOTHING)
    before = await store.job(1)
    await store.request_cancel(JobId(1))
    assert await store.job(1) == before


@pytest.mark.parametrize("job", [JobId(7), JobId(1, 9)])
async def test_cancel_of_an_unknown_job_says_so(store: RescuingStore, job: JobId) -> None:
    await submit(store, new_job("sales"))
    with pytest.raises(JobNotFoundError):
        await store.request_cancel(job)


async def test_the_duration_of_a_child_is_that_of_its_last_attempt(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    await store.claim("dead")
    first = await store.job(1)
    await store._rescue_from("dead")
    await store.claim("me")
    again = await store.job(1)
    assert again.children[0].started_at is not None
    assert first.children[0].started_at is not None
    assert again.children[0].started_at > first.children[0].started_at
    assert again.started_at == first.started_at


async def test_a_child_that_is_handed_back_after_a_cancel_is_cancelled(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    await store.request_cancel(JobId(1))
    await store.release(claim, NOTHING)
    parent = await store.job(1)
    assert (statuses(parent), parent.status) == ([Status.CANCELLED], Status.CANCELLED)


async def test_text_that_is_no_utf8_is_kept_readable(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    name = b"b\xff.db".decode(errors="surrogateescape")
    line = LogLine(number=1, attempt=1, at=7, level=LogLevel.ERROR, message=name)
    await store.finish(claim, Outcome(status=Status.FAILED, error=f"{name}: locked"), Report(log=(line,)))
    (child,) = (await store.job(1)).children
    assert (child.error, child.log[0].message) == ("b\\udcff.db: locked", "b\\udcff.db")


async def test_durations_are_never_negative_where_the_clock_is_set_back(stores: Stores) -> None:
    backwards = iter(range(1_000, 0, -10))
    async with stores.open(clock=lambda: next(backwards)) as store:
        await submit(store, new_job("sales", Operation.VACUUM))
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, COMPLETED, NOTHING)
        parent = await store.job(1)
    child = parent.children[0]
    times = {parent.created_at, parent.started_at, child.started_at, child.finished_at, parent.finished_at}
    assert times == {parent.created_at}


async def test_what_an_owner_without_a_trace_left_running_is_rescued(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    await store.claim("gone without a trace")
    assert await store.rescue() == [JobId(1, 1)]


async def test_no_time_is_before_an_earlier_one_where_the_clock_is_set_back(stores: Stores) -> None:
    backwards = iter(range(10_000, 0, -10))
    async with stores.open(clock=lambda: next(backwards)) as store:
        await submit(store, new_job("sales"), new_job("stock", Operation.VACUUM), new_job("late", deadline_at=5_000))
        for _ in range(2):
            claim = await store.claim("me")
            assert claim is not None
            await store.release(claim, NOTHING)
        await store.claim("me")
        await store.request_cancel(JobId(1))
        await store.request_cancel(JobId(2))
        changes = await store.changes(0, 100)
        parents = [await store.job(n) for n in (1, 2)]
    for job in {change.job for change in changes}:
        times = [change.at for change in changes if change.job == job]
        assert times == sorted(times)
    for parent in parents:
        for child in parent.children:
            ends = (child.started_at, child.finished_at, child.cancel_requested_at)
            assert all(at is None or at >= parent.created_at for at in ends)


async def test_time_limits_end_nothing_before_it_began_where_the_clock_is_set_back(stores: Stores) -> None:
    clock = StoppedClock(10_000)
    async with stores.open(clock=clock) as store:
        await submit(store, new_job("sales", Operation.VACUUM, deadline_at=5_000))
        clock.at = 6_000
        await store.enforce_time_limits()
        parent = await store.job(1)
    assert parent.children[0].finished_at == parent.finished_at == parent.created_at


async def test_how_often_a_process_died_is_told_without_what_was_handed_back(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    await store.release(claim, NOTHING)
    for _ in range(2):
        await store.claim("dead")
        await store._rescue_from("dead")
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.recovering, claim.deaths) == (Reason.OWNER_LOST, 2)


async def test_one_that_must_not_be_repeated_is_not_run_again_after_its_first_process(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM, max_attempts={Operation.VACUUM: 1}))
    claim = await store.claim("me")
    assert claim is not None
    await store.release(claim, NOTHING)  # that is no repetition: it was stopped safely
    await store.claim("dead")
    await store._rescue_from("dead")
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.recovering, claim.deaths) == (Reason.OWNER_LOST, 1)


async def test_r8_a_former_owner_changes_nothing_even_where_the_job_is_no_longer_kept(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM, max_attempts={Operation.VACUUM: 1}))
    stale = await store.claim("dead")
    assert stale is not None
    await store._rescue_from("dead")
    await store.request_cancel(JobId(1))
    assert await store.prune([1]) == 1
    for write in (store.finish(stale, COMPLETED, NOTHING), store.report(stale, NOTHING), store.release(stale, NOTHING)):
        with pytest.raises(OwnershipLostError):
            await write


async def test_what_a_step_did_is_kept_in_numbers_and_names(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.CHECK))
    claim = await store.claim("me")
    assert claim is not None
    effect: Facts = {"freed_pages": 1620, "ratio": 0.5, "object": 'or"der', "none": None, "damaged": ["a", "b"]}
    begun = Step(number=1, attempt=1, object="main", command="x", status=Status.RUNNING, started_at=5)
    done = replace(begun, status=Status.COMPLETED, finished_at=6, effect=effect)
    await store.report(claim, Report(steps=(begun,)))
    assert [step.effect for step in (await store.job(1)).children[0].steps] == [None]
    await store.finish(claim, COMPLETED, Report(steps=(done, replace(done, number=2, effect={}))))
    assert [step.effect for step in (await store.job(1)).children[0].steps] == [effect, {}]


async def test_a_child_ended_when_its_worker_said_so_not_when_it_could_be_stored(store: RescuingStore) -> None:
    await submit(store, new_job("sales", Operation.VACUUM))
    claim = await store.claim("me")
    assert claim is not None
    started_at = (await store.job(1)).children[0].started_at
    assert started_at is not None
    await store.finish(claim, Outcome(status=Status.COMPLETED, ended_at=started_at + 5), Report())
    job = await store.job(1)
    assert (job.finished_at, job.children[0].finished_at) == (started_at + 5, started_at + 5)


async def test_open_jobs_follow_the_file_that_a_submit_finds_at_their_path(store: RescuingStore) -> None:
    (first,) = await submit(store, new_job("sales", Operation.VACUUM, Operation.ANALYZE))
    await submit(store, new_job("other", Operation.VACUUM))
    assert await store.claim("killed", [first]) is not None
    found = replace(new_job("sales", Operation.VACUUM, Operation.ANALYZE), target_key="key of the new file")
    assert await store.submit([found], OnDuplicate.MERGE) == [first]
    second = replace(new_job("sales", Operation.CHECK), target_key="key of the new file")
    await submit(store, second)
    await store._rescue_from("killed")
    claims = [await store.claim("worker", None) for _ in range(3)]
    assert [None if claim is None else (claim.job.parent, claim.attempt) for claim in claims] == [(1, 2), (2, 1), None]


async def test_jobs_follow_a_file_that_another_one_replaced(store: RescuingStore) -> None:
    (first,) = await submit(store, new_job("sales", Operation.VACUUM, Operation.ANALYZE))
    (claim,) = [await store.claim("worker", None)]
    assert claim is not None
    after: Facts = {FILE: "key of the new file", REPLACED_FILE: "key of sales"}
    await store.finish(claim, replace(COMPLETED, after=after), NOTHING)
    (second,) = await submit(store, replace(new_job("sales"), target_key="key of the new file"))
    running = await store.claim("worker", None)
    assert running is not None
    assert running.job.parent == first
    assert await store.claim("worker", None) is None
    await store.finish(running, COMPLETED, NOTHING)
    following = await store.claim("worker", None)
    assert following is not None
    assert following.job.parent == second
