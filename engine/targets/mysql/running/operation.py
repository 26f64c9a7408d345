"""A planned operation on a MariaDB or MySQL database, and what runs its steps."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import pymysql

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.domain.requests import OnFailure, Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import COURSE, WAITING, Facts, WaitsFor
from engine.system.local_servers import milliseconds_of_thread, process_of_server
from engine.targets.command_monitor import INTERVAL, gave_way
from engine.targets.connection_pool import ConnectionPool, PooledConnection
from engine.targets.course import Course
from engine.targets.limits import NotBegunError
from engine.targets.lock_impact import LockImpact
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import (
    CONNECTION_LOST,
    INTERRUPTED,
    LOCK_TIMEOUT,
    lost_connection,
    reason_of,
)
from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.planning import operation_specs
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading import locks
from engine.targets.mysql.reading.facts import facts, size_and_rows
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.replicas import Replicas
from engine.targets.mysql.reading.tables import TRANSACTIONAL, Table
from engine.targets.mysql.running import statement, throttling, undo
from engine.targets.mysql.running.checking import Checks
from engine.targets.mysql.running.monitor import Monitor, ThreadAtStart, Watched
from engine.targets.mysql.running.orphan_cleanup import end_lost, marked, recovery_data
from engine.targets.mysql.running.progress import Progress
from engine.targets.mysql.running.result import (
    NO_HISTOGRAMS,
    partial_effect,
    said_of_killed,
    step_result,
    verdict,
    was_interrupted,
)
from engine.targets.mysql.running.sizes import Sizes
from engine.targets.mysql.running.statement import Answer
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.server_operation import ServerOperation
from engine.targets.step_execution import StepContext, StepProgress, StepResult, facts_with
from engine.targets.stop_signal import StopSignal, StopSignals
from engine.targets.totals import Totals, with_sizes

CONNECTION_ENDED: Final = (
    "the connection was lost, though the server went on: an administrator ended it (KILL), or the network failed"
)
KILLED_CHECK: Final = (
    "a KILL statement came to the server while it ran, and the server says {said} of a check that was killed, too. That"
    " is no sign of damage: check again"
)


class StepConnection(PooledConnection[Connection, Server]):
    """A connection on which steps run."""

    driver_error = pymysql.MySQLError
    thread: int | None = None
    """The thread of the server; 0: not known; None: not asked."""

    @property
    def has_heard_nothing(self) -> bool:
        return self.connection.has_heard_nothing


class _Pool(ConnectionPool[StepConnection]):
    pooled_class = StepConnection


@frozen
class Run:
    """How the command of a step ended, and on which server."""

    answer: Answer
    watched: Watched
    server: Server
    size_before: int | None
    was_lost: bool
    """Whether the connection was lost while the command ran."""
    kills: int | None = None
    """How many KILL statements the server had had before a check; None: not known, or no check."""
    course: Course = ()
    """What it counted of its work, for the next run."""
    was_told: bool = False
    """Whether the server said that it ends the connection: it was shut down, or an administrator ended it."""
    was_ended: bool = False
    """Whether only its connection was lost: the server did not restart."""


class MySqlOperation(ServerOperation[MySqlStep, Run, StepConnection]):
    """The `PlannedOperation` of a MariaDB or MySQL database; see engine.targets.session."""

    specs = operation_specs.SPECS

    def __init__(
        self,
        plan: OperationPlan,
        options: Options,
        reader: Reader,
        connect: Callable[[], Awaitable[tuple[Connection, Server]]],
        name: str,
        lock_timeout: float,
        replicas: Replicas,
        unopened: Sequence[Table],
    ) -> None:
        """
        Args:
            connect: opens a connection for steps.
            name: of the attempt; its commands carry it.
            unopened: see `unopened_tables`.
        """
        pool = _Pool(connect, options.server.longest_wait, reader.release)
        super().__init__(plan, options, pool, self._limit)
        self._reader = reader
        self._name = name
        self._lock_timeout = lock_timeout
        self._replicas = replicas
        self._monitor = Monitor(reader)
        self._sizes = Sizes(reader)
        self._to_run = {step.command for step in plan.steps}
        self._stops = StopSignals()
        is_check = plan.operation is Operation.CHECK
        self._checks = Checks(options.check_level, len(plan.steps), reader.server.recovers) if is_check else None
        self._totals = Totals(self._checks, plan.left_out)
        self._unopened = {table.name: table for table in unopened}
        self._yields: Counter[str] = Counter()
        """How often each step gave way, by its command."""

    async def close(self) -> None:
        await self._monitor.end()
        await self._sizes.end()
        await self._stops.end()
        await self._pool.close()

    async def facts(self, cancel: asyncio.Event | None = None) -> Facts:
        found = await facts_with(facts(self._reader, list(self._unopened.values())), self._totals.facts())
        rebuilt = [step for step in self.plan.steps if isinstance(step, MySqlStep) and step.method is Method.REBUILD]
        if any(self._is_written_later(step.table) for step in rebuilt):
            return {name: value for name, value in found.items() if name != "size"}
        return found

    def _is_written_later(self, table: Table) -> bool:
        """Whether what a new file takes on disk is known only when MariaDB has compressed and written its pages."""
        return table.is_page_compressed and self._reader.server.flavor is Flavor.MARIADB

    async def find_blockers(self, *, has_window: bool) -> str:
        steps = [step for step in self.plan.steps if isinstance(step, MySqlStep)]
        steps = [step for step in steps if step.lock.impact is not LockImpact.NONE]
        steps = [step for step in steps if not step.in_total_order]  # transactions are rolled back for them
        tables = [step.table for step in steps if step.method is not Method.ANALYZE]
        blocking = await locks.holders(self._reader, tables) if tables else ""
        if not blocking:
            return ""
        waits = f"it would have to wait: {blocking}"
        if not any(step.method is Method.REBUILD for step in steps) or self._options.server.yield_after is not None:
            return waits
        queue = f"New statements on the table wait behind it, for {self._lock_timeout:g} s at most"
        return f"{waits}. {queue}; --yield-after, or yield_after in the config file, makes it give way earlier"

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, MySqlStep), "a step of another engine"  # noqa: S101 - a bug
        return await self._execute(step, context)

    def _note(self, step: MySqlStep, result: StepResult) -> None:
        if result.requeue:
            self._totals.add(result)
            return
        if result.status is Status.FAILED and self._options.on_step_failure is OnFailure.STOP:
            self._sizes.last_has_run.set()
        self._totals.add(result)
        if self._checks is not None:
            self._checks.add(step, result)
        if step.method not in {Method.CHECK, Method.REPAIR}:
            return
        if result.findings and step.table.engine in self._reader.server.recovers:
            self._unopened[step.table.name] = step.table
        elif result.status is Status.COMPLETED:
            self._unopened.pop(step.table.name, None)

    async def _limit(self) -> str:
        server = self._options.server
        return await throttling.throttled_by(self._reader, server, self._replicas, len(self._monitor.watched))

    def _is_in_doubt(self, step: MySqlStep, run: Run) -> bool:
        return run.was_lost

    async def _look_again(
        self, step: MySqlStep, run: Run, pooled: StepConnection, context: StepContext
    ) -> tuple[Run, bool]:
        if pooled.server.started != run.server.started:
            return run, step.is_repeatable
        await end_lost(self._reader, run.server.connection_id, context)
        return replace(run, was_ended=True), False

    async def _has_died(
        self, step: MySqlStep, run: Run, context: StepContext, pooled: StepConnection | None, *, is_second: bool = False
    ) -> bool:
        if not run.was_lost or run.was_told:
            return False
        left_socket = self._pool.left_socket(run.watched.began)
        if run.server.flavor is Flavor.MARIADB and left_socket is not None:
            return left_socket
        if is_second:
            return True
        if run.server.flavor is Flavor.MARIADB and step.method is not Method.CHECK:
            return False  # it says no word when it is shut down, either; a check can wait for another time
        return self._pool.found_server_down if pooled is None else pooled.server.started != run.server.started

    async def _run_on(self, pooled: StepConnection, step: MySqlStep, context: StepContext) -> Run:
        size_before, kills_before = await self._size_before(step), await self._kills(step)
        if (data := recovery_data(step)) is not None:
            context.save_recovery_data(data)
            await context.store_results()  # this process may die with its first command
        watched = Watched(
            step=step,
            progress=Progress(step, began=time.monotonic(), seconds=step.estimate),
            thread=await self._thread_at_start(step, pooled),
            report=context.report,
            yield_after=self._options.server.yield_after if step.stops_safely else None,
            closed=context.window.closed,
            most_wait=self._lock_timeout if step.makes_histograms else math.inf,
        )
        stops = (self._stops.of(context.cancel), watched.must_yield, watched.is_late) if step.stops_safely else ()
        number = pooled.connection.id
        self._monitor.watch(number, watched)
        try:
            if step.method is Method.PURGE_UNDO:
                answer = await undo.purge(self._reader, pooled.connection, step, context)
            else:
                answer = await self._commands_of(step, pooled.connection, context, watched, *stops)
        finally:
            self._monitor.unwatch(number)
            self._to_run.discard(step.command)
            if not self._to_run:
                self._sizes.last_has_run.set()
        course = watched.progress.course(time.monotonic())
        lost = was_told = False
        if not answer.was_asked_to_stop:
            if was_interrupted(answer) and not await pooled.answers():  # MySQL, when it shuts down
                was_told = True
                answer = Answer(error=pymysql.OperationalError(CONNECTION_LOST, "the server ended the connection"))
            lost = answer.error is not None and lost_connection(answer.error)
            was_told = was_told or (answer.error is not None and reason_of(answer.error) is not Reason.SERVER_LOST)
        return Run(answer, watched, pooled.server, size_before, lost, kills_before, course, was_told)

    async def _thread_at_start(self, step: MySqlStep, pooled: StepConnection) -> ThreadAtStart | None:
        process = process_of_server(pooled.connection.line)
        if process is None or step.method is Method.REBUILD:  # the bytes that it writes tell more
            return None
        if pooled.thread is None:
            pooled.thread = await self._monitor.thread_of(pooled.connection)
        used = milliseconds_of_thread(process, pooled.thread)
        return None if used is None else ThreadAtStart(process, pooled.thread, used)

    async def _commands_of(
        self, step: MySqlStep, connection: Connection, context: StepContext, watched: Watched, *stops: StopSignal
    ) -> Answer:
        """How they ended, with the rows of all; after one that does not end well the others are not run."""
        before, stopped = Answer(), pymysql.OperationalError(INTERRUPTED, "there are more commands")
        for done, command in enumerate(step.commands or (step.command,)):
            if before.was_asked_to_stop:
                return replace(before, error=stopped, done=done)
            text = marked(self._name, command)
            try:
                if step.makes_histograms and (busy := await self._globally_locked(context, watched)) is not None:
                    return replace(busy, rows=before.rows, done=done)
                watched.begin()
                if step.stops_safely:
                    answer = await statement.run(
                        connection, text, self._reader, *stops, is_deaf=lambda: watched.is_deaf
                    )
                else:
                    answer = await statement.run_whole(connection, text, self._reader, context, until_closed=True)
            except NotBegunError:
                if not done:
                    raise
                return replace(before, error=stopped, was_asked_to_stop=True, done=done)
            answer = replace(answer, rows=[*before.rows, *answer.rows], done=done)
            if answer.error is not None or (done + 1 < len(step.commands) and not verdict(answer.rows).is_well):
                return answer
            before = answer
        return before

    async def _globally_locked(self, context: StepContext, watched: Watched) -> Answer | None:
        """Wait until no session has a global read lock. The answer, where that takes too long. Raises NotBegunError."""
        give_up = time.monotonic() + self._lock_timeout
        with contextlib.suppress(TargetError):
            while holders := await locks.global_holders(self._reader):
                watched.only_waited, watched.holders = True, holders
                context.report(StepProgress(phase=f"{WAITING}: {holders}", waits_for=WaitsFor.LOCK))
                if context.is_ending:
                    raise NotBegunError
                if time.monotonic() >= give_up:
                    return Answer(error=pymysql.OperationalError(LOCK_TIMEOUT, "a global read lock"))
                await context.wait(seconds=INTERVAL)
        return None

    async def _result(self, step: MySqlStep, run: Run, context: StepContext) -> StepResult:
        effect = with_sizes({}, run.size_before, await self._size(step, context)) if run.answer.error is None else {}
        if effect and step.method is Method.REBUILD:
            with contextlib.suppress(TargetError):
                _, rows = await size_and_rows(self._reader, step.table)
                effect |= {} if rows is None else {"rows": rows}
        result = step_result(
            step,
            run.answer,
            effect,
            waited=self._lock_timeout,
            blockers=run.watched.holders,
            user=run.server.user,
        )
        if result.status is not Status.CANCELLED and (said := await self._said_of_killed(step, run)):
            result = StepResult(status=Status.FAILED, error=KILLED_CHECK.format(said=said))
        is_yielding = run.watched.must_yield.is_set() and not context.cancel.is_set()
        if result.status is Status.CANCELLED and is_yielding:
            result = self._give_way(step, result)
        elif result.status is Status.CANCELLED and run.answer.done and not context.cancel.is_set():  # past the limit
            result = StepResult(status=Status.COMPLETED, warnings=(f"{step.object}: {NO_HISTOGRAMS}",))
        if result.status is Status.COMPLETED and run.course:
            result = replace(result, effect={**(result.effect or {}), COURSE: run.course})
        if step.method is Method.PURGE_UNDO:
            result = await self._with_left(result)
        if result.may_leave_something:
            never_began = run.watched.only_waited or result.reason is Reason.REFUSED
            left = partial_effect(step, result.reason, never_began=never_began, has_statistics=run.answer.done > 0)
            result = replace(result, left=left)
        if run.was_ended and result.status is Status.FAILED:
            result = replace(result, error=CONNECTION_ENDED, reason=None)
        return result

    async def _with_left(self, result: StepResult) -> StepResult:
        """Name the undo tablespaces that a purge left."""
        is_done = result.status is Status.COMPLETED
        try:
            left = await undo.left(self._reader)
        except TargetError:
            left = "" if is_done else undo.UNKNOWN_LEFT
        if not left:
            return result
        return replace(result, warnings=(*result.warnings, left)) if is_done else replace(result, left=left)

    def _give_way(self, step: MySqlStep, result: StepResult) -> StepResult:
        self._yields[step.command] += 1
        return gave_way(step.object, result, self._yields[step.command])

    async def _said_of_killed(self, step: MySqlStep, run: Run) -> str:
        """What a check says that may have been killed; "" if it was not."""
        if step.method is not Method.CHECK or run.answer.error is not None:
            return ""
        said = said_of_killed(run.answer.rows, run.server.flavor)
        return said if said and run.kills != await self._kills(step) else ""

    async def _kills(self, step: MySqlStep) -> int | None:
        """How many KILL statements the server has had, where it does not say of a check that it was killed."""
        of_innodb = step.table.engine in TRANSACTIONAL
        if step.method is Method.CHECK and not (of_innodb and self._reader.server.flavor is Flavor.MYSQL):
            with contextlib.suppress(TargetError, ValueError):
                # MySQL does not have it in a table.
                _, kills = await self._reader.row("SHOW GLOBAL STATUS LIKE 'Com_kill'", row=(str, str))
                return int(kills)
        return None

    async def _size_before(self, step: MySqlStep) -> int | None:
        """That of the table is known from the plan: asking again would delay the command."""
        if step.method is Method.PURGE_UNDO:
            return await undo.size(self._reader, step.object)
        is_unknown = step.table.name in self._unopened or self._is_written_later(step.table)
        return None if is_unknown else step.table.measured_bytes

    async def _size(self, step: MySqlStep, context: StepContext) -> int | None:
        """The size of the table or tablespace of a step; None if it cannot be measured."""
        if step.method is Method.PURGE_UNDO:
            return await undo.size(self._reader, step.object)
        if step.method not in {Method.REBUILD, Method.REPAIR}:
            return None
        with contextlib.suppress(TargetError):
            return await self._sizes.of(step.table, context)
        return None
