"""A session on one PostgreSQL database: inspect, plan, execute."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.errors import ServerStartingError, TargetError, TargetRefusedError
from engine.domain.humanize import span
from engine.domain.requests import SERVER_WAIT, EngineName, Operation, Options, ServerOptions
from engine.domain.steps import Facts, Step
from engine.targets.operation_specs import operation_infos
from engine.targets.plans import OperationPlan
from engine.targets.postgres.advising.advice import advise
from engine.targets.postgres.advising.collect import collect_condition, collect_needs, with_damaged_indexes
from engine.targets.postgres.advising.findings import NOTHING_KNOWN, Need, needs
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server, connect
from engine.targets.postgres.connection.dsn import Address
from engine.targets.postgres.planning import operation_specs, planner
from engine.targets.postgres.planning.scope import grant, unprivileged
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading import locks, snapshots
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running import orphan_cleanup, throttling
from engine.targets.postgres.running.checking import Checks
from engine.targets.postgres.running.command_runner import CommandRunner
from engine.targets.postgres.running.connection_pool import ConnectionPool
from engine.targets.postgres.running.invalid_index_cleanup import InvalidIndexCleanup
from engine.targets.postgres.running.result_collector import ResultCollector
from engine.targets.postgres.running.size_tracker import SizeTracker
from engine.targets.postgres.running.step_runner import StepRunner
from engine.targets.postgres.running.wait_limits import SNAPSHOT_WAIT
from engine.targets.protocol import Recovery
from engine.targets.step_execution import StepContext, StepResult
from engine.targets.target_info import TargetInfo

if TYPE_CHECKING:
    from engine.domain.advice import Advice, TargetHistory
    from engine.targets.plans import PlannedStep
    from engine.targets.postgres.reading.condition import Condition


class PostgresSession:
    """The `Session` of a PostgreSQL database; see engine.targets.protocol."""

    def __init__(self, address: Address, reader: Reader, name: str, lock_timeout: float) -> None:
        """`name`: the application_name of its connections."""
        self._address = address
        self._reader = reader
        self._name = name
        self._lock_timeout = lock_timeout
        self._first_server = reader.server
        self._pool = ConnectionPool(self._connect, lambda: server_wait_of(self._commands.options))
        self._sizes = SizeTracker(reader)
        self._cleanup = InvalidIndexCleanup(reader, self._pool, lock_timeout)
        self._commands = CommandRunner(reader, self._pool, self._sizes, self._cleanup, lock_timeout)
        results = ResultCollector(reader, self._commands, self._sizes, self._cleanup, lock_timeout)
        self._steps = StepRunner(reader, self._pool, self._commands, results, self._cleanup, lock_timeout)
        self._condition: asyncio.Task[Condition] | None = None
        """Reads what `optimize` needs, while the facts are read."""
        self._rewrites: list[str] = []
        """What became of the rewrites of a process that died, one sentence each."""
        self.measured = None  # advice needs only the catalog, which is cheap to read
        self._is_planned = self._rebuilds_concurrently = self._has_limit = False
        self._planned_tables: set[int] = set()
        self._leave_out: frozenset[str] = frozenset()

    async def close(self) -> None:
        await self._commands.close()
        await self._sizes.end()
        if self._condition is not None:
            self._condition.cancel()
            await asyncio.gather(self._condition, return_exceptions=True)
        await self._pool.close()

    async def _connect(self) -> tuple[Connection, Server]:
        """A connection for steps. Raises TargetError also if another server answers now."""
        opened, server = await connect(
            self._address, name=self._name, lock_timeout=self._lock_timeout, of_pool=self._first_server.is_pooled
        )
        problem: TargetError | None = None
        if server.key != self._first_server.key:
            why = "another server or database answers at this address now"
            problem = TargetRefusedError(self._address.url, why, "the operation stops here; check the address")
        elif server.is_standby and not self._first_server.is_standby:
            why, hint = "it is a standby now, which cannot be maintained", "give the primary, or promote it"
            problem = ServerStartingError(self._address.url, why, hint, state="server is a standby now")
        if problem is not None:
            await opened.close()
            raise problem
        return opened, server

    async def facts(self, operation: Operation | None = None, cancel: asyncio.Event | None = None) -> Facts:
        if operation is Operation.OPTIMIZE and not self._is_planned:
            return await self._facts_beside_condition()
        did = self._steps.totals.facts()
        try:
            return {**await self._reader.facts(), **did}
        except TargetError:
            if not did:
                raise
            return did  # that is known, whatever has become of the server

    async def _facts_beside_condition(self) -> Facts:
        """Read the facts and, beside them, what the plan that follows needs: both take long."""
        self._condition = self._condition or asyncio.create_task(collect_needs(self._reader))
        async with self._pool.connection() as pooled:
            return await self._reader.on(pooled.connection, pooled.server).facts()

    async def info(self) -> TargetInfo:
        server = self._reader.server
        missing = unprivileged(await self._reader.tables())
        remarks = ["it is a standby: it can be inspected, not maintained"] if server.is_standby else []
        remarks += [grant(missing, server.user, server.version)] if missing else []
        return TargetInfo(
            url=self._address.url,
            engine=EngineName.POSTGRESQL,
            version=server.version_text.partition(" ")[0],
            facts=await self._reader.facts(),
            operations=operation_infos(operation_specs.SPECS),
            remarks=tuple(remarks),
        )

    async def advise(self, past: TargetHistory, *, budget: float | None) -> tuple[Advice, ...]:
        condition = await collect_condition(self._reader, thorough=budget is None)
        return advise(condition, needs(condition, past), past)

    async def require(self, operations: Sequence[Operation], options: Options) -> None:
        """Raise UsageError for an object or schema that the database does not have, or to which nothing can be done."""
        await self._reader.require(options.objects, options.server.schemas)
        if options.objects or options.rebuild:
            await planner.require(self._reader, operations, options)

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> OperationPlan:
        self._is_planned = True
        self._commands.options = options.server
        self._leave_out = frozenset(options.leave_out)
        self._has_limit = options.time_limit is not None or options.until is not None
        if problem := await throttling.options_problem(self._reader, options.server):
            return OperationPlan(operation=operation, refused=problem)
        planned = await self._planned(operation, options, past or NOTHING_KNOWN)
        if planned.steps and (unseen := await throttling.uncounted_standbys(self._reader, options.server)):
            planned = replace(planned, warnings=(*planned.warnings, *unseen))
        self._planned_tables = {
            step.subject.lockable for step in planned.steps if isinstance(step, PgStep) and step.subject is not None
        }
        self._rebuilds_concurrently = any(
            isinstance(step, PgStep) and step.method is Method.REINDEX_CONCURRENTLY for step in planned.steps
        )
        if self._rebuilds_concurrently:
            # Before the first step: later, leftovers of concurrent steps would look the same.
            await self._cleanup.remember(refresh=True)
        self._steps.totals.left_out = planned.left_out
        if operation is Operation.CHECK:
            self._steps.totals.checks = self._commands.checks = Checks(options.check_level, len(planned.steps))
        self._sizes.expect([step for step in planned.steps if isinstance(step, PgStep)])
        return planned

    async def _planned(self, operation: Operation, options: Options, past: TargetHistory) -> OperationPlan:
        options = replace(options, objects=options.objects_for(operation))
        if operation is not Operation.OPTIMIZE:
            return await planner.plan(self._reader, operation, options, past)
        task, self._condition = self._condition, None
        condition = await (task or collect_needs(self._reader))
        condition = await with_damaged_indexes(self._reader, condition, past.damaged_indexes)
        if options.objects:  # these have to be looked for among all that there is
            tables = await self._reader.tables(measured=True)
            indexes = await self._reader.indexes(measured=True)
            condition = replace(condition, tables=tables, indexes=indexes)
        found = needs(condition, past)
        needed = planner.PlannedWork(
            tables=condition.tables,
            indexes=condition.indexes,
            vacuum=_reasons(found.vacuum),
            analyze=_reasons(found.analyze),
            reindex=_reasons(found.reindex),
            drifted=found.drifts,
            damaged=past.damaged_tables,
        )
        return await planner.plan_needed(self._reader, options, needed)

    async def remarks(self, operations: Sequence[Operation], past: TargetHistory | None = None) -> tuple[str, ...]:
        return operation_specs.remarks(operations, past.damaged_tables if past is not None else ())

    async def damage_warnings(self, operations: Sequence[Operation], past: TargetHistory) -> tuple[str, ...]:
        left = [name for name in past.damaged_tables if name not in self._leave_out]
        return operation_specs.damage_warnings(operations, left)

    async def find_blockers(self, operation: Operation) -> str:
        if not self._planned_tables:
            return ""
        blocking = await locks.holders(
            self._reader, operation_specs.conflict_level(operation, self._commands.options), self._planned_tables
        )
        if not blocking and self._rebuilds_concurrently:
            blocking = await snapshots.oldest_snapshot(self._reader, self._lock_timeout, self._snapshot_limit())
        return f"it would have to wait: {blocking}" if blocking else ""

    def _snapshot_limit(self) -> str:
        limit = self._commands.options.snapshot_wait
        if limit is not None:
            return f"up to {span(limit)}"
        return "until the time limit" if self._has_limit else f"up to {span(SNAPSHOT_WAIT)} (--snapshot-wait)"

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, PgStep), "a step of another engine"  # noqa: S101 - a bug
        return await self._steps.run(step, context)

    async def retry_cleanup(self, cancel: asyncio.Event) -> Collection[str]:
        return await self._cleanup.retry_drops(cancel)

    async def cleanup_orphans(self, earlier: Sequence[Step]) -> tuple[str, ...]:
        ended = await orphan_cleanup.end_orphans(self._reader, self._name)
        self._rewrites = await orphan_cleanup.outcomes_of_rewrites(self._reader, earlier)
        names = orphan_cleanup.interrupted_rebuilds(earlier)
        return *ended, *(await self._cleanup.drop_interrupted(names) if names else ())

    async def recover(self, options: Options, context: StepContext) -> Recovery:
        if self._rewrites:
            return Recovery(unfinished="does not run any more", found="; ".join(self._rewrites), is_well=True)
        unfinished = "was completed or ended on the server"
        return Recovery(unfinished=unfinished, found="nothing of it runs any more", is_well=True)


def server_wait_of(options: ServerOptions) -> float:
    return SERVER_WAIT if options.server_wait is None else options.server_wait


def _reasons(needed: Mapping[int, Need]) -> dict[int, str]:
    return {oid: need.reason for oid, need in needed.items()}
