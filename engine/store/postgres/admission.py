"""Whether a user is let into a shared store; a console shows its jobs before all of that is known."""

from __future__ import annotations

import asyncio

from engine.store.postgres.change_watch import ChangeWatch
from engine.store.postgres.connections import connected
from engine.store.postgres.namesakes import has_namesake
from engine.store.postgres.refusals import namesake_error
from engine.store.postgres.roles import Role
from engine.store.postgres.schema import require_current, require_usable
from engine.system.background import end_task


class Admission:
    """Finds out, beginning now, what this user may do in the store; `close` it."""

    def __init__(self, url: str, what: str, watch: ChangeWatch, here: tuple[str, str], *, read_only: bool) -> None:
        """`watch`: is opened at the same time. `here`: host and machine."""
        self._is_known = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self._admit(url, what, watch, here, read_only=read_only))

    async def close(self) -> None:
        await end_task(self._task)

    @property
    def is_over(self) -> bool:
        return self._task.done()

    async def known(self) -> None:
        """Wait until it is known that there is a store of this version: then a read from it is valid. Raises
        StoreError."""
        if not self._task.done():
            await asyncio.wait({self._is_known, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()

    async def rights(self) -> frozenset[Role]:
        """What this user may do, once it is known that a store works on that server, and changes are followed. Raises
        StoreError."""
        return await asyncio.shield(self._task)

    async def _admit(
        self, url: str, what: str, watch: ChangeWatch, here: tuple[str, str], *, read_only: bool
    ) -> frozenset[Role]:
        following = asyncio.ensure_future(watch.open())
        try:
            async with connected(url, what, "dbtend") as connection:
                rights, (((has_one,),),) = await require_current(connection, what, has_namesake(*here))
                if has_one:
                    raise namesake_error(here[0])
                self._is_known.set_result(None)
                await require_usable(connection, what)
            await following
        except BaseException:
            await end_task(following)
            raise
        return frozenset({Role.VIEWER}) if read_only else rights
