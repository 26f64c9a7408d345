"""Runs the client of pg_repack for one table, and removes what it leaves.

The file of the table tells whether it was rewritten: the exit status of pg_repack is 0 even if it got no lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from engine.domain import typed_passwords
from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.domain.masking import masked
from engine.domain.steps import CLEANING_UP, WaitsFor
from engine.system.dsn import Address
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import KEEPALIVE, Server
from engine.targets.postgres.connection.errors import server_message
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.locks import Blockers, names_of_holders
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.repack_client import PROGRAM, drop_command, leftovers
from engine.targets.postgres.running.connection_pool import ConnectionPool, PooledConnection
from engine.targets.postgres.running.invalid_indexes import NoLeftoverError
from engine.targets.postgres.running.monitor import Monitor, Watched, session_of
from engine.targets.postgres.running.orphan_cleanup import end_sessions, file_of
from engine.targets.postgres.running.progress import PgRepackProgress
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.step_execution import StepProgress
from engine.targets.stop_signal import CANCEL_GIVES_UP_AFTER, StopSignal, until_over

_PHASE: Final = re.compile(r"DEBUG: ---- ([a-z ]+) ----")
_INDEX: Final = re.compile(r"DEBUG: set up index_jobs \[(\d{1,5})\]")
_WAITS: Final = re.compile(r"NOTICE: Waiting for \d+ transactions to finish\. First PID: (\d{1,10})")
_PROBLEM: Final = re.compile(r"(WARNING|ERROR|FATAL): (?:query failed: ERROR: +)?(.+)")
_TIMED_OUT: Final = "timed out, do not cancel conflicting backends"
_OF_NO_INTEREST: Final = "Cancel request sent"
_MOST_KEPT: Final = 20
"""Problems that are kept of what pg_repack prints."""
_LONGEST_LINE: Final = 2**16
"""Bytes of a line that pg_repack prints. Longer lines hold a query, and are skipped."""
_DROPPED_WITHIN: Final = 60.0
"""Seconds."""
_EXITS_WITHIN: Final = 10.0
"""Seconds that the client has to exit after its output has ended."""
_ENDS_WITHIN: Final = 0.5
"""Seconds that a session of the client has to end by itself after the client."""


@frozen
class Dropped:
    """What became of what a dead pg_repack left behind, as text."""

    dropped: str = ""
    left: str = ""
    """What could not be dropped, and why."""


class PgRepack:
    """The client, for the tables of one session."""

    def __init__(self, address: Address, name: str, reader: Reader, lock_timeout: float) -> None:
        """`name`: the application_name of the session's connections."""
        self._address = address
        self._name = f"{name} {PROGRAM}"
        self._reader = reader
        self._lock_timeout = lock_timeout

    async def run(
        self, step: PgStep, pooled: PooledConnection, watched: Watched, monitor: Monitor, *stops: StopSignal
    ) -> Answer:
        """Run it to its end; when one of `stops` is set it is asked to stop, and cleans up by itself.

        As an answer of the server. Where the task is cancelled, too; then CancelledError is raised afterwards.
        Raises TargetError, before it is started.
        """
        assert step.subject is not None, "a rewrite has a table"  # noqa: S101 - a bug
        oid = step.subject.oid
        try:
            await drop_leftovers(self._reader, pooled.connection, oid)
            before = await file_of(self._reader, oid)
            process = await self._started(step, pooled.server)
        except OSError as error:
            return Answer(
                error=psycopg.errors.ExternalRoutineException(f"{PROGRAM} cannot be started: {error.strerror}")
            )
        except psycopg.Error as error:
            return Answer(error=error)
        following = asyncio.create_task(self._follow(process, oid, watched, monitor))
        is_cancelled = await self._until_ended(process, following, stops)
        said, code = following.result(), await _ended(process)
        was_asked = is_cancelled or any(stop.is_set() for stop in stops)
        watched.report(StepProgress(phase=CLEANING_UP))
        left, has_dropped = "", False
        try:
            await end_sessions(self._reader, query("sessions_by_name"), [self._name], patience=_ENDS_WITHIN)
            has_dropped = await drop_leftovers(self._reader, pooled.connection, oid)
        except (psycopg.Error, TargetError) as error:
            left = _still_to_drop(oid, step.object, error)
        if is_cancelled:
            raise asyncio.CancelledError
        try:
            end = _end(said, code) + ("; its trigger, log and copy were dropped" if has_dropped else "")
            answer = _answer(before, await file_of(self._reader, oid), said, code, end, was_asked=was_asked)
        except TargetError as error:
            unknown = f"{_end(said, code)}. Whether it has rewritten the table is unknown: {error.why}"
            answer = Answer(error=psycopg.OperationalError(unknown), was_asked_to_stop=was_asked)
        answer.left = left
        return answer

    async def _started(self, step: PgStep, server: Server) -> Process:
        """Raises OSError."""
        # It gives up once more whole seconds than these have passed.
        waits = f"--wait-timeout={int(self._lock_timeout)}"
        connection = f"--dbname={make_conninfo(**self._parameters(server))}"
        return await asyncio.create_subprocess_exec(
            *step.program, waits, "--elevel=DEBUG", "--no-password", connection,
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, limit=_LONGEST_LINE,
            start_new_session=True,  # a group of its own: what ends the worker from its terminal must not end it
            env=self._environment(),
        )  # fmt: skip

    def _parameters(self, server: Server) -> Mapping[str, str]:
        """How pg_repack connects: like every session of dbtend, and no limit of the role ends its sessions."""
        given = self._address.parameters
        settings = {
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "0",  # one of its sessions keeps a lock while the other copies
            "lock_timeout": f"{max(round(self._lock_timeout * 1000), 1000)}",
            "lc_messages": "C",
        }
        if server.version >= 140_000:
            settings["idle_session_timeout"] = "0"
        if server.version >= 170_000:
            settings["transaction_timeout"] = "0"
        options = [given.get("options", ""), *(f"-c {name}={value}" for name, value in settings.items())]
        return {**KEEPALIVE, **given, "options": " ".join(options).strip(), "application_name": self._name}

    def _environment(self) -> Mapping[str, str]:
        password = typed_passwords.typed_for(self._address.url)
        return {**os.environ, "LC_ALL": "C", **({} if password is None else {"PGPASSWORD": password})}

    async def _until_ended(
        self, process: Process, following: asyncio.Task[list[str]], stops: tuple[StopSignal, ...]
    ) -> bool:
        """Wait for the end of the client. Returns whether the task was cancelled."""
        over, was_asked = StopSignal(), False
        following.add_done_callback(lambda _: over.set())

        async def ask_to_stop() -> None:
            nonlocal was_asked
            if not was_asked:  # a second time it would interrupt its cleanup
                _send(process, signal.SIGINT)
            was_asked = True

        patience = CANCEL_GIVES_UP_AFTER + self._lock_timeout
        _, is_cancelled = await until_over(over, stops, ask_to_stop, lambda _: _send(process, signal.SIGKILL), patience)
        return is_cancelled

    async def _follow(self, process: Process, oid: int, watched: Watched, monitor: Monitor) -> list[str]:
        """Read what it says until it ends. Returns the problems that it tells."""
        problems: deque[str] = deque(maxlen=_MOST_KEPT)
        progress, pids = watched.progress, set[int]()
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        assert isinstance(progress, PgRepackProgress), "another progress"  # noqa: S101 - a bug
        try:
            while True:
                try:
                    line = (await process.stdout.readline()).decode(errors="replace")
                except ValueError:
                    continue
                if not line:
                    return list(problems)
                if found := _PHASE.match(line):
                    progress.phase = found[1]
                    with contextlib.suppress(TargetError):
                        rows = await self._reader.rows(query("sessions_by_name"), [self._name], row=(int, str))
                        pids |= {pid for pid, _ in rows}
                    for pid in pids:
                        monitor.watch(pid, watched)
                elif found := _INDEX.match(line):
                    progress.index = int(found[1])
                elif found := _WAITS.match(line):
                    await self._waits(int(found[1]), watched)
                elif (found := _PROBLEM.match(line)) and found[2] != _OF_NO_INTEREST:
                    problems.append(found[2])
                    if found[2] == _TIMED_OUT:
                        await self._name_holders(oid, watched)
        finally:
            for pid in pids:
                monitor.unwatch(pid)

    async def _name_holders(self, oid: int, watched: Watched) -> None:
        with contextlib.suppress(TargetError):
            watched.blockers = Blockers(await names_of_holders(self._reader, "everybody", [oid]))

    async def _waits(self, pid: int, watched: Watched) -> None:
        """Record that pg_repack waits for a transaction that may see the old table; it has no limit of its own."""
        watched.blockers = Blockers("", f"pid {pid}")
        if watched.wait_limits is not None:
            watched.wait_limits.observe(WaitsFor.TRANSACTIONS, time.monotonic())
        with contextlib.suppress(TargetError):
            session = await session_of(self._reader, pid)
            watched.blockers = Blockers("", session.transactions or f"pid {pid}")
        phase = f"waiting for transaction of {watched.blockers.transactions}"
        progress = watched.progress.fraction
        watched.report(StepProgress(fraction=progress, phase=phase, waits_for=WaitsFor.TRANSACTIONS))


async def drop_leftovers(reader: Reader, connection: Connection, oid: int) -> bool:
    """Drop what a pg_repack that does not run any more left of this table. Returns whether there was anything.

    Waits for the lock of the table as long as the connection is set to. Raises psycopg.Error, TargetError.
    """
    if oid not in await leftovers(reader):
        return False
    with connection.within(_DROPPED_WITHIN):
        await connection.execute(drop_command(oid))
    return True


async def require_leftovers(reader: Reader, oid: int) -> None:
    """Raises NoLeftoverError, and TargetError."""
    if oid not in await leftovers(reader):
        raise NoLeftoverError


async def drop_interrupted(reader: Reader, pool: ConnectionPool, oid: int, name: str) -> Dropped:
    """Drop what a dead pg_repack left behind."""
    try:
        async with pool.connection() as pooled:
            was_left = await drop_leftovers(reader, pooled.connection, oid)
    except (psycopg.Error, TargetError) as error:
        return Dropped(left=_still_to_drop(oid, name, error))
    return Dropped(f"what pg_repack left at {name} was dropped: its trigger, its log and its copy" if was_left else "")


def _still_to_drop(oid: int, name: str, error: psycopg.Error | TargetError) -> str:
    why = error.why if isinstance(error, TargetError) else server_message(error)
    how = f"clean-leftovers does that, or SELECT repack.repack_drop({oid}, 4)"
    return f"trigger and log of pg_repack at {name} were not dropped ({why}): {how}"


async def _ended(process: Process) -> int:
    """Its exit code, once its output has ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_EXITS_WITHIN):
            return await process.wait()
    _send(process, signal.SIGKILL)
    return await process.wait()


def _send(process: Process, number: signal.Signals) -> None:
    """To its group: the program may be a script that runs the client."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end(said: list[str], code: int) -> str:
    if code < 0:
        return f"killed by signal {-code}"
    return masked(said[-1].strip()) if said else "it ended and printed no reason"


def _answer(before: int | None, after: int | None, said: list[str], code: int, end: str, *, was_asked: bool) -> Answer:
    if after is None:
        return Answer(error=psycopg.errors.UndefinedTable("it no longer exists"), was_asked_to_stop=was_asked)
    if after != before:
        problems = [f"{PROGRAM} rewrote it, and then: {end}"] if code else []
        return Answer(notices=[Notice("WARNING", problem) for problem in problems], was_asked_to_stop=was_asked)
    if was_asked:
        return Answer(error=psycopg.errors.QueryCanceled("it was cancelled"), was_asked_to_stop=True)
    if _TIMED_OUT in said:
        return Answer(error=psycopg.errors.LockNotAvailable("it got no lock"))
    return Answer(error=psycopg.errors.ExternalRoutineException(f"{PROGRAM}: {end}"))
