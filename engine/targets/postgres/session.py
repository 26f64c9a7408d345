"""The connections to one PostgreSQL database: look, plan, execute."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import psycopg

from engine.domain.errors import ServerStartingError, TargetError, TargetRefusedError
from engine.domain.frozen import frozen
from engine.domain.humanize import NOT_BEGUN, PAST_THE_LIMIT, listed, span
from engine.domain.jobs import (
    CLEANING_UP,
    NO_SERVER_OPTIONS,
    SERVER_WAIT,
    EngineName,
    Facts,
    Operation,
    Options,
    ServerOptions,
    Status,
    Step,
)
from engine.targets.postgres.advising.advice import advise
from engine.targets.postgres.advising.collect import collect_condition, collect_needs, with_damaged_indexes
from engine.targets.postgres.advising.findings import NOTHING_KNOWN, Need, needs
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server, connect
from engine.targets.postgres.connection.dsn import Address
from engine.targets.postgres.connection.errors import CRASHED, GONE, INTERNAL, explain, reports_damage
from engine.targets.postgres.connection.names import qualified
from engine.targets.postgres.planning import operation_specs, planner
from engine.targets.postgres.planning.scope import grant, unprivileged
from engine.targets.postgres.planning.steps import Method, Model, PgStep, Subject
from engine.targets.postgres.reading import locks, snapshots, xmin_horizon
from engine.targets.postgres.reading.locks import NO_BLOCKERS
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.truncated_files import truncated_files
from engine.targets.postgres.running import invalid_indexes, orphan_cleanup, throttling
from engine.targets.postgres.running.checking import Checks, damaged_object, may_blame_table, with_truncated_files
from engine.targets.postgres.running.connection_pool import ConnectionPool, NotBegunError, PooledConnection
from engine.targets.postgres.running.effects import Totals, effects, with_sizes
from engine.targets.postgres.running.invalid_index_cleanup import CleanupResult, InvalidIndexCleanup
from engine.targets.postgres.running.monitor import Monitor, Watched
from engine.targets.postgres.running.outage import TEMPORARY_ERRORS
from engine.targets.postgres.running.partial_effects import left_by, never_had_lock
from engine.targets.postgres.running.progress import Progress
from engine.targets.postgres.running.result import follow_up_notices, missing_follow_up, outcome, was_skipped_by_server
from engine.targets.postgres.running.size_tracker import Measurement
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.postgres.running.stop_signal import StopSignals
from engine.targets.postgres.running.wait_limits import CONCURRENT, SNAPSHOT_WAIT, WaitLimits
from engine.targets.protocol import OperationPlan, Recovery, StepContext, StepProgress, StepResult
from engine.targets.target_info import TargetInfo

if TYPE_CHECKING:
    from engine.domain.advice import Advice, TargetHistory
    from engine.targets.postgres.reading.condition import Condition
    from engine.targets.protocol import PlannedStep

MOST_ATTEMPTS: Final = 3
"""How often a step is begun that gives way to others."""
_FILE_NODE: Final = "SELECT pg_relation_filenode(to_regclass(%s))::int8"
WHOLE_DATABASE: Final = Subject(oid=0, schema="", name="", table="")


@frozen
class StepRun:
    """How the command of a step went, and where."""

    answer: Answer
    watched: Watched
    server: Server
    before: int | None
    """What its object took before."""
    is_closed: bool = False
    """Whether its connection is."""

    @property
    def is_lost(self) -> bool:
        """Whether its connection was lost while it ran."""
        return self.is_closed and self.answer.error is not None and not self.answer.was_asked_to_stop

    def may_be_repeated(self, server: Server) -> bool:
        """Whether it surely was not what brought the server down: `server` has been started since, or it said that
        another process crashed. Where it lost this connection only, somebody may have ended it on purpose."""
        codes = {notice.sqlstate for notice in self.answer.notices} | {self.answer.error and self.answer.error.sqlstate}
        return server.started != self.server.started or CRASHED in codes


class PostgresSession:
    """The `Session` of a PostgreSQL database; see engine.targets.protocol."""

    def __init__(self, address: Address, reader: Reader, name: str, lock_timeout: float) -> None:
        """`name`: what the server is told of who connects."""
        self._address = address
        self._reader = reader
        self._name = name
        self._lock_timeout = lock_timeout
        self._monitor = Monitor(reader)
        self._stops = StopSignals()
        self._first = reader.server
        self._pool = ConnectionPool(self._connected, lambda: server_wait_of(self._options))
        self._sizes = Measurement(reader)
        self._pending_findings: asyncio.Task[Condition] | None = None
        self._is_planned = self._rebuilds_concurrently = False
        self._cleanup = InvalidIndexCleanup(reader, self._pool, lock_timeout)
        self._rewrites: list[str] = []
        """What became of those of a process that died, in words."""
        self.measured = None  # what advice goes by is in the catalog, and cheap to get
        self._yields: Counter[PgStep] = Counter()
        """How often each step did."""
        self._totals = Totals()
        self._planned_tables: set[int] = set()
        self._rebuilt: set[str] = set()
        """The indexes whose rebuild is completed."""
        self._options = NO_SERVER_OPTIONS
        self._leaves_out: frozenset[str] = frozenset()
        """Of the operation that was planned last."""
        self._has_limit = False

    async def close(self) -> None:
        await self._monitor.end()
        await self._stops.end()
        await self._sizes.end()
        if self._pending_findings is not None:
            self._pending_findings.cancel()
            await asyncio.gather(self._pending_findings, return_exceptions=True)
        await self._pool.close()

    async def _connected(self) -> tuple[Connection, Server]:
        """A connection for steps. Raises TargetError also where it is no longer the server that it was."""
        opened, server = await connect(
            self._address, name=self._name, lock_timeout=self._lock_timeout, of_pool=self._first.is_pooled
        )
        problem: TargetError | None = None
        if server.key != self._first.key:
            why = "another server, or another database, answers there than at the beginning"
            problem = TargetRefusedError(self._address.url, why, "nothing more is done there")
        elif server.is_standby and not self._first.is_standby:
            why, hint = "it is a standby now, which cannot be maintained", "give the primary, or promote it"
            problem = ServerStartingError(self._address.url, why, hint, state="server is a standby now")
        if problem is not None:
            await opened.close()
            raise problem
        return opened, server

    async def facts(self, operation: Operation | None = None, cancel: asyncio.Event | None = None) -> Facts:
        if operation is Operation.OPTIMIZE and not self._is_planned:
            return await self._facts_while_pending_findings()
        did = self._totals.facts()
        try:
            return {**await self._reader.facts(), **did}
        except TargetError:
            if not did:
                raise
            return did  # that is known, whatever has become of the server

    async def _facts_while_pending_findings(self) -> Facts:
        """What is needed is found out meanwhile, as the next that is asked for is a plan: each takes its time."""
        self._pending_findings = self._pending_findings or asyncio.create_task(collect_needs(self._reader))
        async with self._pool.connection() as pooled:
            return await self._reader.on(pooled.connection, pooled.server).facts()

    async def info(self) -> TargetInfo:
        server = self._reader.server
        missing = unprivileged(await self._reader.tables())
        remarks = ["it is a standby: it can only be looked at"] if server.is_standby else []
        remarks += [grant(missing, server.user, server.version)] if missing else []
        return TargetInfo(
            url=self._address.url,
            engine=EngineName.POSTGRESQL,
            version=server.version_text.partition(" ")[0],
            facts=await self._reader.facts(),
            operations=operation_specs.operation_infos(),
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
        self._options = options.server
        self._leaves_out = frozenset(options.leave_out)
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
            # Before the first begins: later, what those leave that run at once could not be told from it.
            await self._cleanup.remember(refresh=True)
        self._totals.left_out = planned.left_out
        if operation is Operation.CHECK:
            self._totals.checks = Checks(options.check_level, len(planned.steps))
        self._sizes.expect([step for step in planned.steps if isinstance(step, PgStep)])
        return planned

    async def _planned(self, operation: Operation, options: Options, past: TargetHistory) -> OperationPlan:
        options = replace(options, objects=options.objects_for(operation))
        if operation is not Operation.OPTIMIZE:
            return await planner.plan(self._reader, operation, options, past)
        looking, self._pending_findings = self._pending_findings, None
        condition = await (looking or collect_needs(self._reader))
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

    async def on_damage(self, operations: Sequence[Operation], past: TargetHistory) -> tuple[str, ...]:
        left = [name for name in past.damaged_tables if name not in self._leaves_out]
        return operation_specs.on_damage(operations, left)

    async def in_the_way(self, operation: Operation) -> str:
        if not self._planned_tables:
            return ""
        blocking = await locks.holders(
            self._reader, operation_specs.conflict_level(operation, self._options), self._planned_tables
        )
        if not blocking and self._rebuilds_concurrently:
            blocking = await snapshots.oldest_snapshot(self._reader, self._lock_timeout, self._snapshot_limit())
        return f"it would have to wait: {blocking}" if blocking else ""

    def _snapshot_limit(self) -> str:
        limit = self._options.snapshot_wait
        if limit is not None:
            return f"up to {span(limit)}"
        return "until the time limit" if self._has_limit else f"up to {span(SNAPSHOT_WAIT)} (--snapshot-wait)"

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, PgStep), "a step of another engine"  # noqa: S101 - a bug of ours
        if not_rebuilt := [name for name in step.after if name not in self._rebuilt]:
            why = f"not everything that comes before is completed: {listed(not_rebuilt, 3)}"
            return StepResult(status=Status.SKIPPED, error=why)
        if step.method is Method.REINDEX_CONCURRENTLY:
            context.note({"method": step.method})
        try:
            result = await self._executed(step, context)
        except NotBegunError:
            if context.cancel.is_set():
                return StepResult(status=Status.CANCELLED, left=NOT_BEGUN, never_began=True)
            return StepResult(status=Status.SKIPPED, error=PAST_THE_LIMIT, never_began=True)
        except invalid_indexes.NoLeftoverError:
            why = "it is left over no more: somebody works on it, or has rebuilt or dropped it"
            result = StepResult(status=Status.SKIPPED, error=why)
        except TargetError as error:
            if self._pool.error is not None and not context.cancel.is_set():
                return _not_begun(self._pool.error)
            if context.cancel.is_set():
                return StepResult(status=Status.CANCELLED, left=NOT_BEGUN)
            result = StepResult(status=Status.FAILED, reason=error.reason, error=error.why)
        except psycopg.Error as error:
            sentence = explain(error, is_closed=True, waited=self._lock_timeout)
            result = StepResult(status=Status.FAILED, error=sentence)
        if refused := self._pool.take_refusal():
            result = replace(result, warnings=(*result.warnings, refused))
        if not result.again:
            self._count(step, result)
        return result

    async def _executed(self, step: PgStep, context: StepContext) -> StepResult:
        """Once, or twice where the server went away meanwhile and the step may be repeated."""
        ran = await self._ran(step, context)
        if not (ran.is_lost and step.is_repeatable):
            return await self._result(step, ran, context)
        try:
            server = await self._pool.reconnect(context)
        except NotBegunError:
            return await self._result(step, ran, context)
        except TargetError as gone:
            return replace(await self._result(step, ran, context), no_more=gone.why)
        with contextlib.suppress(TargetError):
            # Where its connection is lost, too, this is how it learns of that.
            await self._reader.row("SELECT 1", row=(int,))
        cleared = await self._cleanup.clean_up(step, is_lost=True)
        if cleared.has_new_index or cleared.problem or not ran.may_be_repeated(server):
            return await self._result(step, ran, context, cleared)
        try:
            again = await self._ran(step, context)
        except NotBegunError:  # the second time: what became of the first is told
            return await self._result(step, ran, context, cleared)
        except TargetError as gone:
            no_more = "" if self._pool.error is None else gone.why
            return replace(await self._result(step, ran, context, cleared), no_more=no_more)
        result = await self._result(step, again, context)
        return replace(result, warnings=(*result.warnings, f"{step.object}: begun twice, as the server went away"))

    async def _ran(self, step: PgStep, context: StepContext) -> StepRun:
        await self._may_begin(context)
        async with self._pool.connection(context) as pooled:
            if step.method is Method.DROP_LEFTOVER and step.subject is not None:
                await invalid_indexes.require_leftover(self._reader, step.subject.oid)
            ran = await self._carry_out(step, pooled, context)
        if ran.answer.error is None:
            context.over()
            await asyncio.sleep(0)  # the next begins before this one is looked at
        return replace(ran, is_closed=pooled.connection.closed)

    async def _may_begin(self, context: StepContext) -> None:
        """Raises as `ConnectionPool.connection`."""
        try:
            await throttling.wait_while_throttled(self._reader, self._options, context)
        except TEMPORARY_ERRORS:
            await self._pool.reconnect(context)
            await throttling.wait_while_throttled(self._reader, self._options, context)
        if context.cancel.is_set() or context.window.closed.is_set():
            raise NotBegunError

    def _count(self, step: PgStep, result: StepResult) -> None:
        if step.method not in {Method.STATISTICS, Method.RECORD_VERSION}:
            self._totals.add(result)

    async def _carry_out(self, step: PgStep, pooled: PooledConnection, context: StepContext) -> StepRun:
        subject = step.subject
        before = await self._sizes.before(step)
        if step.method is Method.REINDEX_CONCURRENTLY:
            await self._cleanup.remember()
        if step.model is Model.REWRITE and subject is not None:
            with contextlib.suppress(TargetError):
                context.note(await orphan_cleanup.recovery_data(self._reader, step))
        snapshot_wait = self._options.snapshot_wait
        if step.method is Method.DROP_LEFTOVER and snapshot_wait is None:
            snapshot_wait = self._lock_timeout  # it throws no work away
        wait_limits = WaitLimits(self._lock_timeout, snapshot_wait, context.window.closes_at)
        watched = Watched(
            Progress(step.model, subject or WHOLE_DATABASE, began=time.monotonic(), seconds=step.estimate),
            context.report,
            wait_limits=wait_limits,
            yield_after=self._options.yield_after,
        )
        stops = self._stops.of(context.cancel), watched.must_yield, wait_limits.exceeded
        await pooled.set(step.settings)
        server_limit = wait_limits.server_limit(time.monotonic())
        await pooled.set_lock_timeout(server_limit if step.method in CONCURRENT else self._lock_timeout)
        self._monitor.watch(pooled.server.backend, watched)
        try:
            answer = await pooled.statements.run(step.first or self._command_of(step), *stops)
            if step.verbose_command and answer.has_warned:
                answer = await pooled.statements.run(step.verbose_command, *stops)
            if step.then and answer.error is None and not was_skipped_by_server(step, answer):
                answer.notices += await self._followed(step, pooled, watched, context)
        except asyncio.CancelledError:
            await self._cleanup.clean_up(step)
            raise
        finally:
            self._monitor.unwatch(pooled.server.backend)
        return StepRun(answer, watched, pooled.server, before)

    def _command_of(self, step: PgStep) -> str:
        return self._totals.checks.command_of(step) if self._totals.checks is not None else step.command

    async def _alone(self, step: PgStep, answer: Answer, context: StepContext) -> Answer | None:
        """How the check of an index without its table goes, where either may be what is damaged."""
        damaged = answer.error is not None and reports_damage(answer.error)
        if not damaged or answer.error is None or not may_blame_table(step, answer.error):
            return None
        with contextlib.suppress(TargetError, psycopg.Error):
            async with self._pool.connection() as pooled:
                return await pooled.statements.run(step.alone, self._stops.of(context.cancel))
        return Answer()

    async def _is_gone(self, step: PgStep, answer: Answer) -> bool | None:
        """Whether its subject was dropped meanwhile, which the server may tell as if something was damaged, and what
        may be said of another; None where nobody has to look, or can."""
        if step.subject is None or answer.error is None or answer.error.sqlstate not in {INTERNAL, *GONE}:
            return None
        with contextlib.suppress(TargetError):
            return not await self._reader.rows("SELECT FROM pg_class WHERE oid = %s", [step.subject.oid], row=())
        return None

    async def _followed(
        self, step: PgStep, pooled: PooledConnection, watched: Watched, context: StepContext
    ) -> list[Notice]:
        """What there is to tell of the second of two commands. It is short: who waits behind it does not end it."""
        if context.cancel.is_set():
            return [missing_follow_up(step, NOT_BEGUN)]
        watched.blockers = NO_BLOCKERS
        following = await pooled.statements.run(step.then, self._stops.of(context.cancel))
        return follow_up_notices(step, following, waited=self._lock_timeout, blockers=watched.blockers.words)

    async def _result(
        self, step: PgStep, ran: StepRun, context: StepContext, cleared: CleanupResult | None = None
    ) -> StepResult:
        """`cleared`: what became of what it left, where that is known."""
        answer, watched = ran.answer, ran.watched
        is_gone = step.method is Method.DROP_LEFTOVER and answer.error is None
        after = self._sizes.dropped(step) if is_gone else await self._sizes.after(step)
        effect = with_sizes(effects(answer.notices), ran.before, after)
        damaged = (
            damaged_object(step, await self._alone(step, answer, context)) if step.method is Method.CHECK else None
        )
        result = outcome(
            step,
            answer,
            effect,
            is_closed=ran.is_closed,
            waited=self._lock_timeout,
            wait_limits=watched.wait_limits,
            blockers=watched.blockers,
            held_by=await self._held_by() if effect.get("rows_kept") else "",
            is_gone=await self._is_gone(step, answer),
            damaged=damaged,
        )
        is_cancelled = context.cancel.is_set()
        cleared = cleared or await self._cleared(step, result, context)
        if cleared.has_new_index and not watched.only_waited:
            result = StepResult(status=Status.COMPLETED, effect=effect or None)
        elif result.status is Status.CANCELLED and watched.must_yield.is_set() and not is_cancelled:
            result = self._put_off(step, result)
        if (
            step.reads_whole_table
            and step.subject is not None
            and (result.findings or result.status is Status.COMPLETED)
        ):
            with contextlib.suppress(TargetError):
                result = with_truncated_files(step, result, await truncated_files(self._reader, step.subject.oid))
        if damaged is not None and (checks := self._totals.checks) is not None:
            if result.status is Status.COMPLETED and (doubt := checks.doubt(step)):
                result = replace(result, warnings=(*result.warnings, doubt))
            checks.add(step, result, damaged)
        if result.status is Status.COMPLETED and (step.method.is_rebuild or step.method is Method.REINDEX_CONCURRENTLY):
            self._rebuilt.add(step.object)
            result = replace(result, effect={**(result.effect or {}), **await self._to_be_remembered(step)})
        result = replace(result, warnings=(*result.warnings, *cleared.warnings), left_over=cleared.left_over)
        if cleared.left_over:  # should this process die before it is dropped: see `orphan_cleanup`
            result = replace(result, effect={**(result.effect or {}), "method": step.method})
        if result.status in {Status.CANCELLED, Status.FAILED} and not result.findings:
            only_waited = never_had_lock(step, answer, was_seen_waiting=watched.only_waited)
            result = replace(result, left=left_by(step, result.reason, cleared.removals, only_waited=only_waited))
        return result

    async def _cleared(self, step: PgStep, result: StepResult, context: StepContext) -> CleanupResult:
        """What a concurrent rebuild left that did not get through to its end is removed."""
        if result.status is Status.COMPLETED or step.method is not Method.REINDEX_CONCURRENTLY:
            return CleanupResult()
        context.report(StepProgress(phase=CLEANING_UP))
        return await self._cleanup.clean_up(step)

    def _put_off(self, step: PgStep, result: StepResult) -> StepResult:
        """It gave way: another time, but not for ever."""
        self._yields[step] += 1
        if self._yields[step] < MOST_ATTEMPTS:
            why = "others waited behind it, so it gave way: it comes again after the others"
            return replace(result, status=Status.SKIPPED, error=why, again=True)
        why = f"others waited behind it each time, so it gave way {MOST_ATTEMPTS} times"
        return replace(result, status=Status.SKIPPED, error=why, warnings=(f"{step.object}: {why}",))

    async def _to_be_remembered(self, step: PgStep) -> Facts:
        """By which rules an index was built, and that it is this one: it has another file after the next rebuild."""
        if not step.collations or step.subject is None:
            return {}
        name = qualified(step.subject.schema, step.subject.name)
        with contextlib.suppress(TargetError):
            (file,) = await self._reader.row(_FILE_NODE, [name], row=(int | None,))
            return {"collations": step.collations, "file": file}
        return {}

    async def _held_by(self) -> str:
        with contextlib.suppress(TargetError):
            holders = (await xmin_horizon.read(self._reader)).holders
            return holders[0].words if holders else ""
        return ""

    async def tidy_up(self, cancel: asyncio.Event) -> Collection[str]:
        return await self._cleanup.retry_drops(cancel)

    async def settle(self, earlier: Sequence[Step]) -> tuple[str, ...]:
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


def _not_begun(error: TargetError) -> StepResult:
    return StepResult(status=Status.SKIPPED, error=f"not begun: {error.why}", never_began=True, no_more=error.why)


def _reasons(needed: Mapping[int, Need]) -> dict[int, str]:
    return {oid: need.reason for oid, need in needed.items()}
