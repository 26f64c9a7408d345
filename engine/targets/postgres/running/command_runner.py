"""Runs the command of a step once: sets limits, watches it, runs its follow-up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from typing import Final

import psycopg

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.domain.humanize import NOT_BEGUN
from engine.domain.requests import ServerOptions
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.connection.errors import CRASHED, setting_error
from engine.targets.postgres.planning.steps import Method, PgStep, Subject
from engine.targets.postgres.reading.locks import NO_BLOCKERS
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running import groups, invalid_indexes, orphan_cleanup
from engine.targets.postgres.running.checking import Checks
from engine.targets.postgres.running.connection_pool import ConnectionPool, PooledConnection
from engine.targets.postgres.running.invalid_index_cleanup import CleanupResult, InvalidIndexCleanup
from engine.targets.postgres.running.monitor import Monitor, Watched
from engine.targets.postgres.running.pg_repack import PgRepack, require_leftovers
from engine.targets.postgres.running.progress import PgRepackProgress, Progress
from engine.targets.postgres.running.result import follow_up_notices, missing_follow_up, was_skipped_by_server
from engine.targets.postgres.running.size_tracker import SizeTracker
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.postgres.running.wait_limits import CONCURRENT, WaitLimits
from engine.targets.step_execution import StepContext
from engine.targets.stop_signal import StopSignals

WHOLE_DATABASE: Final = Subject(oid=0, schema="", name="", table="")


@frozen
class CommandRun:
    """How the command of a step ended, and on which server."""

    answer: Answer
    watched: Watched
    server: Server
    size_before: int | None
    """Bytes of its table or index; None where not measured."""
    done: Collection[int] = ()
    """The oids of the tables that a command for several tables did, where it did not do them all."""
    is_closed: bool = False
    """Whether its connection is closed."""
    cleanup: CleanupResult | None = None
    """What became of its leftovers, if they were cleaned up after its connection was lost."""
    dropped: str = ""
    """Which of its leftovers were dropped, as text."""

    @property
    def is_lost(self) -> bool:
        """Whether the connection was lost while the command ran."""
        return self.is_closed and self.answer.error is not None and not self.answer.was_asked_to_stop

    def may_be_repeated(self, server: Server) -> bool:
        """Whether the whole server went down: it restarted, or reported a crash of another process.

        Where only this connection was lost, an administrator may have ended it on purpose.
        """
        return server.started != self.server.started or self.heard_of_crash

    @property
    def heard_of_crash(self) -> bool:
        """Whether the server said that another of its processes crashed: one that helped with this command, or not."""
        codes = {notice.sqlstate for notice in self.answer.notices} | {self.answer.error and self.answer.error.sqlstate}
        return CRASHED in codes

    @property
    def had_helpers(self) -> bool:
        """Whether VACUUM said that other processes help it with the indexes; some servers say it in their language."""
        return any("parallel vacuum" in notice.message for notice in self.answer.notices)


@frozen(kw_only=True)
class OperationParts:
    """What the steps of one operation share."""

    reader: Reader
    pool: ConnectionPool
    sizes: SizeTracker
    cleanup: InvalidIndexCleanup
    pg_repack: PgRepack
    lock_timeout: float
    options: ServerOptions
    checks: Checks | None
    """The findings so far, if the operation is a check."""


class CommandRunner:
    """Runs commands on the connections of a pool."""

    def __init__(self, parts: OperationParts) -> None:
        self._parts = parts
        self._monitor = Monitor(parts.reader)
        self._stops = StopSignals()

    async def close(self) -> None:
        await self._monitor.end()
        await self._stops.end()

    async def run_uncompared(self, step: PgStep, context: StepContext) -> Answer:
        """Check an index without comparing it with its table. Raises TargetError, psycopg.Error."""
        async with self._parts.pool.connection() as pooled:
            return await pooled.statements.run(step.uncompared_command, self._stops.of(context.cancel))

    async def run_on(self, pooled: PooledConnection, step: PgStep, context: StepContext) -> CommandRun:
        """Run the command of a step to its end. Raises NoLeftoverError, TargetError: then it was not sent."""
        if step.method is Method.DROP_LEFTOVER and step.subject is not None:
            await invalid_indexes.require_leftover(self._parts.reader, step.subject.oid)
        if step.method is Method.DROP_PG_REPACK and step.subject is not None:
            await require_leftovers(self._parts.reader, step.subject.oid)
        size_before = await self._parts.sizes.before(step)
        if step.is_rewrite and step.subject is not None:
            with contextlib.suppress(TargetError):
                context.save_recovery_data(await orphan_cleanup.recovery_data(self._parts.reader, step))
        limits = self._wait_limits(step, context)
        kind = PgRepackProgress if step.method is Method.PG_REPACK else Progress
        watched = Watched(
            progress=kind(step.model, step.subject or WHOLE_DATABASE, began=time.monotonic(), seconds=step.estimate),
            report=context.report,
            wait_limits=limits,
            yield_after=self._parts.options.yield_after,
            closed=context.window.closed,
        )
        stops = self._stops.of(context.cancel), watched.must_yield, watched.is_late, limits.exceeded
        waits_long = step.method in CONCURRENT or (
            # Behind its last lock everybody waits: only who asks for it leaves that wait to this process.
            step.method is Method.REPACK and self._parts.options.snapshot_wait is not None
        )
        try:
            await pooled.set(step.settings)
            await pooled.set_lock_timeout(
                limits.server_limit(time.monotonic()) if waits_long else self._parts.lock_timeout
            )
        except psycopg.Error as error:
            raise setting_error(self._parts.reader.what, error) from None
        self._monitor.watch(pooled.server.connection_id, watched)
        try:
            command = step.command if self._parts.checks is None else self._parts.checks.command_of(step)
            if step.method is Method.PG_REPACK:
                answer = await self._parts.pg_repack.run(step, pooled, watched, self._monitor, *stops)
            else:
                answer = await pooled.statements.run(step.first_command or command, *stops)
            if step.verbose_command and answer.has_warned:
                answer = await pooled.statements.run(step.verbose_command, *stops)
            if step.follow_up_command and answer.error is None and not was_skipped_by_server(step, answer):
                answer.notices += await self._follow_up(step, pooled, watched, context)
        except asyncio.CancelledError:
            await self._parts.cleanup.clean_up(step)
            raise
        finally:
            self._monitor.unwatch(pooled.server.connection_id)
        has_left_some = step.members and (answer.error is not None or answer.has_warned)
        done = await groups.done(self._parts.reader, pooled.server.connection_id, step) if has_left_some else ()
        return CommandRun(answer, watched, pooled.server, size_before, done, is_closed=pooled.connection.closed)

    def _wait_limits(self, step: PgStep, context: StepContext) -> WaitLimits:
        snapshot_wait = self._parts.options.snapshot_wait
        if step.method is Method.DROP_LEFTOVER and snapshot_wait is None:
            snapshot_wait = self._parts.lock_timeout  # a drop that gives up loses no work
        return WaitLimits(self._parts.lock_timeout, snapshot_wait, context.window.closes_at)

    async def _follow_up(
        self, step: PgStep, pooled: PooledConnection, watched: Watched, context: StepContext
    ) -> list[Notice]:
        """Run the second command. It is short, so sessions that wait behind it do not stop it."""
        if context.cancel.is_set():
            return [missing_follow_up(step, NOT_BEGUN)]
        watched.blockers = NO_BLOCKERS
        answer = await pooled.statements.run(step.follow_up_command, self._stops.of(context.cancel))
        return follow_up_notices(step, answer, waited=self._parts.lock_timeout, blockers=watched.blockers.text)
