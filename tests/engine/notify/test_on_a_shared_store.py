"""People are told once, whichever host of a shared store does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing

import pytest

from engine.config.model import Config
from engine.domain.claims import Report
from engine.domain.notifications import Message, MessageText, Method, Recipient
from engine.domain.requests import OnDuplicate, Operation
from engine.notify import notifier
from engine.notify.notifier import Notifier, notifying
from engine.store.protocol import Store
from tests.building import FAILED, StoppedClock, new_job
from tests.conformance.stores import SharedStores, until
from tests.postgres_server import PostgresServer
from tests.receivers import WebServer, web_server
from tests.shared_stores import copied_store

LONG_AGO = 1


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
            return await second.role_is_held(notifier.ROLE)

        async def is_delivered() -> bool:
            return not await second.waiting_messages()

        await until(is_led)
        async with notifying(telling(second, clock, ops(web))):
            await fail(second, "sales")
            assert "sales" in (await asyncio.to_thread(web.taken)).body.decode()
            await until(is_delivered)  # else it is delivered again, with the same key
            await leading.aclose()
            await fail(second, "stock")
            assert "stock" in (await asyncio.to_thread(web.taken)).body.decode()
        assert web.none_waits()


async def test_recipients_of_the_config_file_of_another_host_are_not_forgotten(
    hosts: tuple[Store, Store], clock: StoppedClock, web: WebServer
) -> None:
    first, second = hosts
    await second.register_recipients(["dba"], since=LONG_AGO)
    async with notifying(telling(first, clock, ops(web))):
        await fail(first, "sales")
        assert "sales" in (await asyncio.to_thread(web.taken)).body.decode()
    assert set(await second.seen_by_recipients()) == {"ops", "dba"}
