"""Empties an undo tablespace: new transactions stop using it, and it is purged and truncated once no other needs it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

import pymysql

from engine.domain.errors import TargetBusyError, TargetError
from engine.domain.humanize import listed, span
from engine.domain.steps import WaitsFor
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import INTERRUPTED, number_of, server_message
from engine.targets.mysql.planning.steps import MySqlStep
from engine.targets.mysql.planning.undo_steps import MAKE_HELPER, activate, drop, inactivate
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.condition import oldest_transaction
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.undo import EMPTY, HELPER, undo_spaces
from engine.targets.mysql.running import statement
from engine.targets.mysql.running.statement import Answer
from engine.targets.step_execution import StepContext, StepProgress

POLL_EVERY: Final = 0.2
EMPTY_WITHIN: Final = 3600.0
"""Seconds until transactions must have ended that still need it."""
HELPER_EMPTY_WITHIN: Final = 10.0
"""The same for the helper, after a purge that came to nothing."""
UNKNOWN_LEFT: Final = "undo tablespaces may be left, which another purge-undo puts right"


async def purge(reader: Reader, connection: Connection, step: MySqlStep, context: StepContext) -> Answer:
    """Whatever happens, the tablespace is active again at the end. Raises TargetError."""
    is_empty = False
    try:
        if step.with_helper:
            await _run(reader, connection, MAKE_HELPER, context)
        try:
            is_empty = await _emptied(reader, connection, step.object, context)
        finally:
            if step.with_helper:
                within = EMPTY_WITHIN if is_empty else HELPER_EMPTY_WITHIN
                await _emptied(reader, connection, HELPER, context, within)
    except pymysql.MySQLError as error:
        return Answer(error=error, was_asked_to_stop=number_of(error) == INTERRUPTED)
    if not is_empty and not context.is_ending:
        why = "transactions still need it. End them: SELECT * FROM information_schema.innodb_trx"
        raise TargetBusyError(reader.what, f"{step.object} did not become empty within {span(EMPTY_WITHIN)}: {why}")
    return Answer(was_asked_to_stop=not is_empty)


async def _emptied(
    reader: Reader, connection: Connection, name: str, context: StepContext, within: float = EMPTY_WITHIN
) -> bool:
    """Whether it became empty within so many seconds. It is active then; the helper is dropped, if it is empty."""
    began = time.monotonic()
    await _run(reader, connection, inactivate(name), context)
    is_empty = False
    try:
        while not (is_empty := await _is_empty(connection, name)):
            if context.is_ending:
                within = HELPER_EMPTY_WITHIN if name == HELPER else 0
            if time.monotonic() - began > within:
                break
            phase = f"waiting for transactions that need {name}{await _oldest(reader)}"
            context.report(StepProgress(phase=phase, waits_for=WaitsFor.TRANSACTIONS))
            await context.pause(POLL_EVERY)
    finally:
        if name != HELPER:
            await asyncio.shield(_run(reader, connection, activate(name), context, HELPER_EMPTY_WITHIN))
        elif is_empty:  # otherwise the server empties it later
            await asyncio.shield(_run(reader, connection, drop(name), context, HELPER_EMPTY_WITHIN))
    return is_empty


async def _run(
    reader: Reader, connection: Connection, command: str, context: StepContext, after_cancel: float = 0.0
) -> None:
    """Run one of these commands, which wait for a backup of the server. Raises pymysql.MySQLError."""
    answer = await statement.run_whole(connection, command, reader, context, after_cancel=after_cancel)
    if answer.error is not None:
        raise answer.error


async def _oldest(reader: Reader) -> str:
    with contextlib.suppress(TargetError):
        if (oldest := await oldest_transaction(reader)) is not None:
            return f"; the oldest: {oldest.text}"
    return ""


async def _is_empty(connection: Connection, name: str) -> bool:
    rows = await connection.rows(query("undo_spaces"), row=(str, str, int))
    states: dict[str, str] = {name: state for name, state, _ in rows}
    return states.get(name, EMPTY) == EMPTY


async def put_right(reader: Reader, connection: Connection, name: str, context: StepContext) -> tuple[str, bool]:
    """What became of a tablespace whose purge was interrupted, as text, and whether it is well. Raises TargetError."""
    try:
        if name != HELPER:
            await _run(reader, connection, activate(name), context)
        if any(space.name == HELPER for space in await undo_spaces(reader)):
            await _emptied(reader, connection, HELPER, context, HELPER_EMPTY_WITHIN)
    except pymysql.MySQLError as error:
        return f"undo tablespace {name} cannot be put right: {server_message(error)}", False
    done = "dropped" if name == HELPER else "active again"
    return await left(reader) or f"undo tablespace {name} is {done}", True


async def left(reader: Reader) -> str:
    """What an interrupted purge left, as text; "" for nothing. Raises TargetError."""
    names = [space.name for space in await undo_spaces(reader) if space.is_left]
    return f"undo tablespace {listed(names, 3)} was left, which another purge-undo puts right" if names else ""


async def size(reader: Reader, name: str) -> int | None:
    """Bytes of it; None if unknown."""
    try:
        return next((space.size for space in await undo_spaces(reader) if space.name == name), None)
    except TargetError:
        return None
