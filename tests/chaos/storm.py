"""Processes that work on one store while others of them are killed and stopped at random."""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.chaos.checker import Finding, Record, check, ended_by_force, record_in, rescues
from tests.chaos.console import console
from tests.chaos.instruments import Plant
from tests.chaos.processes import Processes, processes
from tests.chaos.trace import Line, Trace, What
from tests.sqlite_files import content, make_database

TICK = 0.02
STOPPED_SHARE = 0.2
STOPPED_FOR = 0.3
"""Seconds."""
CALM = 120.0
"""Seconds within which one healthy process must have brought everything to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What rages, and for how long: until so many signals were sent, or so many seconds have passed."""

    seed: int
    signals: float = math.inf
    seconds: float = math.inf
    databases: int = 6
    hosts: int = 3
    workers: int = 1
    submitters: int = 2
    consoles: int = 1
    pause: float = 0.1
    """Mean seconds between two signals, at least: before each, some process must have got on with something."""
    plants: tuple[Plant, ...] = ()
    """Bugs of the hosts, to see what the checker makes of them."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    findings: Sequence[Finding]
    counts: Mapping[str, int]
    output: str
    """What the processes wrote, but for the consoles."""


async def rage(storm: Storm, directory: Path) -> Aftermath:
    """Let the storm rage, then one healthy process bring everything to its end; what is wrong after that."""
    chance = random.Random(storm.seed)
    databases = [
        make_database(directory / f"database{number}.db", rows=2000, journal_mode=("delete", "wal")[number % 2])
        for number in range(storm.databases)
    ]
    contents = {path: content(path) for path in databases}
    trace = Trace(directory)
    with processes(trace) as all_processes:
        await _kill_and_stop(storm, all_processes, databases, chance)
        all_processes.kill_all()
        all_processes.host(workers=4)
        await until_all_is_over(trace.store)
    lines = trace.told()
    logs = [directory / "output", *directory.glob("jobs.db.d/*.log*")]
    findings, record = await check(trace.store, lines, contents), await record_in(trace.store)
    return Aftermath(findings, _counts(lines, record), "".join(log.read_text() for log in logs))


async def _kill_and_stop(
    storm: Storm, all_processes: Processes, databases: Sequence[Path], chance: random.Random
) -> None:
    with ExitStack() as consoles:

        def start_console() -> Popen[bytes]:
            opened = console(all_processes.environment(), "--store", all_processes.trace.store, *databases)
            return consoles.enter_context(opened).process

        starts: list[Callable[[], Popen[bytes]]] = [
            *[lambda: all_processes.host(plants=storm.plants)] * storm.hosts,
            *[all_processes.worker] * storm.workers,
            *[lambda: all_processes.submitter(chance.getrandbits(32), databases)] * storm.submitters,
            *[start_console] * storm.consoles,
        ]
        programs = [start() for start in starts]
        clock = asyncio.get_running_loop().time
        end, due, sent, seen = clock() + storm.seconds, clock(), 0, 0
        stopped: dict[int, float] = {}
        while clock() < end and sent < storm.signals:
            await asyncio.sleep(TICK)
            for pid in [pid for pid, until in stopped.items() if until <= clock()]:
                del stopped[pid]
                all_processes.go_on(pid)
            programs = [it if it.poll() is None else start() for start, it in zip(starts, programs, strict=True)]
            if clock() < due or all_processes.trace.size() == seen:
                continue
            victim = chance.choice(all_processes.living())
            if chance.random() < STOPPED_SHARE:
                all_processes.stop(victim)
                stopped[victim] = clock() + STOPPED_FOR
            else:
                all_processes.kill(victim)
            due, sent, seen = clock() + chance.uniform(0.5, 1.5) * storm.pause, sent + 1, all_processes.trace.size()
        for pid in stopped:
            all_processes.go_on(pid)


async def until_all_is_over(store: Path) -> None:
    """Wait until no job is open, but not for ever: what is open then is a finding."""
    clock = asyncio.get_running_loop().time
    end = clock() + CALM
    while clock() < end:
        with closing(sqlite3.connect(store)) as db:
            if not db.execute("SELECT EXISTS (SELECT 1 FROM parent_job WHERE finished_at IS NULL)").fetchone()[0]:
                return
        await asyncio.sleep(0.1)


def _counts(lines: Sequence[Line], record: Record) -> Mapping[str, int]:
    happened = Counter(line.what for line in lines)
    return {
        "processes killed": happened[What.KILLED],
        "processes stopped": happened[What.STOPPED],
        "submissions": happened[What.SUBMITTED],
        "executions": happened[What.BEGAN],
        "ends accepted": happened[What.FINISHED],
        "ends refused": happened[What.REFUSED],
        "rescues": rescues(record),
        "ended by force": ended_by_force(record),
    }
