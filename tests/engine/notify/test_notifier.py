"""From jobs that end to one message for a recipient, on a real store, with real deliveries."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.config.model import Config
from engine.domain.claims import Outcome, Report
from engine.domain.damage import Damage, DamageChange, DamageSource
from engine.domain.engines import EngineName
from engine.domain.job_outcomes import JobOutcome
from engine.domain.notifications import EventKind, Message, MessageStatus, MessageText, Method, Recipient
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.schedules import Firing, FiringReason, FiringStatus, Schedule
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Progress, WaitsFor
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from engine.notify import notifier
from engine.notify.notifier import Notifier, notifying
from engine.store.protocol import SUBMITTING, Failure, NewBatch
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import SteadyClock
from engine.system.private_files import private_directory
from tests.building import COMPLETED, FAILED, StoppedClock, new_job
from tests.receivers import WebServer, silent_server, web_server
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SECOND = 1_000_000
DAMAGE = Outcome(
    status=Status.FAILED,
    reason=Reason.OPERATION_ERROR,
    error="x",
    after={"size": 1, "findings": 1, "damage": "row missing"},
)


LATE = Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT)


def compose(message: Message) -> MessageText:
    kinds = [event.kind.value for event in message.events]
    targets = [event.target for event in message.events]
    return MessageText("subject", "text", {"kinds": kinds, "targets": targets, "key": message.key})


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def opened(store_path: Path, clock: StoppedClock) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(store_path, clock=clock) as store:
        yield store


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def ops(server: WebServer | None = None, **settings: Any) -> Recipient:
    url = server.url if server else "http://127.0.0.1:1/"
    return Recipient(**{"name": "ops", "method": Method.WEBHOOK, "webhook": url, "timeout": 20.0, **settings})


async def left_out(store: SqliteStore, target: str, schedule: str, outcome: Outcome = LATE) -> int:
    """A job that a schedule started, and that ended before anything of it began."""
    batch = NewBatch(schedule=schedule)
    (job,) = await store.submit([new_job(target, Operation.VACUUM)], OnDuplicate.REFUSE, batch)
    claim = await store.claim("me", [job])
    assert claim is not None
    await store.finish(claim, outcome, Report())
    return job


async def ended(store: SqliteStore, target: str, outcome: Outcome = COMPLETED, *operations: Operation) -> int:
    (job,) = await store.submit([new_job(target, *(operations or (Operation.VACUUM,)))], OnDuplicate.REFUSE)
    async with store.hosting_workers() as owner:
        while claim := await store.claim(owner, [job]):
            await store.finish(claim, outcome, Report())
    return job


def made(store: SqliteStore, clock: Callable[[], int], *recipients: Recipient) -> Notifier:
    return Notifier(store, lambda: Config(notify=recipients), compose, clock)


async def collected(store: SqliteStore, notifier_: Notifier, name: str = "ops") -> list[tuple[EventKind, str]]:
    """What is collected, put into a message."""
    await notifier_.collect()
    await store.make_message(name)
    return [
        (event.kind, event.target.removeprefix("sqlite:///").removesuffix(".db"))
        for message in await store.waiting_messages()
        if message.recipient == name
        for event in message.events
    ]


async def test_a_new_recipient_is_told_of_what_happens_from_then_on(opened: SqliteStore, clock: StoppedClock) -> None:
    await ended(opened, "before", FAILED)
    telling = made(opened, clock, ops())
    assert await collected(opened, telling) == []
    await ended(opened, "sales", FAILED)
    await ended(opened, "stock")
    assert await collected(opened, telling) == [(EventKind.FAILED, "sales")]


async def test_a_new_recipient_is_told_of_what_happened_since_the_config_was_changed(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    await ended(opened, "before", FAILED)
    clock.at += SECOND
    config = Config(notify=(ops(),), changed_at=clock.at)
    await ended(opened, "at that moment", FAILED)
    await opened.record_firings([firing(clock.at, clock.at)])
    clock.at += 60 * SECOND
    telling = Notifier(opened, lambda: config, compose, clock)
    assert await collected(opened, telling) == [(EventKind.FAILED, "at that moment"), (EventKind.MISSED, "")]


async def test_what_waits_for_a_recipient_that_was_removed_is_dropped_with_a_word(
    opened: SqliteStore, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifier, "PAUSE", 0.01)
    await opened.register_recipients(["ops", "gone"])
    await ended(opened, "sales", FAILED)
    await made(opened, clock, ops(), ops(name="gone")).collect()
    await opened.make_message("gone")
    await ended(opened, "stock", FAILED)
    await made(opened, clock, ops(), ops(name="gone")).collect()
    with caplog.at_level("INFO", "dbtend"):
        config = Config(notify=(ops(settle=86_400.0),), changed_at=clock.at)
        async with notifying(Notifier(opened, lambda: config, compose, clock)):
            await eventually(lambda: "gone is no recipient any more: 2 " in caplog.text)
    (state,) = await opened.recipient_states(["gone"])
    assert (state.collected, state.waiting) == (0, 0)
    (kept,) = await opened.recipient_states(["ops"])
    assert kept.collected == 2
    assert set(await opened.seen_by_recipients()) == {"ops"}


async def test_what_was_collected_is_not_collected_again_by_another_process(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    await made(opened, clock, ops()).collect()
    await made(opened, clock, ops()).collect()
    assert await collected(opened, made(opened, clock, ops())) == [(EventKind.FAILED, "sales")]


async def test_the_first_success_after_a_failure_is_told_once(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    telling = made(opened, clock, ops(on=(EventKind.RECOVERED,)))
    await ended(opened, "sales", FAILED)
    await ended(opened, "sales", COMPLETED, Operation.ANALYZE)
    await ended(opened, "sales", Outcome(status=Status.CANCELLED))
    assert await collected(opened, telling) == []
    await ended(opened, "sales")
    await ended(opened, "sales")
    assert await collected(opened, telling) == [(EventKind.RECOVERED, "sales")]


async def test_damage_recovers_by_a_full_check_once_none_is_on_record(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    telling = made(opened, clock, ops(on=(EventKind.RECOVERED,)))
    known = Damage(source=DamageSource.CHECK, found_at=1, text="a page is torn")
    found = replace(FAILED, after={"findings": 1, "damage": known.text}, damage=DamageChange(found=(known,)))
    clean = {
        level: replace(COMPLETED, after={"findings": 0, "level": level, "complete": True})
        for level in ("quick", "full")
    }
    for name in ("sales", "still"):
        for outcome in (found, clean["quick"], clean["quick"]):
            await ended(opened, name, outcome, Operation.CHECK)
    assert await collected(opened, telling) == []
    ids = [await ended(opened, name, clean["full"], Operation.CHECK) for name in ("sales", "still")]
    sales, _ = await opened.jobs(ids)
    await opened.save_damage(sales.target, DamageChange(ended=(known.key,)))
    assert await collected(opened, telling) == [(EventKind.RECOVERED, "sales")]


async def test_a_target_that_could_not_be_opened_fails_and_recovers(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    failure = Failure(Reason.UNREACHABLE, "there is no such file")
    await opened.submit([new_job("sales", Operation.VACUUM, failure=failure)], OnDuplicate.REFUSE)
    await ended(opened, "sales")
    assert await collected(opened, made(opened, clock, ops())) == [
        (EventKind.FAILED, "sales"), (EventKind.RECOVERED, "sales")
    ]  # fmt: skip


async def test_an_operation_that_took_twice_as_long_is_told(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    for seconds in (30, 20, 25, 60):
        (job,) = await opened.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        async with opened.hosting_workers() as owner:
            claim = await opened.claim(owner, [job])
            assert claim is not None
            clock.at += seconds * SECOND
            await opened.finish(claim, COMPLETED, Report())
    await opened.make_message("ops")
    assert await collected(opened, made(opened, clock, ops())) == [(EventKind.LONGER_THAN_USUAL, "sales")]
    (message,) = await opened.waiting_messages()
    assert message.events[0].facts == {
        "operation": "vacuum",
        "seconds": 60.0,
        "median": 25.0,
        "runs": 3,
        "is_running": False,
    }


async def test_what_takes_twice_as_long_is_told_at_once_while_it_runs_and_once(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    await opened.register_recipients(["ops", "dba"])
    for seconds in (30, 20, 25):
        await ran(opened, clock, seconds)
    telling = made(opened, clock, ops(settle=86_400.0), ops(name="dba", longer_by=60.0))
    (job,) = await opened.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with opened.hosting_workers() as owner:
        claim = await opened.claim(owner, [job])
        assert claim is not None
        clock.at += 49 * SECOND
        await look(telling)
        assert await opened.collected_since() == {}
        clock.at += SECOND
        for _ in range(3):
            await look(telling)
            await look(made(opened, clock, ops()))  # another process takes its place
        assert await opened.collected_since(only_urgent=True) == {"ops": clock.at}
        clock.at += int(notifier.URGENT_AFTER) * SECOND
        await telling._make_due_messages()
        (message,) = await opened.waiting_messages()
        clock.at += 30 * SECOND
        await look(telling)
        assert set(await opened.collected_since(only_urgent=True)) == {"dba"}
        await opened.finish(claim, COMPLETED, Report())
    (event,) = message.events
    facts = {"operation": "vacuum", "seconds": 50.0, "median": 25.0, "runs": 3, "is_running": True}
    assert (event.kind, event.facts) == (EventKind.LONGER_THAN_USUAL, facts)
    await telling.collect()
    assert set(await opened.collected_since()) == {"dba"}


@pytest.mark.parametrize("jump", [86_400, -86_400])
@pytest.mark.parametrize("is_new", [False, True], ids=["seen before", "first seen after it"])
async def test_a_clock_that_is_set_makes_no_running_operation_longer_or_shorter(
    opened: SqliteStore, clock: StoppedClock, jump: int, is_new: bool
) -> None:
    await opened.register_recipients(["ops"])
    for _ in range(3):
        await ran(opened, clock, 20)
    passed = StoppedClock()
    steady = SteadyClock(lambda: clock.at * 1000, lambda: passed.at * 1000)
    telling = made(opened, steady, ops())
    await look(telling)
    (job,) = await opened.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with opened.hosting_workers() as owner:
        assert await opened.claim(owner, [job]) is not None
        if not is_new:
            await look(telling)
        for seconds, is_told in ((1, False), (60, True)):
            clock.at += (seconds + jump) * SECOND
            passed.at += seconds * SECOND
            await look(telling)
            assert bool(await opened.collected_since()) == is_told


async def look(telling: Notifier) -> None:
    """At what runs."""
    async with telling.holding_roles():
        await telling._collect_running()


async def ran(store: SqliteStore, clock: StoppedClock, seconds: int) -> None:
    (job,) = await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with store.hosting_workers() as owner:
        claim = await store.claim(owner, [job])
        assert claim is not None
        clock.at += seconds * SECOND
        await store.finish(claim, COMPLETED, Report())


async def test_a_wait_of_a_running_operation_is_no_work(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    for _ in range(3):
        await ran(opened, clock, 20)
    telling = made(opened, clock, ops())
    (job,) = await opened.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with opened.hosting_workers() as owner:
        claim = await opened.claim(owner, [job])
        assert claim is not None
        clock.at += 60 * SECOND
        await opened.report(claim, Report(progress=Progress(waited=30 * SECOND)))
        await look(telling)
        assert await opened.collected_since() == {}
        clock.at += 60 * SECOND
        await opened.report(claim, Report(progress=Progress(waited=30 * SECOND, waits_for=WaitsFor.LOCK)))
        await look(telling)
        assert await opened.collected_since() == {}
        await opened.report(claim, Report(progress=Progress(waited=30 * SECOND)))
        await look(telling)
        assert set(await opened.collected_since()) == {"ops"}


async def test_a_worker_tells_of_what_runs_too_long_while_no_job_changes(
    opened: SqliteStore, clock: StoppedClock, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "PAUSE", 0.01)
    monkeypatch.setattr(notifier, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(notifier, "URGENT_AFTER", 0.0)
    await opened.register_recipients(["ops"])
    for _ in range(3):
        await ran(opened, clock, 20)
    (job,) = await opened.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with opened.hosting_workers() as owner, notifying(made(opened, clock, ops(web, settle=86_400.0))):
        claim = await opened.claim(owner, [job])
        assert claim is not None
        clock.at += 40 * SECOND
        assert (await asyncio.to_thread(web.taken)).json["kinds"] == ["longer_than_usual"]
    assert web.none_waits()


async def test_a_critical_target_is_told_until_it_is_well_and_then_anew(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    reason = SurveyReason(FleetLevel.CRITICAL, SurveyCause.DISK_FULL, {"free": 1, "size": 9})
    survey = Survey(
        target="sqlite:///sales.db", engine=EngineName.SQLITE, surveyed_at=clock.at, level=FleetLevel.CRITICAL,
        reasons=(reason,),
    )  # fmt: skip
    telling, one = made(opened, clock, ops()), [(EventKind.CRITICAL, "sales")]
    await opened.save_surveys([survey])
    assert await collected(opened, telling) == one
    await opened.save_surveys([replace(survey, surveyed_at=clock.at + 1)])
    assert await collected(opened, telling) == one
    await opened.save_surveys([replace(survey, surveyed_at=clock.at + 2, level=FleetLevel.OK, reasons=())])
    assert await collected(opened, telling) == one
    await opened.save_surveys([replace(survey, surveyed_at=clock.at + 3)])
    assert await collected(opened, telling) == one * 2


async def test_damage_is_told_as_critical_once_and_each_night_that_the_check_failed(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    await opened.register_recipients(["ops", "dba"])
    telling = made(opened, clock, ops(), ops(name="dba", on=(EventKind.FAILED,)))
    for night in (1, 2, 3):
        await ended(opened, "sales", DAMAGE, Operation.CHECK)
        told = [EventKind.CRITICAL] + [EventKind.FAILED] * (night - 1)
        assert [kind for kind, _ in await collected(opened, telling)] == told
        assert [kind for kind, _ in await collected(opened, telling, "dba")] == [EventKind.FAILED] * night


async def test_each_recipient_is_told_of_its_own_events(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops", "dba"])
    await ended(opened, "sales", FAILED)
    await ended(opened, "sales")
    telling = made(opened, clock, ops(on=(EventKind.FAILED,)), ops(name="dba", on=(EventKind.RECOVERED,)))
    assert await collected(opened, telling, "ops") == [(EventKind.FAILED, "sales")]
    assert await collected(opened, telling, "dba") == [(EventKind.RECOVERED, "sales")]


async def test_a_night_is_one_message_when_it_is_over(
    opened: SqliteStore, clock: StoppedClock, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "PAUSE", 0.01)
    await opened.register_recipients(["ops"])
    (last,) = await opened.submit([new_job("last", Operation.VACUUM)], OnDuplicate.REFUSE)
    for number in range(30):
        await ended(opened, f"t{number}", FAILED)
    async with notifying(made(opened, clock, ops(web, settle=0.0))):
        async with opened.hosting_workers() as owner:
            claim = await opened.claim(owner, [last])
            assert claim is not None
            clock.at += SECOND
            await opened.finish(claim, FAILED, Report())
        post = await asyncio.to_thread(web.taken)
    assert post.json["kinds"] == ["failed"] * 31
    assert web.none_waits()


async def test_a_night_that_does_not_end_is_told_of_at_the_latest_time(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    await opened.register_recipients(["ops"])
    await opened.submit([new_job("never ends", Operation.VACUUM)], OnDuplicate.REFUSE)
    await ended(opened, "sales", FAILED)
    telling = made(opened, clock, ops(settle=0.0, latest=3600.0))
    await telling.collect()
    await telling._make_due_messages()
    assert await opened.waiting_messages() == []
    clock.at += 3600 * SECOND
    await telling._make_due_messages()
    assert len(await opened.waiting_messages()) == 1


async def test_the_end_is_not_told_between_two_portions_of_a_batch(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    telling = made(opened, clock, ops(settle=0.0))
    await telling.collect()
    async with opened.holding_role(SUBMITTING):
        await telling._make_due_messages()
        assert await opened.waiting_messages() == []
    await telling._make_due_messages()
    assert len(await opened.waiting_messages()) == 1


async def test_what_is_critical_waits_for_no_night_to_end(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    await opened.submit([new_job("never ends", Operation.VACUUM)], OnDuplicate.REFUSE)
    await ended(opened, "stock", FAILED)
    await ended(opened, "sales", DAMAGE, Operation.CHECK)
    telling = made(opened, clock, ops(settle=86_400.0))
    await telling.collect()
    assert await telling._seconds_until_due() <= notifier.URGENT_AFTER
    clock.at += int(notifier.URGENT_AFTER) * SECOND
    await telling._make_due_messages()
    (message,) = await opened.waiting_messages()
    assert [event.kind for event in message.events] == [EventKind.CRITICAL]
    await telling._make_due_messages()
    assert len(await opened.waiting_messages()) == 1
    clock.at += 8 * 3600 * SECOND
    await telling._make_due_messages()
    assert [event.kind for event in (await opened.waiting_messages())[1].events] == [EventKind.FAILED]


async def test_a_delivery_that_fails_is_repeated_later_with_the_same_key_and_then_sent_no_more(
    opened: SqliteStore, clock: StoppedClock, web: WebServer
) -> None:
    web.answers = [503, 503, 200]
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    keys = set()
    for seconds in (0, 59, 2, 299, 2, 10_000):
        clock.at += seconds * SECOND
        await told(made(opened, clock, ops(web)))
        if not web.none_waits():
            keys.add(web.taken().json["key"])
    assert web.none_waits()
    assert len(keys) == 1
    (state,) = await opened.recipient_states(["ops"])
    assert (state.waiting, state.given_up, state.error) == (0, 0, None)
    assert state.sent_at == clock.at - 10_000 * SECOND


async def told(telling: Notifier) -> None:
    """One round, without what `tell_now` does first: messages that are not due stay."""
    await telling.collect()
    await telling._store.make_message("ops")
    await telling._begin_deliveries()
    await asyncio.gather(*telling._deliveries.values())


async def test_a_message_that_nobody_takes_is_given_up_in_the_end(
    opened: SqliteStore, clock: StoppedClock, web: WebServer
) -> None:
    web.answers = [500]
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    await told(made(opened, clock, ops(web)))
    clock.at += 4 * 86_400 * SECOND
    await told(made(opened, clock, ops(web)))
    (state,) = await opened.recipient_states(["ops"])
    assert (state.waiting, state.given_up) == (0, 1)
    assert state.error is not None


async def test_a_message_that_cannot_be_made_is_tried_again_later_and_given_up(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    tries = list[str]()

    def fail(message: Message) -> MessageText:
        tries.append(message.key)
        raise KeyError("kind")

    def telling() -> Notifier:
        return Notifier(opened, lambda: Config(notify=(ops(),)), fail, clock)

    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    for _ in range(3):
        await told(telling())
    assert len(tries) == 1
    (state,) = await opened.recipient_states(["ops"])
    assert (state.waiting, state.error) == (1, "internal error: KeyError")
    clock.at += 61 * SECOND
    await told(telling())
    clock.at += 4 * 86_400 * SECOND
    await told(telling())
    await told(telling())
    assert len(tries) == 3
    (state,) = await opened.recipient_states(["ops"])
    assert (state.waiting, state.given_up) == (0, 1)


async def test_a_clock_that_is_set_back_by_days_delays_no_message(
    opened: SqliteStore, clock: StoppedClock, web: WebServer
) -> None:
    web.answers = [500, 200]
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    await told(made(opened, clock, ops(web)))
    clock.at -= 5 * 86_400 * SECOND
    await told(made(opened, clock, ops(web)))
    assert (await opened.recipient_states(["ops"]))[0].waiting == 0


async def test_one_that_hangs_keeps_no_other_waiting(
    opened: SqliteStore, clock: StoppedClock, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "PAUSE", 0.01)
    await opened.register_recipients(["ops", "slow"])
    with silent_server() as port:
        slow = ops(name="slow", webhook=f"http://127.0.0.1:{port}/", timeout=600.0, settle=0.0)
        await ended(opened, "sales", FAILED)
        async with notifying(made(opened, clock, slow, ops(web, settle=0.0))):
            await asyncio.to_thread(web.taken)
            clock.at += SECOND
            await ended(opened, "stock", FAILED)
            assert (await asyncio.to_thread(web.taken)).json["targets"] == ["sqlite:///stock.db"]
    states = {state.name: state for state in await opened.recipient_states(["ops", "slow"])}
    assert states["slow"].waiting >= 1


async def test_only_one_of_several_processes_tells_people(
    opened: SqliteStore, clock: StoppedClock, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "PAUSE", 0.01)
    await opened.register_recipients(["ops"])
    async with (
        notifying(made(opened, clock, ops(web, settle=0.0))),
        notifying(made(opened, clock, ops(web, settle=0.0))),
    ):
        await ended(opened, "sales", FAILED)
        await asyncio.to_thread(web.taken)
        assert await made(opened, clock, ops(web)).tell_now() == []
    assert web.none_waits()


async def test_what_a_dead_process_was_delivering_is_tried_again_at_once(
    opened: SqliteStore, clock: StoppedClock, web: WebServer
) -> None:
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    await made(opened, clock, ops()).collect()
    await opened.make_message("ops")
    (message,) = await opened.waiting_messages()
    await opened.begin_delivery(message.id)
    await opened.end_delivery(
        message.id, MessageStatus.WAITING, error="x", done=(), next_try_at=clock.at + 3600 * SECOND
    )
    await opened.begin_delivery(message.id)  # and here it died
    assert await made(opened, clock, ops(web)).tell_now() == []
    assert web.taken().json["key"] == message.key


async def test_a_removed_job_and_a_row_that_was_changed_by_hand_stop_nothing(
    opened: SqliteStore, clock: StoppedClock, store_path: Path
) -> None:
    await opened.register_recipients(["ops"])
    gone = await ended(opened, "gone", FAILED)
    await ended(opened, "sales", FAILED)
    await opened.prune([gone])
    telling = made(opened, clock, ops())
    await telling.collect()
    await ended(opened, "stock", FAILED)
    await telling.collect()
    with closing(sqlite3.connect(store_path)) as file, file:
        file.execute("UPDATE notification SET kind = 'nonsense' WHERE target LIKE '%sales%'")
    assert await collected(opened, telling) == [(EventKind.FAILED, "stock")]
    (message,) = await opened.waiting_messages()
    assert message.left_out == 1


async def test_old_messages_are_removed(opened: SqliteStore, clock: StoppedClock, web: WebServer) -> None:
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    await told(made(opened, clock, ops(web)))
    await opened.register_recipients(["no longer there"])
    await ended(opened, "stock", FAILED)
    await made(opened, clock, ops(), ops(name="no longer there")).collect()
    await opened.make_message("no longer there")
    clock.at += 91 * 86_400 * SECOND
    await opened.make_message("ops")
    state, other = await opened.recipient_states(["ops", "no longer there"])
    assert (state.sent_at, state.collected, state.waiting, other.waiting) == (None, 0, 0, 0)


async def test_without_a_recipient_nothing_is_written(opened: SqliteStore, clock: StoppedClock) -> None:
    await ended(opened, "sales", FAILED)
    await made(opened, clock).collect()
    assert await opened.seen_by_recipients() == {}


def firing(
    due_at: int, recorded_at: int, schedule: str = "nightly", status: FiringStatus = FiringStatus.MISSED
) -> Firing:
    return Firing(
        schedule=schedule, due_at=due_at, status=status, recorded_at=recorded_at, reason=FiringReason.NO_WORKER
    )  # fmt: skip


async def test_a_missed_schedule_is_told_once_to_those_that_it_names(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.record_firings([firing(clock.at - 60 * SECOND, clock.at)])
    clock.at += SECOND
    await opened.register_recipients(["ops", "dba"])
    config = Config(
        notify=(ops(), ops(name="dba")),
        schedules=(
            Schedule(name="nightly", targets=("/x",), start="* * * * *", notify=("dba",)),
            Schedule(name="weekly", targets=("/x",), start="* * * * *"),
        ),
    )
    telling = Notifier(opened, lambda: config, compose, clock)
    late = [firing(clock.at - 9 * 86_400 * SECOND, clock.at)]
    await opened.record_firings(
        [firing(clock.at, clock.at), firing(clock.at, clock.at, status=FiringStatus.SKIPPED, schedule="s"), *late]
    )
    await opened.record_firings([firing(clock.at, clock.at, schedule="weekly")])
    for _ in range(2):
        await telling.collect()
    for name, schedules in {"ops": ["weekly"], "dba": ["nightly", "weekly"]}.items():
        await opened.make_message(name)
        events = [event for one in await opened.waiting_messages() if one.recipient == name for event in one.events]
        assert [(event.kind, event.schedule, event.at) for event in events] == [
            (EventKind.MISSED, schedule, clock.at) for schedule in schedules
        ]


async def test_people_are_told_once_the_lock_can_be_had(
    opened: SqliteStore,
    clock: StoppedClock,
    web: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for pause in ("PAUSE", "LOOK_EVERY"):
        monkeypatch.setattr(notifier, pause, 0.01)
    await opened.register_recipients(["ops"])
    await ended(opened, "sales", FAILED)
    lock = private_directory(opened.path) / "notify.lock"
    lock.mkdir()
    async with asyncio.timeout(60), notifying(made(opened, clock, ops(web, settle=0.0))):
        await eventually(lambda: "messages cannot be sent now" in caplog.text)
        lock.rmdir()
        clock.at += SECOND
        post = await asyncio.to_thread(web.taken)
    assert post.json["kinds"] == ["failed"]


async def test_a_night_that_was_skipped_as_the_last_one_still_ran_is_told_once(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    await opened.register_recipients(["ops"])
    still = replace(firing(clock.at, clock.at, status=FiringStatus.SKIPPED), reason=FiringReason.STILL_RUNNING)
    by_plan = replace(still, schedule="weekly", reason=FiringReason.NOT_NEEDED)
    await opened.record_firings([still, by_plan, firing(clock.at, clock.at, schedule="monthly")])
    telling = made(opened, clock, ops())
    await telling.collect()
    await telling.collect()
    await opened.make_message("ops")
    await telling.collect()
    (message,) = await opened.waiting_messages()
    assert {(event.kind, event.schedule, event.facts["reason"]) for event in message.events} == {
        (EventKind.SKIPPED, "nightly", "still_running"), (EventKind.MISSED, "monthly", "no_worker")
    }  # fmt: skip
    assert await opened.collected_since() == {}


async def test_the_message_of_a_night_knows_its_batch_and_due_time(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    due = Firing(schedule="nightly", due_at=clock.at, status=FiringStatus.FIRED, recorded_at=clock.at)
    jobs = [new_job(name, Operation.VACUUM) for name in ("a", "b")]
    fired = await opened.fire(due, jobs, NewBatch(schedule="nightly"))
    assert fired is not None
    async with opened.hosting_workers() as owner:
        for outcome in (FAILED, COMPLETED):
            claim = await opened.claim(owner)
            assert claim is not None
            await opened.finish(claim, outcome, Report())
    await ended(opened, "alone", FAILED)
    texts = list[Message]()

    def keep(message: Message) -> MessageText:
        texts.append(message)
        return compose(message)

    schedule = Schedule(name="nightly", targets=("/x",), start="0 1 * * *", timezone="Asia/Tokyo")
    config = Config(notify=(ops(),), schedules=(schedule,))
    await Notifier(opened, lambda: config, keep, clock).tell_now()
    ((told,),) = [message.batches for message in texts]
    assert (told.batch.id, told.firing) == (fired.batch, fired)
    assert told.batch.counts == {JobOutcome.COMPLETED: 1, JobOutcome.FAILED: 1}
    assert texts[0].zones == {"nightly": "Asia/Tokyo"}


async def test_who_heard_of_a_miss_hears_once_that_it_fired_after_all(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops", "dba"])
    due_at = clock.at + 60 * SECOND
    only_missed = ops(on=(EventKind.MISSED,))
    only_failed = ops(name="dba", on=(EventKind.FAILED,))
    telling = made(opened, clock, only_missed, only_failed)
    clock.at += 3 * 3600 * SECOND
    await opened.record_firings([firing(due_at, clock.at)])
    assert await collected(opened, telling) == [(EventKind.MISSED, "")]
    clock.at = due_at
    fired = Firing(schedule="nightly", due_at=due_at, status=FiringStatus.FIRED, recorded_at=due_at)
    assert await opened.fire(fired, [new_job("a", Operation.VACUUM)], NewBatch(schedule="nightly")) is not None
    for _ in range(3):
        assert await collected(opened, telling) == [(EventKind.MISSED, ""), (EventKind.RECOVERED, "")]
    assert await collected(opened, telling, "dba") == []


async def test_a_night_that_plainly_fired_is_no_event(opened: SqliteStore, clock: StoppedClock) -> None:
    await opened.register_recipients(["ops"])
    fired = Firing(schedule="nightly", due_at=clock.at, status=FiringStatus.FIRED, recorded_at=clock.at)
    await opened.fire(fired, [new_job("a", Operation.VACUUM)], NewBatch(schedule="nightly"))
    assert await collected(opened, made(opened, clock, ops())) == []


async def test_a_target_that_was_left_out_three_nights_in_a_row_is_urgent_whatever_else_ran_between(
    opened: SqliteStore, clock: StoppedClock
) -> None:
    telling = made(opened, clock, ops(on=(EventKind.NOT_BEGUN,)))
    await telling.collect()
    await left_out(opened, "sales", "nightly", COMPLETED)
    counted = []
    for _ in range(3):
        for _ in range(24):
            await left_out(opened, "sales", "hourly", COMPLETED)
        await left_out(opened, "sales", "weekly")
        await left_out(opened, "stock", "nightly", COMPLETED)
        await left_out(opened, "sales", "nightly")
        await telling.collect()
        urgent = await opened.collected_since(only_urgent=True)
        await opened.make_message("ops")
        facts = [
            (event.schedule, event.facts["left_out_times"])
            for message in await opened.newest_messages("ops", limit=1)
            for event in message.events
        ]
        counted.append((dict(facts), bool(urgent)))
    assert counted == [
        ({"weekly": 1, "nightly": 1}, False),
        ({"weekly": 2, "nightly": 2}, False),
        ({"weekly": 3, "nightly": 3}, True),
    ]
    await left_out(opened, "sales", "nightly", COMPLETED)
    await left_out(opened, "sales", "nightly")
    await telling.collect()
    assert await opened.collected_since(only_urgent=True) == {}
