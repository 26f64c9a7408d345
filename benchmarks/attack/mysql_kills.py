"""Workers on MariaDB and MySQL that are killed in the middle of a rebuild, a check or a repair."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

from benchmarks.attack.directories import attack_directory
from engine import ChildJob, Engine, Operation, Reason, Status
from tests.engine.processes import python
from tests.engine.targets.mysql.a_session import WORKS, filled, runs
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import running_server, servers_found

ROWS = 60_000
ENDS_WITHIN = 120.0
ENGINES = {Operation.REBUILD: "InnoDB", Operation.CHECK: "InnoDB", Operation.REPAIR: "MyISAM"}
"""The storage engine of the table of each operation."""


def attack(count: int, seed: int) -> Iterator[str]:
    """One job after the other on one server, then on the other."""
    dice = random.Random(seed)
    for flavor, program in servers_found().items():
        with running_server(flavor, program) as server, new_database(server) as database:
            made = set()
            for number in range(count):
                operation = dice.choice(list(ENGINES))
                if operation not in made:
                    filled(database, str(operation), ROWS, engine=ENGINES[operation])
                    made.add(operation)
                for fault in asyncio.run(_one(database, operation, dice.random())):
                    yield f"{flavor}, job {number}, seed {seed}: {operation}: {fault}"


async def _one(database: MySqlDatabase, operation: Operation, delay: float) -> list[str]:
    with attack_directory() as directory:
        store = Path(directory) / "jobs.db"
        with python(WORKS, store, database.url, operation, operation) as process:
            job_id = int(await process.says())
            await asyncio.sleep(delay)
            process.kill()
        async with Engine.open(store, workers=1) as engine:
            try:
                async with asyncio.timeout(ENDS_WITHIN):
                    (job,) = await engine.wait([job_id])
            except TimeoutError:
                return ["it does not end"]
    return list(_faults(database, operation, job.children[0]))


def _faults(database: MySqlDatabase, operation: Operation, child: ChildJob) -> Iterator[str]:
    is_told = (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)
    if child.status is not Status.COMPLETED and not (is_told and operation is Operation.REPAIR):
        yield f"it ends as {child.status}: {child.error}"
    if any(step.status is Status.RUNNING for step in child.steps):
        yield "a job is over, and a step of it still reads running"
    if running := database(runs("").replace("COUNT(*)", "info")):
        yield f"still runs: {running[0][0]}"
    if left := [path.name for path in (database.server.data / database.name).glob("#sql*")]:
        yield f"left over: {', '.join(left)}"
    kind, message = database(f"CHECK TABLE `{operation}`")[-1][2:]
    if (kind, message) != ("status", "OK"):
        yield f"its table: {kind} {message}"
    if (rows := database.value(f"SELECT COUNT(*) FROM `{operation}`")) != ROWS:
        yield f"its table has {rows:,} rows of {ROWS:,}"
