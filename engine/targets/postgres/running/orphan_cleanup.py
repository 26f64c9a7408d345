"""After a process of ours died: what still runs for it on the server is found by its name, and ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from engine.domain.errors import TargetBusyError
from engine.domain.jobs import Facts, Status, Step
from engine.targets.postgres.connection.connecting import GONE_AFTER
from engine.targets.postgres.reading.reader import Reader

ENDS_WITHIN: Final = 30.0
"""Seconds in which a backend is gone that was told to end."""
_OF_DEAD_PROCESSES: Final = """
SELECT pid, left(query, 200) FROM pg_stat_activity
WHERE datname = current_database() AND starts_with(application_name, %s) AND application_name <> %s
    AND backend_type = 'client backend'
"""
_FILE: Final = "SELECT pg_relation_filenode(%s::oid)::int8"
_END: Final = "SELECT pg_terminate_backend(%s)"


async def end_what_still_runs(reader: Reader, name: str) -> list[str]:
    """The server notices by itself that a process is gone, after a while; what still runs then is ended, and told.

    `name`: of who asks; what comes before its last space is the same for all of ours. Raises TargetError where
    something does not end.
    """
    query = [f"{name.rpartition(' ')[0]} ", name]
    give_up, patience = time.monotonic() + ENDS_WITHIN, time.monotonic() + GONE_AFTER + 1
    told: dict[int, str] = {}
    while running := await reader.rows(_OF_DEAD_PROCESSES, query, row=(int, str)):
        for pid, command in running:
            if pid not in told and time.monotonic() > patience:
                await reader.rows(_END, [pid], row=(bool,))
                told[pid] = f"pid {pid} of the process that died still ran, and was ended: {command}"
        if time.monotonic() > give_up:
            pids = ", ".join(str(pid) for pid, _ in running)
            why = f"what an earlier attempt had begun still runs there, and does not end: pid {pids}"
            raise TargetBusyError(reader.what, why, "look at pg_stat_activity, then try again")
        await asyncio.sleep(0.1)
    return list(told.values())


async def before_rewriting(reader: Reader, oid: int) -> Facts:
    """What tells afterwards whether this table or index was rewritten: each time it gets another file."""
    (file,) = await reader.row(_FILE, [oid], row=(int | None,))
    return {"oid": oid, "file": file}


async def what_became_of_rewrites(reader: Reader, earlier: Sequence[Step]) -> list[str]:
    """Of those steps that had not ended when their process died, once nothing of them runs any more; in words."""
    said: list[str] = []
    for step in earlier:
        before = step.effect or {}
        if step.status is Status.COMPLETED or "file" not in before:
            continue
        (file,) = await reader.row(_FILE, [before["oid"]], row=(int | None,))
        if file is None:
            said.append(f"{step.object} is gone: somebody has dropped it")
        elif file == before["file"]:
            said.append(f"nothing changed in {step.object}")
        else:
            name = "VACUUM FULL" if step.command.startswith("VACUUM") else step.command.partition(" ")[0]
            was = f"{step.object} was rewritten: its {name} was completed, unless somebody else has done it"
            said.append(f"{was}; it may still have to be analyzed")
    return said
