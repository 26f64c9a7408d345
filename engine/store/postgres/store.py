"""The shared store: a PostgreSQL database that any number of hosts and people use."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from engine.domain.errors import StoreError
from engine.domain.events import Pause
from engine.domain.overview import Overview
from engine.domain.steps import Micros
from engine.domain.value_types import ANY_HOST
from engine.store.damage_rows import COLUMNS as DAMAGED
from engine.store.damage_rows import damaged_targets
from engine.store.overview_rows import decode_last_run, decode_open_jobs, decode_schedule_counts
from engine.store.postgres import leadership, queries
from engine.store.postgres.change_watch import ChangeWatch
from engine.store.postgres.connections import Pool, connected
from engine.store.postgres.job_writes import JobWrites
from engine.store.postgres.notifications import Notifications
from engine.store.postgres.ownership import Ownership
from engine.store.postgres.planned_work import PlannedWork
from engine.store.postgres.queries import has_namesake
from engine.store.postgres.refusals import namesake_error
from engine.store.postgres.roles import Role
from engine.store.postgres.schema import require_current, require_usable
from engine.store.postgres.store_base import StoreBase
from engine.store.row_checks import UnsoundRowError
from engine.store.survey_rows import COLUMNS as SURVEY
from engine.store.survey_rows import decoded_surveys
from engine.system.background import end_task, pause_loop
from engine.system.clock import SteadyClock, now
from engine.system.host import host_name, machine_id

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


AT_ONCE: Final = 6
"""Connections that a console opens first: it reads jobs, workers and targets, and supervises, at the same time."""
_LAST_RUNS: Final = "SELECT target, operation, status, reason, started_at, finished_at, completed_at FROM last_run"
_IDENTITY: Final = """SELECT concat_ws(':', (SELECT system_identifier FROM pg_control_system()), oid)
FROM pg_database WHERE datname = current_database()"""
_OPEN_JOBS: Final = "SELECT status, count(*) FROM parent_job WHERE finished_at IS NULL GROUP BY status"
_SCHEDULES: Final = """SELECT schedule, count(*) FILTER (WHERE status = 'fired'),
    count(*) FILTER (WHERE status = 'missed'), count(*) FILTER (WHERE status = 'skipped'),
    max(due_at) FILTER (WHERE status = 'fired'), max(due_at) FILTER (WHERE status = 'missed')
FROM firing GROUP BY schedule"""
_DAMAGE: Final = f"SELECT {', '.join(DAMAGED)} FROM damage ORDER BY target, found_at, object"
_SURVEYS: Final = f"SELECT {', '.join(SURVEY)} FROM survey ORDER BY target"


class PostgresStore(Ownership, JobWrites, PlannedWork, Notifications, Hosts):
    """A `Store` in a PostgreSQL database. Open it with `async with PostgresStore.open(url) as store`."""

    is_there: Final = True
    _admission: Admission | None = None
    """None: it was waited for."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        what: str,
        who: str = "",
        host: str | None = None,
        machine: str | None = None,
        queues: Sequence[str] = (ANY_HOST,),
        size: int = 4,
        read_only: bool = False,
        early: bool = False,
        clock: Callable[[], Micros] | None = None,
        host_clock: SteadyClock = now,
    ) -> AsyncIterator[Self]:
        """Open the store. Raises StoreError if there is none of this version, or it cannot be reached.

        Args:
            what: the name of the store in errors, without a password.
            who: who uses it, as the history shows it.
            host: the name of this host; None: see `host_name`.
            machine: what tells it from others of that name; None: see `machine_id`.
            queues: those that workers of this process serve, beside that of its host.
            size: connections at most, beside the one that listens.
            read_only: every writing method raises ReadOnlyError.
            early: do not wait for the server: `admitted` and writes do; a read waits until the store is known.
            clock: for tests; None: the server's.
            host_clock: the clock of this host; it follows the server's.
        """
        async with AsyncExitStack() as stack:
            at_once = AT_ONCE if early else 1
            pool = Pool(url, what, program="dbtend", size=max(size, at_once), at_once=at_once, read_only=read_only)
            watch = ChangeWatch(url, what, pool.acknowledged, host_clock)
            stack.push_async_callback(watch.close)
            here = (host or host_name(), machine_id() if machine is None else machine)
            admission = Admission(url, what, watch, here, read_only=read_only)
            stack.push_async_callback(admission.close)
            await pool.open()  # meanwhile
            stack.push_async_callback(pool.close)
            rights = frozenset(Role) if early else await admission.rights()
            store = cls(url, what, pool, watch, clock, who, *here, queues, rights)
            if early:
                pool.admission = store._admission = admission
            yield store

    @property
    def is_admitted(self) -> bool:
        return self._admission is None or self._admission.is_over

    async def admitted(self) -> None:
        if self._admission is not None:
            self._rights = await self._admission.rights()

    @property
    def may_submit(self) -> bool:
        return Role.OPERATOR in self._rights

    @property
    def may_run(self) -> bool:
        return Role.WORKER in self._rights

    @property
    def lost(self) -> StoreError | None:
        """Why nothing can be read or written now; it passes, unless what was stored is lost."""
        return self._pool.acknowledged.lost or self._watch.unreachable

    async def reach_changed(self) -> None:
        await self._watch.reach_changed()

    async def locked_by(self) -> str:
        return ""

    async def fingerprint(self) -> str:
        ((identity,),) = await self._pool.rows(_IDENTITY)
        return hashlib.sha256(str(identity).encode()).hexdigest()[:8]

    def holding_role(self, role: str) -> AbstractAsyncContextManager[bool]:
        return leadership.holding_role(self._url, self._what, role)

    async def role_is_held(self, role: str) -> bool:
        ((is_held,),) = await self._pool.rows(leadership.IS_HELD, (leadership.unsigned(role),))
        return bool(is_held)

    async def overview(self) -> Overview:
        runs = []
        for row in self._here(await self._pool.rows(_LAST_RUNS)):
            with suppress(UnsoundRowError):  # the others still count
                runs.append(decode_last_run(row))
        alive = [process for process in await self.workers() if process.alive]
        return Overview(
            at=await self._now(),
            surveys=tuple(decoded_surveys(self._here(await self._pool.rows(_SURVEYS))).values()),
            damaged=damaged_targets(self._here(await self._pool.rows(_DAMAGE))),
            runs=tuple(runs),
            open_jobs=decode_open_jobs(await self._pool.rows(_OPEN_JOBS)),
            schedules=tuple(map(decode_schedule_counts, await self._pool.rows(_SCHEDULES))),
            recipients=tuple(await self.recipient_states(list(await self.seen_by_recipients()))),
            workers=len(alive),
            stalled=sum(process.stalled for process in alive),
            is_paused=await self.paused() is not None,
        )


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
