"""A session on one PostgreSQL database: inspect, plan, execute."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from engine.domain.advice import Advice, TargetHistory
from engine.domain.damage import Damage, DamagedKind, DamageSource
from engine.domain.engines import EngineName
from engine.domain.errors import ServerStartingError, TargetError
from engine.domain.humanize import about
from engine.domain.requests import Operation, Options
from engine.domain.steps import Facts, Step
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.system.background import end_task
from engine.system.clock import now
from engine.system.dsn import Address
from engine.targets.lock_impact import LockImpact
from engine.targets.needs import Need
from engine.targets.operation_specs import Autovacuum, TargetInfo, operation_infos
from engine.targets.plans import OperationPlan, PlannedStep, without_done
from engine.targets.postgres.advising.advice import advise
from engine.targets.postgres.advising.autovacuum import verdict
from engine.targets.postgres.advising.collect import (
    collect_autovacuum,
    collect_condition,
    collect_needs,
    dead_bytes,
    with_damaged_indexes,
)
from engine.targets.postgres.advising.findings import NOTHING_KNOWN, Cause, needs
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server, connect
from engine.targets.postgres.planning import costs, operation_specs, planner
from engine.targets.postgres.planning.grouping import grouped
from engine.targets.postgres.planning.needed_work import PlannedWork, plan_needed
from engine.targets.postgres.planning.rights import grant, limit_of_one, unprivileged
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading import repack_client
from engine.targets.postgres.reading.amcheck import lost_ends
from engine.targets.postgres.reading.condition import Condition
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running import orphan_cleanup, pg_repack, throttling
from engine.targets.postgres.running.connection_pool import ConnectionPool
from engine.targets.postgres.running.invalid_index_cleanup import InvalidIndexCleanup
from engine.targets.postgres.running.invalid_indexes import invalid_oids
from engine.targets.postgres.running.operation import PlanAgain, PostgresOperation
from engine.targets.postgres.running.pg_repack import PgRepack
from engine.targets.postgres.running.target_lock import TargetLock
from engine.targets.server_target import NOTHING_RUNS, ServerSession
from engine.targets.session import Recovery
from engine.targets.step_execution import StepContext

_DROPS_LEFTOVERS: Final = frozenset({Operation.CLEAN_LEFTOVERS, Operation.OPTIMIZE, Operation.REPACK})
"""The operations whose plans tell what they drop of an interrupted pg_repack."""
MEASURING: Final = 3.0
"""Seconds that a plan of OPTIMIZE takes to measure indexes, as `--needed` does before it."""
LONG_BLOCKED: Final = 10.0
"""Seconds from which on a plan says for how long a table is blocked."""


class PostgresSession(ServerSession[Connection, Server]):
    """The `Session` of a PostgreSQL database; see engine.targets.session."""

    lock_class = TargetLock
    _address: Address
    _reader: Reader
    _ahead: Sequence[asyncio.Task[tuple[Connection, Server]]] = ()
    """Connections for steps that are opened while these are planned."""
    _reading: asyncio.Task[Facts] | None = None
    """Reads the facts before the first step, however often that is planned."""

    async def _connect(self) -> tuple[Connection, Server]:
        """A connection for steps. Raises TargetError."""
        if not self._ahead:
            return await self._for_steps(*await self._opened())
        opening, *self._ahead = self._ahead
        try:
            opened = await opening
        except asyncio.CancelledError:
            await _close_opening(opening)
            raise
        return await self._for_steps(*opened)

    async def _opened(self) -> tuple[Connection, Server]:
        of_pool = self._first_server.is_pooled
        return await connect(self._address, name=self._name, lock_timeout=self._lock_timeout, of_pool=of_pool)

    def _check(self, server: Server) -> None:
        super()._check(server)
        if server.is_standby and not self._first_server.is_standby:
            why, hint = "it is a standby now, which cannot be maintained", "give the primary, or promote it"
            raise ServerStartingError(self._reader.what, why, hint, state="server is a standby now")

    async def facts(self, past: TargetHistory | None = None) -> Facts:
        return await self._reader.facts()

    async def info(self, past: TargetHistory | None = None) -> TargetInfo:
        server = self._reader.server
        missing = unprivileged(await self._reader.tables())
        remarks = [grant(missing, server.user, server.version)] if missing else []
        return TargetInfo(
            url=self._address.url,
            engine=EngineName.POSTGRESQL,
            version=server.version_text.partition(" ")[0],
            facts=await self._reader.facts(),
            operations=operation_infos(operation_specs.SPECS),
            remarks=tuple(remarks),
            read_only="it is a standby" if server.is_standby else "",
            lacks_rights=bool(missing),
        )

    async def seen_damage(self) -> tuple[Damage, ...]:
        kind, source, at = DamagedKind.TABLE, DamageSource.LOSS, now()
        return tuple(
            Damage(object=table, kind=kind, source=source, found_at=at, text=text, short_files=tuple(files))
            for table, text, files in await lost_ends(self._reader)
        )

    async def autovacuum(self) -> Autovacuum:
        return verdict(*await collect_autovacuum(self._reader))

    async def advise(
        self, past: TargetHistory, *, budget: float | None, limits: Thresholds = DEFAULT_THRESHOLDS
    ) -> tuple[tuple[Advice, ...], None]:
        condition = await collect_condition(self._reader, limits, budget=budget)
        condition = await with_damaged_indexes(self._reader, condition, past.damaged_indexes)
        found = needs(condition, past, limits)
        if found.rewrite:
            found = replace(found, can_repack=await planner.can_repack(self._reader))
        return advise(condition, found, past, limits), None  # the catalog is cheap to read

    async def require(self, operations: Sequence[Operation], options: Options) -> None:
        await self._reader.require(options)
        narrowed = options.objects or options.rebuild or options.server.schemas
        if narrowed or options.server.tablespace is not None:
            await planner.require(self._reader, operations, options)

    async def plan(
        self, operation: Operation, options: Options, past: TargetHistory | None = None
    ) -> PostgresOperation:
        if self._reading is None and self._holds_lock:
            self._reading = self._begin_reading_facts(opens_two=(options.jobs or 1) > 1)
        plan = partial(self._plan, operation, options, past or NOTHING_KNOWN)
        planned = await plan()
        await self._close_ahead(planned.parallel)
        # Before the first step: later, leftovers of concurrent steps would look the same.
        invalid = await invalid_oids(self._reader) if any(map(_rebuilds_concurrently, planned.steps)) else None
        again = plan if operation is Operation.OPTIMIZE else None
        return self.running(planned, options, invalid_before=invalid, plan_again=again, before=self._reading)

    def _begin_reading_facts(self, *, opens_two: bool) -> asyncio.Task[Facts]:
        """Read the facts before the first step while it is planned, on its connection: the sizes of many files.

        `opens_two`: afterwards another step gets its connection, too.
        """
        first = asyncio.create_task(self._opened())
        reading = asyncio.create_task(self._facts_beside(first))
        self._ahead = [first, asyncio.create_task(self._opened_after(reading))] if opens_two else [first]

        async def end() -> None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self._close_ahead(0)

        self._operations.push_async_callback(end)
        return reading

    async def _facts_beside(self, opening: asyncio.Task[tuple[Connection, Server]]) -> Facts:
        with contextlib.suppress(TargetError):
            connection, _ = await asyncio.shield(opening)
            return await self._reader.facts(connection)
        return await self._reader.facts()

    async def _opened_after(self, reading: asyncio.Task[Facts]) -> tuple[Connection, Server]:
        await asyncio.wait({reading})
        return await self._opened()

    async def _close_ahead(self, kept: int) -> None:
        """Close connections that were opened for steps, but for the first ones."""
        left, self._ahead = self._ahead[kept:], self._ahead[:kept]
        for opening in left:
            await _close_opening(opening)

    def running(
        self,
        plan: OperationPlan,
        options: Options,
        invalid_before: Collection[int] | None = None,
        plan_again: PlanAgain | None = None,
        before: Awaitable[Facts] | None = None,
    ) -> PostgresOperation:
        """What runs the steps of a plan. It is closed with the session."""
        operation = PostgresOperation(
            plan,
            options,
            self._reader,
            self._connect,
            self._lock_timeout,
            PgRepack(self._address, self._name, self._reader, self._lock_timeout),
            invalid_before=invalid_before,
            plan_again=plan_again,
            before=before,
        )
        self._operations.push_async_callback(operation.close)
        return operation

    async def _plan(
        self,
        operation: Operation,
        options: Options,
        past: TargetHistory,
        is_wanted: Callable[[PgStep], bool] = lambda _: True,
    ) -> OperationPlan:
        if problem := await throttling.options_problem(self._reader, options.server):
            return OperationPlan(operation=operation, refused=problem)
        planned = without_done(await self._planned(operation, options, past), options.done_by(operation))
        if planned.steps and (problem := limit_of_one(self._reader.server)):
            return OperationPlan(operation=operation, refused=problem)
        steps = grouped([step for step in planned.steps if isinstance(step, PgStep) and is_wanted(step)])
        steps = [replace(step, estimate=costs.seconds(step, options.server.speed)) for step in steps]
        accepted = {one.object: one.short_files for one in past.accepted_damage if one.short_files}
        steps = [replace(step, accepted_files=accepted.get(step.object, ())) for step in steps] if accepted else steps
        planned = replace(planned, steps=tuple(steps), parallel=max(min(planned.parallel, len(steps)), 1))
        if planned.lock.impact is LockImpact.EVERYONE:
            planned = replace(planned, warnings=(*planned.warnings, *await self._blocked(planned.steps)))
        if (
            planned.steps
            and operation not in _DROPS_LEFTOVERS
            and (left := await repack_client.leftovers(self._reader))
        ):
            names = [table.shown for table in await self._reader.tables_by_oid(left)]
            warnings = [repack_client.left_by_pg_repack(names)] if names else []
            planned = replace(planned, warnings=(*planned.warnings, *warnings))
        if planned.steps and (unseen := await throttling.uncounted_standbys(self._reader, options.server)):
            planned = replace(planned, warnings=(*planned.warnings, *unseen))
        return planned

    async def _blocked(self, steps: Sequence[PlannedStep]) -> tuple[str, ...]:
        """Says how long the longest step blocks its table for all sessions, and what would not block it."""
        longest = max(steps, key=lambda step: step.estimate or 0.0)
        if longest.estimate is None or longest.estimate < LONG_BLOCKED:
            return ()
        instead = "; repack does it while the table is in use" if await planner.can_repack(self._reader) else ""
        return (f"{longest.object}: no session can read or write it for {about(longest.estimate)}{instead}",)

    async def _planned(self, operation: Operation, options: Options, past: TargetHistory) -> OperationPlan:
        options = replace(options, objects=options.objects_for(operation))
        if operation is not Operation.OPTIMIZE:
            dead_by_oid = await dead_bytes(self._reader) if operation in operation_specs.REWRITES else {}
            return await planner.plan(self._reader, operation, options, past, dead_by_oid)
        limits = options.limits or DEFAULT_THRESHOLDS
        condition = await collect_needs(self._reader, limits, budget=MEASURING)
        condition = await with_damaged_indexes(self._reader, condition, past.damaged_indexes)
        if options.objects:  # these have to be looked for among all that there is
            tables = await self._reader.tables(measured=True)
            indexes = await self._reader.indexes(measured=True)
            condition = replace(condition, tables=tables, indexes=indexes)
        found = needs(condition, past, limits)
        needed = PlannedWork(
            tables=condition.tables,
            indexes=condition.indexes,
            vacuum=_reasons(found.vacuum),
            analyze={oid: _analyze_reason(need) for oid, need in found.analyze.items()},
            reindex=_reasons(found.reindex),
            expected=_expected(condition),
            tend=_reasons(found.tend),
            table_pages={one.index: one.table_pages for one in condition.upkeep},
            left_by_pg_repack=condition.left_by_pg_repack,
            drifted=found.drifts,
            turns=past.turns,
            damaged=past.damaged_tables,
            damaged_indexes=past.damaged_indexes,
        )
        return await plan_needed(self._reader, options, needed)

    async def remarks(self, plans: Sequence[OperationPlan]) -> tuple[str, ...]:
        return operation_specs.remarks([one.operation for one in plans])

    async def cleanup_orphans(self, earlier: Sequence[Step]) -> tuple[str, ...]:
        ended = await orphan_cleanup.end_orphans(self._reader, self._name)
        names, repacked = orphan_cleanup.interrupted_rebuilds(earlier), orphan_cleanup.interrupted_pg_repacks(earlier)
        if not (names or repacked):
            return tuple(ended)
        await self.lock()
        async with contextlib.AsyncExitStack() as stack:
            pool = ConnectionPool(self._connect)
            stack.push_async_callback(pool.close)
            if names:
                cleanup = InvalidIndexCleanup(self._reader, pool, self._lock_timeout)
                ended += await cleanup.drop_interrupted(names)
            for oid, name in repacked.items():
                found = await pg_repack.drop_interrupted(self._reader, pool, oid, name)
                ended += [text for text in (found.dropped, found.left) if text]
            return tuple(ended)

    async def recover(self, earlier: Sequence[Step], options: Options, context: StepContext) -> Recovery:
        rewrites = await orphan_cleanup.outcomes_of_rewrites(self._reader, earlier)
        if rewrites:
            return Recovery(unfinished="does not run any more", found="; ".join(rewrites), is_well=True)
        return NOTHING_RUNS


async def _close_opening(opening: asyncio.Task[tuple[Connection, Server]]) -> None:
    """Stop opening a connection; if it is open by then, it is closed."""
    await end_task(opening)
    if not opening.cancelled() and opening.exception() is None:
        await opening.result()[0].close()


def _rebuilds_concurrently(step: PlannedStep) -> bool:
    return isinstance(step, PgStep) and step.method is Method.REINDEX_CONCURRENTLY


def _expected(condition: Condition) -> list[int]:
    """The indexes that VACUUM will leave bloated, and that show it then: GIN does so only at the next checkpoint."""
    gin = {index.oid for index in condition.indexes if index.method == "gin"}
    return [oid for oid, bloat in condition.bloat.items() if bloat.is_expected and oid not in gin]


def _analyze_reason(need: Need) -> str:
    tells_more = need.cause in {Cause.NO_STATISTICS, Cause.LOST_COUNT}
    return f"{need.reason}. A VACUUM or REINDEX that this shows to be needed follows" if tells_more else need.reason


def _reasons(needed: Mapping[int, Need]) -> dict[int, str]:
    return {oid: need.reason for oid, need in needed.items()}
