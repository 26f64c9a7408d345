"""After a worker process died: ends its commands on the server, or waits for those that must not be stopped; then
checks and repairs tables whose REPAIR was interrupted, and sees to undo tablespaces.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import pymysql

from engine.domain.errors import ServerUnavailableError, TargetBusyError
from engine.domain.statuses import Status
from engine.domain.steps import Facts, Step
from engine.targets.limits import Limits, NotBegunError
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import NO_RIGHT, number_of, server_message
from engine.targets.mysql.connection.names import qualified, shown
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.running import statement, undo
from engine.targets.mysql.running.result import verdict
from engine.targets.step_execution import StepContext
from engine.targets.stop_signal import StopSignals
from engine.targets.target import Waiting

ENDS_WITHIN: Final = 60.0
"""Seconds within which a killed command must be gone: it removes its new file first."""
WAITED_FOR: Final = 3600.0
"""Seconds that others are waited for. A REPAIR must not be stopped: it would leave its table crashed. A rebuild on all
nodes of a Galera cluster cannot be."""


def marked(name: str, command: str) -> str:
    """A command with the name of its attempt, which the process list shows."""
    return f"/* {name.replace('*', '')} */ {command}"


async def end_orphans(reader: Reader, name: str, waiting: Waiting | None = None) -> list[str]:
    """End the commands of earlier, dead attempts. Returns a line for each.

    Raises TargetError if one does not end.

    Args:
        name: that of this attempt; the part before its last space is the same for all.
        waiting: called with the commands that are waited for.
    """
    patterns = [f"/* {_escaped(one)}%" for one in (f"{name.rpartition(' ')[0]} ", f"{name} ")]
    found = await _end(reader, query("commands_of_dead_processes"), patterns, waiting)
    return [f"connection {number} of the dead process still ran {ended}" for number, ended in found.items()]


async def end_lost(reader: Reader, connection_id: int, limits: Limits) -> None:
    """End the command on a connection that was lost: the server goes on with it. Raises TargetError likewise.

    After a cancel one that must not be stopped is waited for no longer than one that is killed.
    """
    try:
        await _end(reader, query("command_on_connection"), [connection_id], limits=limits)
    except ServerUnavailableError:  # the reader had lost its own, and takes another one
        await _end(reader, query("command_on_connection"), [connection_id], limits=limits)


async def _end(
    reader: Reader,
    query: str,
    args: Sequence[object],
    waiting: Waiting | None = None,
    limits: Limits | None = None,
) -> dict[int, str]:
    """How the command of each connection ended, as text. Without `limits`, a cancel cancels the task."""
    began, done, waited_for = time.monotonic(), dict[int, str](), dict[int, str]()
    while running := await reader.rows(query, args, row=(int, str)):
        for number, info in running:
            command = info.partition("*/ ")[2]
            if number not in done:
                is_stopped = not command.startswith("REPAIR ") and await _is_killed(reader, number)
                done[number] = f"{'and was ended' if is_stopped else 'and was waited for'}: {command}"
                if not is_stopped:
                    waited_for[number] = command
        commands = [waited_for[number] for number, _ in running if number in waited_for]
        if commands and waiting is not None:
            waiting(f"a command of an earlier attempt still runs on the server: {commands[0]}")
        is_patient = commands and not (limits is not None and limits.cancel.is_set())
        if time.monotonic() - began > (WAITED_FOR if is_patient else ENDS_WITHIN):
            numbers = ", ".join(str(number) for number, _ in running)
            why = f"a command of an earlier attempt still runs on the server and does not end: connection {numbers}"
            raise TargetBusyError(reader.what, why, "check SHOW PROCESSLIST, then try again")
        await asyncio.sleep(0.1)
    return done


async def _is_killed(reader: Reader, number: int) -> bool:
    """Whether a connection is ended, or has just ended by itself; False where the server refuses that."""
    try:
        await reader.rows_or_error(f"KILL {number}", row=())
    except pymysql.MySQLError as error:
        return number_of(error) not in NO_RIGHT
    return True


def _escaped(text: str) -> str:
    return text.replace("*", "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def recovery_data(step: MySqlStep) -> Facts | None:
    """What recovery needs of a step that may leave a crashed table, or an inactive tablespace; None for others."""
    if step.method is Method.PURGE_UNDO:
        return {"method": step.method, "tablespace": step.object}
    if step.method is not Method.REPAIR:
        return None
    return {"method": step.method, "table": step.table.name}


async def put_right(
    reader: Reader,
    connect: Callable[[], Awaitable[tuple[Connection, Server]]],
    earlier: Sequence[Step],
    context: StepContext,
) -> list[tuple[str, bool]]:
    """Check and repair the tables whose REPAIR had not ended, and empty the undo tablespaces whose purge had not.

    Returns what became of each, as text, and whether it is well now. Raises TargetError.
    """
    unfinished = [step.effect or {} for step in earlier if step.status is not Status.COMPLETED]
    left = [data for data in unfinished if data.get("method") in {Method.REPAIR, Method.PURGE_UNDO}]
    if not left:
        return []
    connection, server = await connect()
    try:
        return [await _put_right(reader, connection, server.database, data, context) for data in left]
    finally:
        await connection.close()


async def _put_right(
    reader: Reader, connection: Connection, database: str, data: Facts, context: StepContext
) -> tuple[str, bool]:
    """`data`: see `recovery_data`."""
    if data["method"] == Method.PURGE_UNDO:
        return await undo.put_right(reader, connection, str(data["tablespace"]), context)
    name = str(data["table"])
    return await _repaired(reader, connection, qualified(database, name), shown(name), context)


_ROWS_MAY_BE_LOST: Final = "Rows that the repair could not read, if any, are gone; how many is not known"


async def _repaired(
    reader: Reader, connection: Connection, table: str, name: str, context: StepContext
) -> tuple[str, bool]:
    stops = StopSignals()
    try:
        checked = await statement.run(connection, f"CHECK TABLE {table}", reader, stops.of(context.cancel))
    finally:
        await stops.end()
    if not checked.was_asked_to_stop and checked.error is None:
        if verdict(checked.rows).is_well:
            return f"a check of {name} found nothing wrong. {_ROWS_MAY_BE_LOST}", True
        checked = await statement.run_whole(connection, f"REPAIR TABLE {table}", reader, context)
    if checked.was_asked_to_stop:
        raise NotBegunError
    if checked.error is not None:
        return f"{name} cannot be checked: {server_message(checked.error)}", False
    found = verdict(checked.rows)
    problems = [*found.errors, *found.statuses]
    if found.is_well:
        return f"{name} was left crashed, and is repaired. {_ROWS_MAY_BE_LOST}", True
    return f"{name} is crashed, and its repair failed: {problems[0] if problems else 'no verdict'}", False
