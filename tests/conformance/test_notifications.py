"""What the store keeps for recipients: events, messages until they are delivered, and whom it told of what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.engines import EngineName
from engine.domain.jobs import JobId
from engine.domain.notifications import Event, EventKind, MessageStatus, RecipientState
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.schedules import Firing, FiringReason, FiringStatus
from engine.domain.statuses import Status
from engine.domain.steps import Facts
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from tests.building import CANCELLED, COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores, newest_change

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SALES, STOCK = "sqlite:///sales.db", "sqlite:///stock.db"
DAY = 86_400_000_000


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def store(stores: Stores, clock: StoppedClock) -> AsyncIterator[RescuingStore]:
    async with stores.open(clock=clock) as opened:
        yield opened


def event(kind: EventKind = EventKind.FAILED, target: str = SALES, job: int | None = 1, at: int = 5) -> Event:
    facts: Facts = {"operation": "vacuum", "seconds": 1.5, "names": ["a", "é"]}
    return Event(kind=kind, at=at, target=target, job=None if job is None else JobId(job, 1), facts=facts)


def survey(clock: StoppedClock, target: str, level: FleetLevel = FleetLevel.CRITICAL) -> Survey:
    return Survey(target=target, engine=EngineName.SQLITE, surveyed_at=clock.at, level=level)


def firing(due_at: int, status: FiringStatus, reason: FiringReason | None, schedule: str = "nightly") -> Firing:
    return Firing(schedule=schedule, due_at=due_at, status=status, reason=reason, recorded_at=due_at)


async def run(store: RescuingStore, outcome: Outcome, operation: Operation = Operation.VACUUM) -> int:
    (job,) = await store.submit([new_job("sales", operation)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, outcome, Report())
    return job


async def test_a_recipient_hears_of_what_comes_after_it_was_registered(
    store: RescuingStore, clock: StoppedClock
) -> None:
    await run(store, FAILED)
    before, at = await newest_change(store), clock.at
    clock.at += 10
    await run(store, FAILED)
    await store.register_recipients(["ops"])
    await store.register_recipients(["dba", "ops"], since=at + 1)
    await store.register_recipients(["all"], since=0)
    newest = await newest_change(store)
    assert await store.seen_by_recipients() == {"ops": newest, "dba": before, "all": 0}


async def test_events_are_one_message_for_each_recipient(store: RescuingStore, clock: StoppedClock) -> None:
    await store.register_recipients(["ops", "dba"])
    events = [event(), event(EventKind.RECOVERED, STOCK, 2), event(EventKind.MISSED, "", None)]
    await store.collect_events("ops", events, seen=7)
    await store.collect_events("dba", events[:1], seen=9)
    await store.collect_events("dba", [], seen=3)
    assert await store.seen_by_recipients() == {"ops": 7, "dba": 9}
    assert await store.collected_since() == {"ops": clock.at, "dba": clock.at}
    collected_at = clock.at
    clock.at += 60
    await store.collect_events("ops", [event(target=STOCK)], seen=10)
    assert await store.collected_since() == {"ops": collected_at, "dba": collected_at}
    await store.make_message("ops")
    await store.make_message("ops")  # there is nothing more
    assert await store.collected_since() == {"dba": collected_at}
    (message,) = await store.waiting_messages()
    assert (message.recipient, message.status, message.attempts) == ("ops", MessageStatus.WAITING, 0)
    assert (message.created_at, message.next_try_at, message.left_out) == (clock.at, clock.at, 0)
    assert message.events == (*events, event(target=STOCK))


async def test_what_is_urgent_is_a_message_of_its_own(store: RescuingStore) -> None:
    await store.register_recipients(["ops"])
    runs = replace(event(EventKind.LONGER_THAN_USUAL), facts={"is_running": True})
    over = replace(event(EventKind.LONGER_THAN_USUAL, STOCK, 2), facts={"is_running": False})
    await store.collect_events("ops", [event()], seen=1)
    assert await store.collected_since(only_urgent=True) == {}
    await store.collect_events("ops", [event(EventKind.CRITICAL), runs, over, runs], seen=1)
    assert set(await store.collected_since(only_urgent=True)) == {"ops"}
    await store.make_message("ops", only_urgent=True)
    (urgent,) = await store.waiting_messages()
    assert [(one.kind, one.target) for one in urgent.events] == [
        (EventKind.CRITICAL, SALES),
        (EventKind.LONGER_THAN_USUAL, SALES),
    ]
    await store.make_message("ops")
    _, rest = await store.waiting_messages()
    assert [(one.kind, one.target) for one in rest.events] == [
        (EventKind.FAILED, SALES),
        (EventKind.LONGER_THAN_USUAL, STOCK),
    ]


async def test_a_delivery_is_tried_until_it_ends(store: RescuingStore, clock: StoppedClock) -> None:
    await store.register_recipients(["ops"])
    for number in range(3):
        await store.collect_events("ops", [event(job=number)], seen=1)
        await store.make_message("ops")
    first, second, third = await store.waiting_messages()
    await store.begin_delivery(first.id)
    await store.end_delivery(first.id, MessageStatus.WAITING, error="busy", done=("b", "a"), next_try_at=clock.at + 60)
    await store.begin_delivery(second.id)
    await store.end_delivery(second.id, MessageStatus.SENT, error=None, done=(), next_try_at=clock.at)
    clock.at += 5
    await store.begin_delivery(third.id)
    await store.end_delivery(third.id, MessageStatus.GIVEN_UP, error="gone", done=(), next_try_at=clock.at)
    await store.end_delivery(third.id, MessageStatus.SENT, error=None, done=(), next_try_at=clock.at)  # it is over
    (waiting,) = await store.waiting_messages()
    assert (waiting.key, waiting.attempts, waiting.error, waiting.done) == (first.key, 1, "busy", ("a", "b"))
    assert waiting.next_try_at == clock.at + 55
    assert [one.id for one in await store.newest_messages("ops", limit=2)] == [third.id, second.id]
    assert await store.recipient_states(["ops", "none"]) == [
        RecipientState(
            name="ops", waiting=1, given_up=1, given_up_at=clock.at, sent_at=clock.at - 5, error="gone"
        ),
        RecipientState(name="none"),
    ]  # fmt: skip


async def test_what_a_dead_process_was_delivering_is_due_at_once(store: RescuingStore, clock: StoppedClock) -> None:
    await store.register_recipients(["ops"])
    for number in range(2):
        await store.collect_events("ops", [event(job=number)], seen=1)
        await store.make_message("ops")
    first, second = await store.waiting_messages()
    for message in (first, second):
        await store.begin_delivery(message.id)
        await store.end_delivery(message.id, MessageStatus.WAITING, error="x", done=(), next_try_at=clock.at + DAY)
    await store.begin_delivery(second.id)
    await store.take_over_messages(["dba"])
    assert [one.next_try_at for one in await store.waiting_messages()] == [clock.at + DAY, clock.at + DAY]
    await store.take_over_messages(["ops"])
    assert [one.next_try_at for one in await store.waiting_messages()] == [clock.at + DAY, clock.at]


async def test_a_recipient_that_is_not_kept_is_forgotten_with_what_waits(
    store: RescuingStore, clock: StoppedClock
) -> None:
    await store.register_recipients(["ops", "gone"])
    for name in ("ops", "gone"):
        await store.collect_events(name, [event()], seen=1)
        await store.make_message(name)
        await store.collect_events(name, [event(), event(EventKind.CRITICAL)], seen=1)
    assert await store.forget_recipients(["ops"]) == {"gone": 3}
    assert await store.forget_recipients(["ops"]) == {}
    assert set(await store.seen_by_recipients()) == {"ops"}
    assert [message.recipient for message in await store.waiting_messages()] == ["ops"]
    await store.save_surveys([survey(clock, SALES)])
    assert (await store.newly_critical("ops"), await store.newly_critical("gone")) == ([], [SALES])


async def test_a_critical_target_is_told_once_until_it_is_better(store: RescuingStore, clock: StoppedClock) -> None:
    await store.register_recipients(["ops"])
    await store.save_surveys([survey(clock, SALES), survey(clock, STOCK, FleetLevel.OK)])
    assert await store.newly_critical("ops") == [SALES]
    told = event(EventKind.CRITICAL, job=None, at=clock.at)
    await store.collect_events("ops", [told, told], seen=1)
    assert (await store.newly_critical("ops"), await store.no_longer_critical("ops")) == ([], [])
    (state,) = await store.recipient_states(["ops"])
    assert state.collected == 1
    clock.at += 1
    await store.save_surveys([survey(clock, SALES, FleetLevel.OK)])
    assert await store.no_longer_critical("ops") == [SALES]
    await store.collect_events("ops", [], seen=1, calm=[SALES])
    assert await store.no_longer_critical("ops") == []
    await store.save_surveys([survey(clock, SALES)])
    assert await store.newly_critical("ops") == [SALES]


async def test_a_database_that_is_gone_is_told_as_a_critical_one_is(store: RescuingStore, clock: StoppedClock) -> None:
    await store.register_recipients(["ops"])
    gone = SurveyReason(FleetLevel.UNREACHABLE, SurveyCause.GONE)
    lost = replace(survey(clock, SALES, FleetLevel.UNREACHABLE), reasons=(gone,))
    await store.save_surveys([lost, survey(clock, STOCK, FleetLevel.UNREACHABLE)])
    assert await store.newly_critical("ops") == [SALES]
    await store.collect_events("ops", [event(EventKind.CRITICAL, job=None, at=clock.at)], seen=1)
    clock.at += 1
    await store.save_surveys([replace(lost, surveyed_at=clock.at)])
    assert (await store.newly_critical("ops"), await store.no_longer_critical("ops")) == ([], [])
    await store.forget_databases([SALES])
    await store.save_surveys([replace(lost, surveyed_at=clock.at)])
    assert await store.newly_critical("ops") == [SALES]


async def test_what_comes_back_damaged_after_it_was_told_as_gone_is_told_again(
    store: RescuingStore, clock: StoppedClock
) -> None:
    await store.register_recipients(["ops"])
    gone = SurveyReason(FleetLevel.UNREACHABLE, SurveyCause.GONE)
    lost = replace(survey(clock, SALES, FleetLevel.UNREACHABLE), reasons=(gone,))
    await store.save_surveys([lost])
    told = event(EventKind.CRITICAL, job=None, at=clock.at)
    await store.collect_events("ops", [told], seen=1)
    clock.at += 1
    await store.save_surveys([survey(clock, SALES)])
    assert await store.newly_critical("ops") == [SALES]
    await store.collect_events("ops", [replace(told, at=clock.at)], seen=1)
    await store.save_surveys([survey(clock, SALES)])
    assert await store.newly_critical("ops") == []


async def test_damage_that_makes_a_target_critical_is_no_failure_as_well(store: RescuingStore) -> None:
    await store.register_recipients(["ops"])
    damage = replace(event(), facts={"is_damage": True})
    await store.collect_events("ops", [event(EventKind.CRITICAL), damage], seen=1)
    await store.collect_events("ops", [event(EventKind.CRITICAL), replace(damage, job=JobId(2, 1))], seen=1)
    await store.make_message("ops")
    (message,) = await store.waiting_messages()
    assert [one.kind for one in message.events] == [EventKind.CRITICAL, EventKind.FAILED]


async def test_due_times_with_a_problem_are_told_once(store: RescuingStore, clock: StoppedClock) -> None:
    missed, still = FiringReason.NO_WORKER, FiringReason.STILL_RUNNING
    await store.record_firings([firing(clock.at - 60, FiringStatus.MISSED, missed)])
    await store.register_recipients(["ops"])
    clock.at += 60
    told = [firing(clock.at, FiringStatus.MISSED, missed), firing(clock.at + 1, FiringStatus.SKIPPED, still)]
    told.append(replace(firing(clock.at + 2, FiringStatus.FIRED, None), error="sales.db: the last check found damage"))
    plain = firing(clock.at + 3, FiringStatus.FIRED, None)
    old = replace(firing(clock.at - 9 * DAY, FiringStatus.MISSED, missed), recorded_at=clock.at)
    await store.record_firings([old, *told, plain])
    assert await store.firings_to_tell("ops") == told
    kinds = (EventKind.MISSED, EventKind.SKIPPED, EventKind.FAILED)
    for kind, one in zip(kinds, told, strict=True):
        what = Event(kind=kind, at=one.due_at, schedule=one.schedule)
        await store.collect_events("ops", [what, what], seen=1)
    assert await store.firings_to_tell("ops") == []
    (state,) = await store.recipient_states(["ops"])
    assert state.collected == 3


async def test_how_an_operation_ended_the_last_time_before_a_job(store: RescuingStore) -> None:
    first = await run(store, FAILED)
    await run(store, COMPLETED, Operation.ANALYZE)
    await run(store, CANCELLED)
    last = await run(store, COMPLETED)
    assert await store.last_outcome(SALES, Operation.VACUUM, before=last, jobs=9) == (Status.FAILED, first)
    assert await store.last_outcome(SALES, Operation.VACUUM, before=last + 1, jobs=9) == (Status.COMPLETED, last)
    assert await store.last_outcome(SALES, Operation.VACUUM, before=last, jobs=1) is None
    assert await store.last_outcome(SALES, Operation.VACUUM, before=first, jobs=9) is None
    assert await store.last_outcome(STOCK, Operation.VACUUM, before=last, jobs=9) is None


async def test_what_is_old_is_removed_with_the_next_message(store: RescuingStore, clock: StoppedClock) -> None:
    await store.register_recipients(["ops"])
    for number in range(2):
        await store.collect_events("ops", [event(job=number)], seen=1)
        await store.make_message("ops")
    sent, _ = await store.waiting_messages()
    await store.end_delivery(sent.id, MessageStatus.SENT, error=None, done=(), next_try_at=clock.at)
    await store.collect_events("ops", [event(job=7)], seen=1)
    clock.at += 91 * DAY
    await store.make_message("ops")
    assert await store.newest_messages("ops", limit=9) == []
    assert await store.recipient_states(["ops"]) == [RecipientState(name="ops")]
