"""The hosts that share the store: whose workers take no more jobs; see `Hosts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from engine.domain.errors import StoreError
from engine.domain.events import Pause
from engine.domain.steps import Micros
from engine.domain.value_types import ANY_HOST
from engine.store.postgres import queries
from engine.store.postgres.store_base import StoreBase
from engine.system.background import pause_loop

if TYPE_CHECKING:
    from engine.store import protocol

_LOOK_EVERY: Final = 2.0
"""Seconds between two looks whether this host is drained."""


class Hosts(StoreBase):
    """The hosts that share the store; see `protocol.Hosts`."""

    @property
    def hosts(self) -> protocol.Hosts:
        return self

    @property
    def host(self) -> str:
        return self._targets_here.host

    async def drain_host(self, host: str, by: str) -> None:
        await self._pool.call("drain_host", host, by, self._at())

    async def undrain_host(self, host: str) -> bool:
        return bool(await self._pool.call("undrain_host", host))

    async def drained_hosts(self) -> Mapping[str, Pause]:
        return {host: Pause(at=at, by=by) for host, at, by in await self._pool.rows(queries.DRAINED)}

    async def key_of(self, target: str) -> str:
        rows = await self._pool.rows(queries.KEY_OF, {"target": self._stored(target)})
        return str(rows[0][0]) if rows else target

    def files_of(self, host: str) -> str:
        return self._targets_here.files_of(host)

    async def surveyed(self, beginning: str, since: Micros) -> Sequence[str]:
        rows = await self._pool.rows(queries.SURVEYED, {"beginning": beginning, "since": since})
        return [self._targets_here.here(target) for (target,) in rows]

    async def unserved(self) -> Mapping[str, Sequence[int]]:
        asked = {"ours": [ANY_HOST, self._targets_here.queue]}
        return dict(await self._pool.rows(queries.UNSERVED, asked))

    async def asked_to_leave(self) -> None:
        while True:
            with suppress(StoreError):
                if self.host in await self.drained_hosts():
                    return
            await pause_loop(_LOOK_EVERY)
