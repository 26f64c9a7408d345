"""After a worker process died: end what still runs for it on the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from engine.domain.errors import TargetBusyError
from engine.domain.statuses import Status
from engine.domain.steps import Facts, Step
from engine.targets.postgres.connection.bounded import Parameters
from engine.targets.postgres.connection.connecting import GONE_AFTER
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader

ENDS_WITHIN: Final = 30.0
"""Seconds within which a terminated backend must be gone."""
_END: Final = "SELECT pg_terminate_backend(%s)"


async def end_orphans(reader: Reader, name: str) -> list[str]:
    """End the backends of earlier, dead attempts. Returns a line for each command that was terminated.

    The server ends them by itself, after a while. `name`: the application_name of this process; the part before its
    last space is the same for all attempts. Raises TargetError if a backend does not end.
    """
    terminated = await end_sessions(reader, query("sessions_of_dead_processes"), [f"{name.rpartition(' ')[0]} ", name])
    return [
        f"pid {pid} of the dead process still ran and was terminated: {command}"
        for pid, command in terminated
        if command
    ]


async def end_sessions(
    reader: Reader, query: str, parameters: Parameters, *, patience: float = GONE_AFTER + 1.0
) -> list[tuple[int, str]]:
    """Wait until the query finds no session any more; those that do not end by themselves within
    `patience` seconds are terminated.

    The query gives the pid and command of each. Returns those that were terminated. Raises TargetError if one does not
    end.
    """
    began = time.monotonic()
    terminated: dict[int, str] = {}
    while running := await reader.rows(query, parameters, row=(int, str)):
        for pid, command in running:
            if pid not in terminated and time.monotonic() - began > patience:
                await reader.rows(_END, [pid], row=(bool,))
                terminated[pid] = command
        if time.monotonic() - began > ENDS_WITHIN:
            pids = ", ".join(str(pid) for pid, _ in running)
            why = f"a command of an earlier attempt still runs on the server and does not end: pid {pids}"
            raise TargetBusyError(reader.what, why, "check pg_stat_activity, then try again")
        await asyncio.sleep(0.1)
    return list(terminated.items())


async def recovery_data(reader: Reader, step: PgStep) -> Facts:
    """Recovery data of a rewrite. Each rewrite gives the table a new file. Raises TargetError."""
    assert step.subject is not None, "a rewrite has a table"  # noqa: S101 - a bug
    return {"method": step.method, "oid": step.subject.oid, "file": await file_of(reader, step.subject.oid)}


async def file_of(reader: Reader, oid: int) -> int | None:
    """The file of a table, which a rewrite replaces; None where there is no such table. Raises TargetError."""
    (file,) = await reader.row(query("file_of_relation"), [oid], row=(int | None,))
    return int(file) if file is not None else None


def interrupted_rebuilds(earlier: Sequence[Step]) -> set[str]:
    """The indexes whose concurrent rebuild did not complete."""
    unfinished = [step for step in earlier if step.status is not Status.COMPLETED]
    return {step.object for step in unfinished if (step.effect or {}).get("method") == Method.REINDEX_CONCURRENTLY}


def interrupted_pg_repacks(earlier: Sequence[Step]) -> dict[int, str]:
    """The tables that pg_repack had not completed when its process died: names by oid."""
    unfinished = [(step.object, step.effect or {}) for step in earlier if step.status is not Status.COMPLETED]
    return {int(str(data["oid"])): name for name, data in unfinished if data.get("method") == Method.PG_REPACK}


async def outcomes_of_rewrites(reader: Reader, earlier: Sequence[Step]) -> list[str]:
    """What became of rewrites that had not ended when their process died. Call it once none of them runs any more."""
    reports: list[str] = []
    for step in earlier:
        before = step.effect or {}
        if step.status is Status.COMPLETED or "file" not in before:
            continue
        file = await file_of(reader, int(str(before["oid"])))
        if file is None:
            reports.append(f"{step.object} no longer exists: another session dropped it")
        elif file == before["file"]:
            reports.append(f"nothing changed in {step.object}")
        else:
            method = before.get("method")
            name = method.upper() if method in {Method.CLUSTER, Method.REPACK} else "VACUUM FULL"
            name = "pg_repack" if method == Method.PG_REPACK else name
            was = f"{step.object} has been rewritten since, by its {name} or by another command"
            reports.append(f"{was}; run ANALYZE on it")
    return reports
