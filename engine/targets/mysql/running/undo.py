"""Empties an undo tablespace: new transactions stop using it, and it is purged and truncated once no other needs it."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import pymysql

from engine.domain.errors import TargetBusyError, TargetError
from engine.domain.humanize import span
from engine.domain.steps import WaitsFor
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.names import quote
from engine.targets.mysql.planning.steps import MySqlStep
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.undo import ACTIVE, EMPTY, HELPER, undo_spaces
from engine.targets.mysql.running.statement import Answer
from engine.targets.step_execution import StepContext, StepProgress
from engine.targets.waits import first_of

POLL_EVERY: Final = 0.2
EMPTY_WITHIN: Final = 3600.0
"""Seconds until transactions must have ended that still need it."""
KEPT_ACTIVE: Final = 2
"""The server needs so many."""


async def purge(reader: Reader, connection: Connection, step: MySqlStep, context: StepContext) -> Answer:
    """Whatever happens, the tablespace is active again at the end. Raises TargetError."""
    try:
        spaces = await undo_spaces(reader)
        names = {space.name for space in spaces}
        others = [space for space in spaces if space.state == ACTIVE and space.name != step.object]
        if len(others) < KEPT_ACTIVE and step.object != HELPER and HELPER not in names:
            await connection.command(f"CREATE UNDO TABLESPACE {quote(HELPER)} ADD DATAFILE '{HELPER}.ibu'")
            names.add(HELPER)
        is_empty = await _emptied(reader, connection, step.object, context)
        if step.object != HELPER and HELPER in names:
            await _emptied(reader, connection, HELPER, context, drop=True)
    except pymysql.MySQLError as error:
        return Answer(error=error)
    if not is_empty and not (context.cancel.is_set() or context.window.closed.is_set()):
        why = "transactions still need it. End them: SELECT * FROM information_schema.innodb_trx"
        raise TargetBusyError(reader.what, f"{step.object} did not become empty within {span(EMPTY_WITHIN)}: {why}")
    return Answer(was_asked_to_stop=not is_empty)


async def _emptied(
    reader: Reader, connection: Connection, name: str, context: StepContext, *, drop: bool = False
) -> bool:
    """Whether it became empty. `drop`: then it is removed."""
    give_up, is_empty = time.monotonic() + EMPTY_WITHIN, False
    await connection.command(f"ALTER UNDO TABLESPACE {quote(name)} SET INACTIVE")
    try:
        while not (context.cancel.is_set() or context.window.closed.is_set() or time.monotonic() > give_up):
            states = {space.name: space.state for space in await undo_spaces(reader)}
            if is_empty := states.get(name, EMPTY) == EMPTY:
                break
            phase = f"{name}: waiting for transactions that need it"
            context.report(StepProgress(phase=phase, waits_for=WaitsFor.TRANSACTIONS))
            await first_of(context.cancel, context.window.closed, timeout=POLL_EVERY)
    finally:
        last = (
            f"DROP UNDO TABLESPACE {quote(name)}"
            if (drop or name == HELPER) and is_empty
            else (f"ALTER UNDO TABLESPACE {quote(name)} SET ACTIVE")
        )
        await asyncio.shield(connection.command(last))
    return is_empty


async def size(reader: Reader, name: str) -> int | None:
    """Bytes of it; None if unknown."""
    try:
        return next((space.size for space in await undo_spaces(reader) if space.name == name), None)
    except TargetError:
        return None
