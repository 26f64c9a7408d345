"""A planned operation on a PostgreSQL database, and what runs its steps."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Final

from engine.domain.errors import TargetError
from engine.domain.humanize import listed, span
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.domain.steps import Facts
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.planning import operation_specs
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading import locks
from engine.targets.postgres.reading.counters import wait_until_counted
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.shapes import LEAST_PAGES
from engine.targets.postgres.running import throttling
from engine.targets.postgres.running.checking import Checks
from engine.targets.postgres.running.command_runner import CommandRun, CommandRunner, OperationParts
from engine.targets.postgres.running.connection_pool import ConnectionPool, PooledConnection
from engine.targets.postgres.running.effects import Totals
from engine.targets.postgres.running.invalid_index_cleanup import InvalidIndexCleanup
from engine.targets.postgres.running.invalid_indexes import NoLeftoverError, invalid_oids
from engine.targets.postgres.running.pg_repack import PgRepack, drop_interrupted
from engine.targets.postgres.running.result_collector import ResultCollector
from engine.targets.postgres.running.size_tracker import SizeTracker
from engine.targets.postgres.running.wait_limits import SNAPSHOT_WAIT
from engine.targets.server_operation import ServerOperation
from engine.targets.step_execution import StepContext, StepResult, facts_with

PlanAgain = Callable[[Callable[[PgStep], bool]], Awaitable[OperationPlan]]
"""Plans an operation with those of its steps for which the argument is true."""
CRASH_TOLD_WITHIN: Final = 10.0
"""Seconds within which the server tells its sessions of a crash."""
_ALONE: Final = frozenset({Operation.CHECK, Operation.ANALYZE})
"""No other process of the server helps with these: if one crashed, they did not cause it."""
MOMENT: Final = 1.0
"""Seconds for which a transaction may hold a lock before a plan warns of it."""


class PostgresOperation(ServerOperation[PgStep, CommandRun, PooledConnection]):
    """The `PlannedOperation` of a PostgreSQL database; see engine.targets.session."""

    specs = operation_specs.SPECS
    _pool: ConnectionPool

    def __init__(
        self,
        plan: OperationPlan,
        options: Options,
        reader: Reader,
        connect: Callable[[], Awaitable[tuple[Connection, Server]]],
        lock_timeout: float,
        pg_repack: PgRepack,
        *,
        invalid_before: Collection[int] | None,
        plan_again: PlanAgain | None,
        before: Awaitable[Facts] | None,
    ) -> None:
        """
        Args:
            connect: opens a connection for steps.
            invalid_before: where the plan rebuilds indexes concurrently, the oids of those that are invalid already;
                else None.
            plan_again: plans the operation once more, where its own steps may show that more is needed.
            before: the facts before its first step, if they are being read.
        """
        pool = ConnectionPool(connect, options.server.longest_wait, reader.release)
        super().__init__(plan, options, pool, lambda: throttling.throttled_by(reader, options.server))
        self._plan_again = plan_again
        self._before = before
        self._reader = reader
        self._lock_timeout = lock_timeout
        self._rebuilds_concurrently = invalid_before is not None
        self._steps = [step for step in plan.steps if isinstance(step, PgStep)]
        is_check = plan.operation is Operation.CHECK
        checks = Checks(options.check_level, len(plan.steps)) if is_check else None
        self._sizes = SizeTracker(reader, self._steps)
        self._cleanup = InvalidIndexCleanup(reader, pool, lock_timeout, invalid_before or ())
        parts = OperationParts(
            reader=reader,
            pool=pool,
            sizes=self._sizes,
            cleanup=self._cleanup,
            pg_repack=pg_repack,
            lock_timeout=lock_timeout,
            options=options.server,
            checks=checks,
        )
        self._commands = CommandRunner(parts)
        self._results = ResultCollector(parts, self._commands)
        self._totals = Totals(checks, plan.left_out)
        self._rebuilt: set[str] = set()
        """Names of the indexes whose rebuild completed."""
        self._begun: defaultdict[Operation | None, set[str]] = defaultdict(set)
        """The objects of the steps so far, by kind."""
        self._renewed: set[int] = set()
        """Oids of the tables that VACUUM or ANALYZE has processed since the last plan."""
        self._counted: defaultdict[Operation | None, set[str]] = defaultdict(set)
        """The objects of the completed steps, by kind: one that is analyzed in stages counts once."""
        self._vacuumed: set[int] = set()
        """Oids of the tables that VACUUM has done."""
        self._looking = asyncio.Lock()
        self._is_needed: dict[str, bool] = {}
        """Whether an index whose rebuild was expected is bloated after VACUUM, by its name."""

    async def close(self) -> None:
        await self._commands.close()
        await self._sizes.end()
        await self._pool.close()

    async def facts(self, cancel: asyncio.Event | None = None) -> Facts:
        reading, self._before = self._before or self._reader.facts(), None
        return await facts_with(reading, self._totals.facts())

    async def find_blockers(self, *, has_window: bool) -> str:
        single_steps = [single for step in self._steps for single in step.members or (step,)]
        tables = {step.subject.lockable for step in single_steps if step.subject is not None}
        if not tables:
            return ""
        level = operation_specs.conflict_level(self.plan.operation, self._options.server)
        limit = self._snapshot_limit(has_window)
        blocking = await locks.holders(self._reader, level, tables, older_than=min(self._lock_timeout, MOMENT))
        if not blocking and self._rebuilds_concurrently:
            blocking = await locks.oldest_snapshot(self._reader, self._lock_timeout, limit)
        if not blocking and any(step.method is Method.PG_REPACK for step in self._steps):
            blocking = await locks.oldest_transaction(self._reader, self._lock_timeout, limit)
        elif not blocking and self.plan.operation is Operation.REPACK:
            blocking = await locks.oldest_writer(self._reader, self._lock_timeout)
        return f"it would have to wait: {blocking}" if blocking else ""

    def _snapshot_limit(self, has_window: bool) -> str:
        limit = self._options.server.snapshot_wait
        if limit is not None:
            return f"up to {span(limit)}"
        return "until the time limit" if has_window else f"up to {span(SNAPSHOT_WAIT)} (--snapshot-wait)"

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, PgStep), "a step of another engine"  # noqa: S101 - a bug
        if missing := [name for name in step.required_objects if name not in self._rebuilt]:
            why = f"not everything that comes before is completed: {listed(missing, 3)}"
            return StepResult(status=Status.SKIPPED, error=why)
        if not await self._is_still_needed(step):
            return StepResult(status=Status.SKIPPED, error="not needed: VACUUM has left little dead space in it")
        return await self._execute(step, context)

    async def _run_on(self, pooled: PooledConnection, step: PgStep, context: StepContext) -> CommandRun:
        return await self._commands.run_on(pooled, step, context)

    async def _run_and_repeat(self, step: PgStep, context: StepContext) -> StepResult:
        if step.method is Method.REINDEX_CONCURRENTLY:  # early: the store has it before the command begins
            context.save_recovery_data({"method": step.method})
        try:
            return await super()._run_and_repeat(step, context)
        except NoLeftoverError:
            why = "no longer left over: another session works on it, or has rebuilt or dropped it"
            return StepResult(status=Status.SKIPPED, error=why)

    def _is_in_doubt(self, step: PgStep, run: CommandRun) -> bool:
        return bool(run.answer.left) or (run.is_lost and not step.is_rewrite)

    async def _has_died(
        self,
        step: PgStep,
        run: CommandRun,
        context: StepContext,
        pooled: PooledConnection | None,
        *,
        is_second: bool = False,
    ) -> bool:
        """Its process on the server crashed: the server tells that to all sessions but this one, in a moment."""
        if not run.is_lost or run.answer.error is None or run.answer.error.sqlstate is not None:
            return False
        is_alone = step.method is Method.VACUUM and not run.had_helpers and not is_second
        if run.heard_of_crash and (is_alone or (step.operation or self.plan.operation) in _ALONE):
            return False
        give_up = time.monotonic() + CRASH_TOLD_WITHIN
        while not await self._has_crashed_since(run):
            if time.monotonic() > give_up:
                return False
            await context.pause(0.1)
        return True

    async def _has_crashed_since(self, run: CommandRun) -> bool:
        """Whether its server told of a crash since it began, or has recovered from one since it connected."""
        has_recovered = False
        with contextlib.suppress(TargetError):  # the question also lets the reader hear of it, and reconnects
            (has_recovered,) = await self._reader.row(
                query("has_recovered"), {"since": run.server.connected}, row=(bool,)
            )
        return has_recovered or (self._reader.crashed_at or 0.0) >= run.watched.began

    async def _look_again(
        self, step: PgStep, run: CommandRun, pooled: PooledConnection, context: StepContext
    ) -> tuple[CommandRun, bool]:
        with contextlib.suppress(TargetError):
            await self._reader.row("SELECT 1", row=(int,))  # so that a reader whose connection is lost reconnects
        if run.answer.left and step.subject is not None:
            found = await drop_interrupted(self._reader, self._pool, step.subject.oid, step.object)
            run.answer.left = found.left
            return replace(run, dropped=found.dropped), False
        cleanup = await self._cleanup.clean_up(step, is_lost=True)
        may_repeat = not (cleanup.has_new_index or cleanup.problem) and run.may_be_repeated(pooled.server)
        return replace(run, cleanup=cleanup), may_repeat

    async def _result(self, step: PgStep, run: CommandRun, context: StepContext) -> StepResult:
        return await self._results.collect(step, run, context)

    def _with_first(self, result: StepResult, first: CommandRun) -> StepResult:
        earlier = first.cleanup.failed_drops if first.cleanup is not None else {}
        return replace(result, failed_drops={**earlier, **result.failed_drops})

    def _note(self, step: PgStep, result: StepResult) -> None:
        if result.status is Status.COMPLETED and step.method.is_rebuild:
            self._rebuilt.add(step.object)
        self._begun[step.operation].update(step.all_objects)
        if self._plan_again is not None and result.status is Status.COMPLETED and step.method is Method.VACUUM:
            for subject in (one.subject for one in step.members or (step,) if one.subject is not None):
                pages = subject.table_pages + subject.index_pages
                if step.operation is Operation.ANALYZE or pages >= LEAST_PAGES:  # no smaller index counts as bloated
                    self._renewed.add(subject.oid)
                if step.operation is Operation.VACUUM:
                    self._vacuumed.add(subject.oid)
        if result.requeue:
            self._totals.add(result)
        elif step.method not in {Method.STATISTICS, Method.RECORD_VERSION}:
            counted = self._counted[step.operation]
            is_again = result.status is Status.COMPLETED and counted.issuperset(step.all_objects)
            if result.status is Status.COMPLETED:
                counted.update(step.all_objects)
            self._totals.add(result, counts=not is_again)

    async def _is_still_needed(self, step: PgStep) -> bool:
        """Whether a rebuild that was expected is needed after VACUUM: the counters before it may be wrong."""
        is_vacuumed = step.subject is not None and step.subject.lockable in self._vacuumed
        if not (step.expects_vacuum and is_vacuumed) or self._plan_again is None:
            return True
        async with self._looking:  # one look tells of all
            if step.object not in self._is_needed:
                await self._look_at_expected(self._plan_again)
        return self._is_needed.get(step.object, True)

    async def _look_at_expected(self, plan_again: PlanAgain) -> None:
        """See which of the expected rebuilds are needed, where VACUUM has done its table."""
        await wait_until_counted(self._reader.server.version)
        expected = {
            one.object
            for one in self._steps
            if one.expects_vacuum and one.subject is not None and one.subject.lockable in self._vacuumed
        }
        with contextlib.suppress(TargetError):
            plan = await plan_again(lambda one: one.object in expected)
            needed = {one.object for one in plan.steps}
            if plan.refused is None:  # else to run the steps says why
                self._is_needed.update((name, name in needed) for name in expected)

    async def further_plan(self) -> OperationPlan | None:
        if self._plan_again is None or not self._renewed:
            return None
        await wait_until_counted(self._reader.server.version)
        renewed, self._renewed = self._renewed, set()

        def is_new(step: PgStep) -> bool:
            of = step.subject
            return of is not None and of.lockable in renewed and step.object not in self._begun[step.operation]

        plan = await self._plan_again(is_new)
        steps = [step for step in plan.steps if isinstance(step, PgStep)]
        if not self._rebuilds_concurrently and any(step.method is Method.REINDEX_CONCURRENTLY for step in steps):
            self._cleanup.keep(await invalid_oids(self._reader))
            self._rebuilds_concurrently = True
        self._steps += steps
        self._sizes.add(steps)
        return plan if steps else None

    async def retry_cleanup(self, cancel: asyncio.Event) -> Collection[str]:
        return await self._cleanup.retry_drops(cancel)
