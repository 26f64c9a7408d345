"""What is said while a write waits for the store."""

from __future__ import annotations

import asyncio

import pytest

from engine.domain.errors import DbtendError
from tui.console import context as context_module
from tui.console.context import StoreWrites
from tui.console.views.line import Role


class LockedStore:
    """Takes until `told` to find out who keeps the store locked."""

    def __init__(self) -> None:
        self.asked, self.told = asyncio.Event(), asyncio.Event()

    async def store_locked_by(self) -> str:
        self.asked.set()
        await self.told.wait()
        return "process 7"


async def test_a_message_that_comes_while_the_holder_of_the_lock_is_looked_up_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context_module, "MESSAGE_EVERY", 0.001)
    store, said, stored = LockedStore(), list[Role](), asyncio.Event()

    def say(sentence: str, role: Role = Role.TEXT) -> None:
        said.append(role)

    def failed(error: DbtendError) -> None:
        raise error

    async def write() -> None:
        await stored.wait()

    async def store_it() -> None:
        stored.set()

    writes = StoreWrites(store, say, lambda sentence: None, failed)  # type: ignore[arg-type]
    first = asyncio.create_task(writes.write(write))
    await store.asked.wait()
    await writes.write(store_it)  # refused: the first is not done
    assert not stored.is_set()
    monkeypatch.setattr(context_module, "MESSAGE_EVERY", 3600)
    store.told.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert said == [Role.WARNING]
    stored.set()
    await first
