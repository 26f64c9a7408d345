"""Processes that maintain SQLite databases and are killed by SIGKILL in the middle of an operation, at random."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Final

from engine import Engine
from engine.domain.jobs import ParentJob, run_duration
from engine.domain.requests import Operation, Request
from engine.domain.statuses import Reason, Status
from tests.building import SQLITE_OPERATIONS
from tests.chaos.checker import check
from tests.chaos.processes import Processes, processes
from tests.chaos.trace import Trace, What
from tests.corpus.case import unsynced
from tests.corpus.judge import NOT_COPIED, State
from tests.sqlite_files import make_database

MODES: Final = ("delete", "wal")
PATIENCE: Final = 60.0
"""Seconds after which what should follow is taken for missing."""
LOOK: Final = 0.002
"""Seconds between two looks whether it is there."""
SEGMENTS: Final = 30
"""Of the index of full text, each from a transaction of its own."""
HOSTS: Final = 2
"""One that is killed, one that takes over."""
AT_FIRST_WITHIN: Final = 0.1
"""Seconds within which an operation is killed of which nobody knows yet how long it takes."""
DONE_BEFORE: Final = (Status.SKIPPED, Reason.NOT_NEEDED)
"""The end of a second attempt after a first one that had got through with everything but the saying so."""
MAGIC: Final = 8
"""Bytes at the start of a journal by which SQLite knows that it counts."""
Kind = tuple[Operation, str]
"""An operation, and the journal mode of the database."""
KINDS: Final[tuple[Kind, ...]] = tuple(
    (operation, mode)
    for operation in SQLITE_OPERATIONS
    for mode in MODES
    if (operation, mode) != (Operation.CHECKPOINT, "delete")  # which has no log to write back
)


@dataclass(slots=True)
class Toll:
    """What came of it: how many processes were killed in the middle of what, and all that is wrong after that."""

    kills: Counter[Kind] = field(default_factory=Counter)
    too_late: int = 0
    """The operation was over when the signal came."""
    taken_over: int = 0
    """Jobs that another process brought to their end."""
    lost_twice: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """How often a kill left a file with that ending beside the database."""
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Template:
    """A database of some MB with work for every operation. In WAL mode its log holds some of it."""

    files: Mapping[str, Path]
    state: State

    def copy_to(self, path: Path) -> Path:
        for suffix, file in self.files.items():
            shutil.copyfile(file, f"{path}{suffix}")
        return path


def _template(directory: Path, mode: str, rows: int) -> _Template:
    directory.mkdir()
    path = make_database(directory / "template.db", rows=rows)
    with unsynced(path) as db:
        db.executescript(f"PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA journal_mode = {mode}")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("INSERT INTO search(search, rank) VALUES ('automerge', 0), ('crisismerge', 64)")
        for number in range(SEGMENTS):
            db.execute("BEGIN")
            db.executemany("INSERT INTO search VALUES (?)", ((f"word{number} {i} common",) for i in range(rows // 200)))
            db.execute("COMMIT")
        db.execute("UPDATE item SET note = note || 'x' WHERE rowid % 3 = 0")
        db.execute("DELETE FROM item WHERE rowid % 5 = 0")
        # Copying drops the locks of this process; nobody else is there who could notice.
        files = {suffix: directory / f"copy{suffix}" for suffix in ("", *(["-wal"] if mode == "wal" else []))}
        for suffix, file in files.items():
            shutil.copyfile(f"{path}{suffix}", file)
    state = State.of(files[""])
    assert state.complaints == []
    return _Template(files, state)


async def kill_at_random(
    directory: Path,
    *,
    seed: int,
    kills: int,
    rows: int,
    killed_twice: float,
    told: Callable[[Toll], None] = lambda _: None,
) -> Toll:
    """Kill until so many have hit an operation in the middle, each kind in turn, each on a fresh database.

    `rows`: how large they are. `killed_twice`: the share of jobs whose second attempt is killed, too; there is no
    third. `told` is called after each job.
    """
    toll, chance, trace = Toll(), random.Random(seed), Trace(directory)
    templates = {mode: _template(directory / mode, mode, rows) for mode in MODES}
    within = dict.fromkeys(KINDS, AT_FIRST_WITHIN)
    with processes(trace) as all_processes:
        hosts = [all_processes.host(workers=1) for _ in range(HOSTS)]
        async with Engine.open(trace.store) as engine:
            for number, kind in enumerate(_in_turn(chance)):
                if toll.kills.total() >= kills:
                    break
                (directory / str(number)).mkdir()
                path = templates[kind[1]].copy_to(directory / str(number) / "a.db")
                victim = _Victim(engine, all_processes, hosts, chance, toll, kind, path, templates[kind[1]].state)
                async with asyncio.timeout(PATIENCE):
                    within[kind] = await victim.fall(within[kind], killed_twice)
                shutil.rmtree(path.parent)
                told(toll)
        all_processes.kill_all()
    toll.findings += [f"{finding.kind}: {finding.what}" for finding in await check(trace.store, trace.told(), {})]
    return toll


def _in_turn(chance: random.Random) -> Iterator[Kind]:
    while True:
        yield from chance.sample(KINDS, len(KINDS))


@dataclass(slots=True)
class _Victim:
    """One job, of which the process is killed at a random moment, and what is found after that."""

    engine: Engine
    all_processes: Processes
    hosts: list[Popen[bytes]]
    chance: random.Random
    toll: Toll
    kind: Kind
    path: Path
    before: State

    async def fall(self, within: float, twice: float) -> float:
        """Let it run, and kill it within so many seconds, and now and then once more; within how many it should be."""
        operation, _ = self.kind
        (job,) = await self.engine.submit([Request(target=str(self.path), operations=(operation,))])
        hit = await self._kill(job.id, attempt=1, within=within)
        killed_twice = hit and self.chance.random() < twice and await self._kill(job.id, attempt=2, within=within)
        (parent,) = await self.engine.wait([job.id])
        self._look_afterwards(parent, killed_twice)
        duration = run_duration(parent.children[0], 0)
        return within if hit or duration is None else duration

    async def _kill(self, job: int, *, attempt: int, within: float) -> bool:
        """Whether the operation was still running; if so, its database is looked at before anybody can rescue it."""
        pid = await self._begins(job, attempt)
        others = [host for host in self.hosts if host.pid != pid]
        for other in others:
            self.all_processes.stop(other.pid)
        await asyncio.sleep(self.chance.uniform(0, within))
        self.all_processes.kill(pid)
        await asyncio.to_thread(next(host for host in self.hosts if host.pid == pid).wait)
        (child,) = (await self.engine.job(job)).children
        hit = not child.status.is_final or child.reason is Reason.OWNER_LOST
        if hit:
            self._look("after the kill")
            self.toll.kills[self.kind] += 1
            self.toll.left.update(file.name.removeprefix(self.path.name) for file in self.path.parent.iterdir())
        else:
            self.toll.too_late += 1
        for other in others:
            self.all_processes.go_on(other.pid)
        self.hosts[:] = [*others, self.all_processes.host(workers=1)]
        return hit

    async def _begins(self, job: int, attempt: int) -> int:
        """Wait until this attempt is under way; in which process."""
        while True:
            for line in self.all_processes.trace.told():
                if (line.what, line.job, line.attempt) == (What.BEGAN, f"{job}.1", attempt):
                    return line.pid
            await asyncio.sleep(LOOK)

    def _look(self, when: str) -> None:
        now = State.of(self.path)
        self.toll.findings += [f"{self._name} {when}: {complaint}" for complaint in now.complaints]
        if lost := self.before.lost_in(now, frozenset()):
            self._found(f"another content {when}: {lost}")

    def _look_afterwards(self, parent: ParentJob, killed_twice: bool) -> None:
        (child,), (operation, _) = parent.children, self.kind
        expected = [(Status.FAILED, Reason.OWNER_LOST)] if killed_twice else [(Status.COMPLETED, None), DONE_BEFORE]
        if (child.status, child.reason) not in expected:
            self._found(f"has ended {child.status} ({child.reason}), {child.error}")
        self._look("in the end")
        self.toll.lost_twice += killed_twice
        self.toll.taken_over += child.attempt > 1 and not killed_twice
        beside = sorted(file.name for file in self.path.parent.iterdir() if file != self.path)
        if operation is Operation.BACKUP:
            copies = [State.of(self.path.parent / name) for name in beside]
            # One that was killed between the last step and the saying so has left a copy that is as good.
            if not (copies or killed_twice) or any(
                copy.complaints or self.before.lost_in(copy, NOT_COPIED) for copy in copies
            ):
                self._found(f"has made {beside}")
        elif beside and not (killed_twice and self._is_not_valid_yet(beside)):
            self._found(f"has left {beside}")

    def _is_not_valid_yet(self, beside: list[str]) -> bool:
        """Whether that is a journal of which nothing counts, as its start was not written: the next writer replaces it,
        and after a second kill there is none."""
        journal = f"{self.path.name}-journal"
        return beside == [journal] and not any((self.path.parent / journal).read_bytes()[:MAGIC])

    @property
    def _name(self) -> str:
        operation, mode = self.kind
        return f"{operation} in {mode} mode"

    def _found(self, what: str) -> None:
        self.toll.findings.append(f"{self._name}: {what}")
