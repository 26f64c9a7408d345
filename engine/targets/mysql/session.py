"""A session on one MariaDB or MySQL database: inspect, plan, execute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Final

from engine.domain.advice import Advice, TargetHistory
from engine.domain.engines import EngineName
from engine.domain.requests import Operation, Options
from engine.domain.steps import Facts, Step
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.mysql.advising.advice import advise
from engine.targets.mysql.advising.collect import collect_condition
from engine.targets.mysql.advising.findings import CHANGES_ARE_LOCKED, locked_text, needs
from engine.targets.mysql.connection.address import Address
from engine.targets.mysql.connection.connecting import connect
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.planning import connections, operation_specs, planner, rights
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.reading.disks import with_sizes
from engine.targets.mysql.reading.facts import facts
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.replicas import Replicas
from engine.targets.mysql.reading.tables import Table, unopened_tables
from engine.targets.mysql.running import orphan_cleanup, throttling
from engine.targets.mysql.running.operation import MySqlOperation
from engine.targets.mysql.running.target_lock import TargetLock
from engine.targets.operation_specs import TargetInfo, operation_infos
from engine.targets.plans import OperationPlan, PlannedStep, without_done
from engine.targets.server_target import NOTHING_RUNS, ServerSession
from engine.targets.session import Recovery
from engine.targets.step_execution import StepContext

NOTHING_KNOWN: Final = TargetHistory(now=0)
PLANNING_BUDGET: Final = 30.0
"""Seconds for sampling rows of large tables."""


class MySqlSession(ServerSession[Connection, Server]):
    """The `Session` of a MariaDB or MySQL database; see engine.targets.session."""

    lock_class = TargetLock
    _address: Address
    _reader: Reader

    @cached_property
    def _replicas(self) -> Replicas:
        replicas = Replicas(self._reader, self._connect_replica)
        self._operations.push_async_callback(replicas.close)
        return replicas

    async def _connect(self, *, binlog: bool = True) -> tuple[Connection, Server]:
        """A connection for steps. Raises TargetError."""
        return await self._for_steps(
            *await connect(self._address, name=self._name, lock_timeout=self._lock_timeout, binlog=binlog)
        )

    async def _connect_replica(self, host: str, port: int) -> tuple[Connection, Server]:
        parameters = {name: value for name, value in self._address.parameters.items() if name != "socket"}
        there = replace(self._address, host=host, port=port, database="", parameters=parameters)
        return await connect(there, name=self._name, lock_timeout=self._lock_timeout, read_only=True)

    async def facts(self, past: TargetHistory | None = None) -> Facts:
        return await facts(self._reader, await self._unopened(past))

    async def _unopened(self, past: TargetHistory | None) -> list[Table]:
        damaged = past.unread_tables if past is not None else ()
        return await with_sizes(self._reader, await unopened_tables(self._reader, damaged))

    async def info(self, past: TargetHistory | None = None) -> TargetInfo:
        server = self._reader.server
        return TargetInfo(
            url=self._address.url,
            engine=EngineName.MYSQL,
            version=server.product,
            facts=await self.facts(past),
            operations=tuple(
                replace(one, by_server=server.flavor is Flavor.MARIADB and one.operation is Operation.PURGE_UNDO)
                for one in operation_infos(operation_specs.SPECS)
            ),
            remarks=("it is a replica: maintain its source",) if server.is_replica else (),
            read_only="the server allows no change: it is read-only" if server.reads_only else "",
        )

    async def advise(
        self, past: TargetHistory, *, budget: float | None, limits: Thresholds = DEFAULT_THRESHOLDS
    ) -> tuple[tuple[Advice, ...], None]:
        condition = await collect_condition(
            self._reader,
            budget=budget,
            limits=limits,
            unopened=await self._unopened(past),
            damaged=past.unread_tables,
        )
        return advise(condition, needs(condition, past, limits), past, limits), None

    async def require(self, operations: Sequence[Operation], options: Options) -> None:
        await planner.require(self._reader, operations, options)

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> MySqlOperation:
        unopened = await self._unopened(past)
        planned = await self._plan(operation, options, past or NOTHING_KNOWN, unopened)
        return self.running(planned, options, unopened)

    def running(self, plan: OperationPlan, options: Options, unopened: Sequence[Table] = ()) -> MySqlOperation:
        """What runs the steps of a plan. It is closed with the session."""
        connect = partial(self._connect, binlog=not _leaves_binlog(plan, options))
        operation = MySqlOperation(
            plan, options, self._reader, connect, self._name, self._lock_timeout, self._replicas, unopened
        )
        self._operations.push_async_callback(operation.close)
        return operation

    async def _plan(
        self, operation: Operation, options: Options, past: TargetHistory, unopened: Sequence[Table]
    ) -> OperationPlan:
        if problem := await throttling.options_problem(self._reader, options.server, self._replicas):
            return OperationPlan(operation=operation, refused=problem)
        if operation is Operation.OPTIMIZE:
            planned = await self._plan_needed(options, past, unopened)
        else:
            planned = await planner.plan(self._reader, operation, options, past, unopened)
        if planned.steps and (problem := await connections.problem(self._reader)):
            return OperationPlan(operation=operation, refused=problem)
        if _leaves_binlog(planned, options) and (problem := await rights.binlog_problem(self._reader)):
            return OperationPlan(operation=operation, refused=problem)
        if planned.steps and options.server.max_delay is not None:
            delayed = await self._replicas.delayed(options.server.max_delay, options.server.ignored_standbys)
            planned = replace(planned, warnings=(*planned.warnings, *delayed))
        return without_done(planned, options.done_by(operation))

    async def _plan_needed(self, options: Options, past: TargetHistory, unopened: Sequence[Table]) -> OperationPlan:
        condition = await collect_condition(
            self._reader,
            budget=PLANNING_BUDGET,
            unopened=unopened,
            damaged={*past.unread_tables, *options.leave_out},
        )
        found = needs(condition, past, options.limits or DEFAULT_THRESHOLDS)
        reasons = {
            Operation.ANALYZE: {name: need.reason for name, need in found.analyze.items()},
            Operation.REBUILD: {name: need.reason for name, need in found.rebuild.items()},
        }
        unknown = [CHANGES_ARE_LOCKED if condition.changes_are_locked else "", locked_text(condition)]
        planned = await planner.plan_needed(
            self._reader, options, condition.tables, reasons, past.turns, tuple(filter(None, unknown))
        )
        gains = {name: need.gain for name, need in found.rebuild.items()}
        return replace(planned, steps=tuple(_with_gain(step, gains) for step in planned.steps))

    async def remarks(self, plans: Sequence[OperationPlan]) -> tuple[str, ...]:
        checks = [step for one in plans if one.operation is Operation.CHECK for step in one.steps]
        checked = {step.table.engine for step in checks if isinstance(step, MySqlStep)}
        ends_server = "InnoDB" in checked and self._reader.server.flavor is Flavor.MYSQL
        return (
            *([operation_specs.ENDS_SERVER] if ends_server else []),
            *operation_specs.recovery_remarks(checked, self._reader.server.recovers),
        )

    async def cleanup_orphans(self, earlier: Sequence[Step]) -> tuple[str, ...]:
        return tuple(await orphan_cleanup.end_orphans(self._reader, self._name, self._waiting))

    async def recover(self, earlier: Sequence[Step], options: Options, context: StepContext) -> Recovery:
        repaired = await orphan_cleanup.put_right(self._reader, self._connect, earlier, context)
        if not repaired:
            return NOTHING_RUNS
        found, is_well = "; ".join(text for text, _ in repaired), all(is_well for _, is_well in repaired)
        return replace(NOTHING_RUNS, found=found, is_well=is_well, is_damaged=not is_well)


def _with_gain(step: PlannedStep, gains: Mapping[str, int]) -> PlannedStep:
    """`gains`: of rebuilds, by the name of the table."""
    if isinstance(step, MySqlStep) and step.method is Method.REBUILD:
        return replace(step, gain=gains.get(step.table.name, 0))
    return step


def _leaves_binlog(plan: OperationPlan, options: Options) -> bool:
    """Whether its session is kept out of the binary log: only a rebuild is logged and has no NO_WRITE_TO_BINLOG."""
    steps = (step for step in plan.steps if isinstance(step, MySqlStep))
    return options.server.no_binlog and any(step.method is Method.REBUILD for step in steps)
