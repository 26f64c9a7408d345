"""People are told once, whichever host of a shared store does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import replace

import pytest

from engine.config.model import Config
from engine.domain.claims import Report
from engine.domain.notifications import Message, MessageStatus, MessageText, Method, Recipient
from engine.domain.requests import OnDuplicate, Operation
from engine.notify import notifier
from engine.notify.notifier import Notifier, is_telling, notifying
from engine.store.protocol import Store
from tests.building import FAILED, StoppedClock, new_job
from tests.conformance.stores import SharedStores
from tests.postgres_server import PostgresServer
from tests.receivers import WebServer, web_server
from tests.shared_stores import copied_store
from tests.waiting import eventually

LONG_AGO = 1
DAY = 86_400.0


def compose(message: Message) -> MessageText:
    return MessageText("subject", "text", {"targets": [event.target for event in message.events]})


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[SharedStores]:
    with copied_store(postgres) as url, closing(SharedStores(url)) as stores:
        yield stores


@pytest.fixture
async def hosts(
    shared: SharedStores, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Store, Store]]:
    monkeypatch.setattr(notifier, "PAUSE", 0.01)
    monkeypatch.setattr(notifier, "LOOK_EVERY", 0.1)
    async with shared.open(host="db1", clock=clock) as first, shared.open(host="db2", clock=clock) as second:
        yield first, second


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def telling(store: Store, clock: StoppedClock, *recipients: Recipient) -> Notifier:
    config = Config(notify=recipients, changed_at=LONG_AGO)
    return Notifier(store, lambda: config, compose, clock)


def ops(web: WebServer, name: str = "ops") -> Recipient:
    return Recipient(name=name, method=Method.WEBHOOK, webhook=web.url, timeout=20.0, settle=0.0)


async def fail(store: Store, name: str) -> None:
    (job,) = await store.submit([new_job(name, Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("me", [job])
    assert claim is not None
    await store.finish(claim, FAILED, Report())


async def test_one_host_tells_and_another_takes_over(
    hosts: tuple[Store, Store], clock: StoppedClock, web: WebServer
) -> None:
    first, second = hosts
    async with AsyncExitStack() as leading, notifying(telling(second, clock)):  # which has no recipients
        await leading.enter_async_context(notifying(telling(first, clock, ops(web))))

        async def is_led() -> bool:
            return await is_telling(second, ["ops"])

        async def is_delivered() -> bool:
            return not await second.waiting_messages()

        await eventually(is_led)
        async with notifying(telling(second, clock, ops(web))):
            await fail(second, "sales")
            assert "sales" in (await asyncio.to_thread(web.taken)).body.decode()
            await eventually(is_delivered)  # else it is delivered again, with the same key
            await leading.aclose()
            await fail(second, "stock")
            assert "stock" in (await asyncio.to_thread(web.taken)).body.decode()
        assert web.none_waits()


async def test_a_job_of_a_host_without_a_worker_holds_no_message_back(
    hosts: tuple[Store, Store], clock: StoppedClock, web: WebServer
) -> None:
    first, second = hosts
    async with notifying(telling(first, clock, replace(ops(web), latest=DAY))):
        await second.submit([new_job("stock")], OnDuplicate.REFUSE)
        await fail(first, "sales")
        assert "sales" in (await asyncio.to_thread(web.taken)).body.decode()


async def test_recipients_of_the_config_file_of_another_host_are_not_forgotten(
    hosts: tuple[Store, Store], clock: StoppedClock, web: WebServer
) -> None:
    first, second = hosts
    await second.register_recipients(["dba"], since=LONG_AGO)
    async with notifying(telling(first, clock, ops(web))):
        await fail(first, "sales")
        assert "sales" in (await asyncio.to_thread(web.taken)).body.decode()
    assert set(await second.seen_by_recipients()) == {"ops", "dba"}


@pytest.fixture
def web_of_db2() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


async def test_hosts_with_different_recipients_tell_each_of_them_once(
    hosts: tuple[Store, Store], clock: StoppedClock, web: WebServer, web_of_db2: WebServer
) -> None:
    first, second = hosts
    async with (
        notifying(telling(first, clock, ops(web, "ops"), ops(web_of_db2, "both"))),
        notifying(telling(second, clock, ops(web_of_db2, "dba"), ops(web_of_db2, "both"))),
    ):
        await eventually(lambda: is_telling(first, ["ops", "dba", "both"]))
        assert not await is_telling(first, ["nobody", "ops"])
        await fail(second, "sales")
        assert "sales" in (await asyncio.to_thread(web.taken)).body.decode()
        for _ in ("dba", "both"):
            assert "sales" in (await asyncio.to_thread(web_of_db2.taken)).body.decode()

        async def is_delivered() -> bool:
            return not await second.waiting_messages()

        await eventually(is_delivered)
    assert web.none_waits()
    assert web_of_db2.none_waits()
    for name in ("ops", "dba", "both"):
        (message,) = await first.newest_messages(name, limit=5)
        assert (message.status, message.attempts) == (MessageStatus.SENT, 1)


async def test_a_recipient_that_one_host_no_longer_has_is_told_by_another_that_has_it(
    hosts: tuple[Store, Store], clock: StoppedClock, web: WebServer, web_of_db2: WebServer
) -> None:
    first, second = hosts
    kept = ops(web, "kept")
    config = [Config(notify=(kept, replace(ops(web), latest=DAY, settle=DAY)), changed_at=LONG_AGO)]
    async with notifying(Notifier(first, lambda: config[0], compose, clock)):
        await eventually(lambda: is_telling(first, ["ops", "kept"]))
        await fail(first, "sales")
        assert "sales" in (await asyncio.to_thread(web.taken)).body.decode()

        async def is_collected() -> bool:
            return "ops" in await first.collected_since()

        await eventually(is_collected)
        config[0] = Config(notify=(kept,), changed_at=LONG_AGO + 1)
        async with notifying(telling(second, clock, ops(web_of_db2))):
            assert "sales" in (await asyncio.to_thread(web_of_db2.taken)).body.decode()
            await eventually(lambda: is_telling(first, ["kept"]))
    assert web.none_waits()
    assert web_of_db2.none_waits()


async def test_a_delivery_ends_before_a_host_gives_up_the_recipients_that_it_no_longer_has(
    hosts: tuple[Store, Store], clock: StoppedClock, web: WebServer
) -> None:
    first, _ = hosts
    kept = ops(web, "kept")
    gone = Recipient(name="gone", method=Method.WEBHOOK, webhook=web.url, on=())
    config = [Config(notify=(kept, gone), changed_at=LONG_AGO)]
    read = []

    def configured() -> Config:
        read.append(config[0])
        return config[0]

    web.hold.clear()
    async with notifying(Notifier(first, configured, compose, clock)):
        await eventually(lambda: is_telling(first, ["kept", "gone"]))
        await fail(first, "sales")
        await asyncio.to_thread(web.taken)
        config[0] = Config(notify=(kept,), changed_at=LONG_AGO + 1)

        async def is_read() -> bool:
            return config[0] in read

        async def is_sent() -> bool:
            (message,) = await first.newest_messages("kept", limit=5)
            return message.status is MessageStatus.SENT

        await eventually(is_read)
        web.hold.set()
        await eventually(is_sent)
    assert web.none_waits()
