"""What must hold after a chaos test, judged by the store, the trace and the databases alone."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.domain.events import Change, ChangeKind, HistoryFilter
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason, Status, may_follow, parent_status
from engine.store.ending_texts import NOT_RECOVERED, RECOVERY_DIED_TOO
from engine.store.protocol import Store
from engine.store.sqlite.store import SqliteStore
from tests.chaos.trace import Line, What
from tests.sqlite_files import content, integrity


class Kind(StrEnum):
    OVERLAP = "two executions at once on one target"
    PARENT = "a parent that is not what its children say"
    OPEN = "a job left open"
    LOST = "a submission that is not there, or not whole"
    FINISH = "an end that is not that of the last attempt"
    ATTEMPTS = "attempts with a gap"
    TRANSITION = "a transition that is not allowed"
    FAILURE = "an operation that failed on a healthy database"
    RECOVERY = "an operation whose process died for good, and whose database nobody has looked after"
    CONTENT = "a database with another content than before"
    DAMAGE = "a file that is damaged"


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a store tells of all its jobs."""

    parents: Mapping[int, ParentJob]
    changes: Sequence[Change]

    @property
    def children(self) -> Sequence[ChildJob]:
        return [child for parent in self.parents.values() for child in parent.children]


async def record_of(store: Store) -> Record:
    ids = sorted([parent_id async for found in store.search(HistoryFilter()) for parent_id in found])
    changes: list[Change] = []
    while page := await store.changes(changes[-1].seq if changes else 0, 1_000):
        changes += page
    return Record({parent_id: await store.job(parent_id) for parent_id in ids}, changes)


async def record_in(file: Path) -> Record:
    async with SqliteStore.open_read_only(file) as store:
        return await record_of(store)


async def check(file: Path, lines: Sequence[Line], contents: Mapping[Path, Mapping[str, str]]) -> list[Finding]:
    """All that is wrong. `contents` are the databases, with the content that they had before."""
    return [
        *judge(await record_in(file), lines),
        *_databases(contents),
        *(Finding(Kind.DAMAGE, f"{file.name}: {complaint}") for complaint in _complaints(file)),
    ]


def judge(record: Record, lines: Sequence[Line]) -> list[Finding]:
    """All that is wrong by what a store and the trace tell."""
    return [
        *_overlaps(lines),
        *_at_once(record),
        *_parents(record),
        *_open(record),
        *_lost(record, lines),
        *_finishes(record, lines),
        *_attempts(record, lines),
        *_transitions(record),
        *_failures(record),
        *_recoveries(record),
    ]


def rescues(record: Record) -> int:
    """How many attempts ended because their process died."""
    earlier = [attempt.reason for child in record.children for attempt in child.attempts[: child.attempt - 1]]
    return earlier.count(Reason.OWNER_LOST) + sum(RECOVERY_DIED_TOO in (child.error or "") for child in record.children)


def ended_by_force(record: Record) -> int:
    """How many children are over as cancelled after somebody wanted them to be ended by force."""
    forced = [child for child in record.children if child.force_requested_at is not None]
    return sum(child.status is Status.CANCELLED for child in forced)


def _complaints(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as db:
        return integrity(store) + [f"foreign key: {row}" for row in db.execute("PRAGMA foreign_key_check")]


def _overlaps(lines: Sequence[Line]) -> Iterator[Finding]:
    """Executions that began while another one, in a process that nobody had killed, was going on."""
    killed: set[int] = set()
    latest: dict[str, Line] = {}
    for line in lines:
        if line.what is What.KILLED:
            killed.add(line.pid)
        if line.what is What.BEGAN:
            before = latest.get(line.target)
            if not line.alone and (before is None or before.pid not in killed):
                yield Finding(Kind.OVERLAP, f"{line.target}: #{line.job} began in {line.pid} during {before}")
            latest[line.target] = line


def _at_once(record: Record) -> Iterator[Finding]:
    """Children that began to run while another one of their target was, in the order of the changes."""
    running: dict[str, set[JobId]] = defaultdict(set)
    for change in record.changes:
        if change.kind is not ChangeKind.STATUS or change.job is None or change.job.ordinal is None:
            continue
        parent = record.parents.get(change.job.parent)
        at_work = running[parent.target if parent else ""]
        if change.new is Status.RUNNING:
            if parent and at_work:
                yield Finding(Kind.OVERLAP, f"{parent.target}: #{change.job} began while {[*map(str, at_work)]} ran")
            at_work.add(change.job)
        else:
            at_work.discard(change.job)


def _parents(record: Record) -> Iterator[Finding]:
    for parent in record.parents.values():
        status = parent_status((child.status, child.attempt > 0) for child in parent.children)
        if parent.status is not status:
            yield Finding(Kind.PARENT, f"#{parent.id} is {parent.status}, its children make it {status}")
        if (parent.finished_at is not None) != status.is_final:
            yield Finding(Kind.PARENT, f"#{parent.id} is {status} with an end at {parent.finished_at}")


def _open(record: Record) -> Iterator[Finding]:
    for child in record.children:
        if not child.status.is_final:
            yield Finding(Kind.OPEN, f"#{child.id} is {child.status}, attempt {child.attempt}")


def _lost(record: Record, lines: Sequence[Line]) -> Iterator[Finding]:
    for line in lines:
        if line.what is What.SUBMITTED:
            parent = record.parents.get(int(line.job))
            if parent is None or parent.target != line.target:
                yield Finding(Kind.LOST, f"#{line.job} on {line.target} was submitted; there is {parent}")
    for parent in record.parents.values():
        operations = [child.operation for child in parent.children]
        if operations != list(parent.request.children):
            yield Finding(Kind.LOST, f"#{parent.id} has {operations} of {parent.request.children}")


def _finishes(record: Record, lines: Sequence[Line]) -> Iterator[Finding]:
    """What was executed to its end has ended once, and as its last attempt said."""
    killed = {line.pid for line in lines if line.what is What.KILLED}
    released = {(line.job, line.attempt) for line in lines if line.what is What.RELEASED}
    accepted: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.what is What.FINISHED:
            accepted[line.job].append(line)
    for child in record.children:
        told = accepted[str(child.id)]
        finishes = [(line.ended_before or line.attempt, line.pid, line.status) for line in told]
        # A kept result is handed in by another process than the one whose end it is.
        pid = told[-1].pid if told and told[-1].ended_before else child.pid
        end = (child.attempt, pid, child.status.value)
        # A process that is killed between its commit and its line to the trace has finished all the same.
        untold = child.pid in killed or (str(child.id), child.attempt) in released
        executed = child.started_at is not None and child.finished_at is not None
        expected = [end] if executed else []
        if finishes != expected and not (untold and not finishes):
            yield Finding(Kind.FINISH, f"#{child.id} is {end}, accepted was {finishes}")


def _attempts(record: Record, lines: Sequence[Line]) -> Iterator[Finding]:
    """An attempt that has only handed in the result of the one before it is not told as one of the job."""
    handed_in = {(line.job, line.attempt) for line in lines if line.ended_before}
    began = defaultdict(list)
    for change in record.changes:
        began_one = change.new is Status.RUNNING and change.kind is ChangeKind.STATUS
        if began_one and (str(change.job), change.attempt) not in handed_in:
            began[change.job].append(change.attempt)
    for child in record.children:
        told = [attempt.number for attempt in child.attempts]
        all_of_them = list(range(1, child.attempt + 1))
        if told != all_of_them or began[child.id] != all_of_them:
            yield Finding(Kind.ATTEMPTS, f"#{child.id} has had {child.attempt}: told {told}, began {began[child.id]}")


def _transitions(record: Record) -> Iterator[Finding]:
    """Follow every job through its changes, to the status that it tells."""
    statuses: dict[JobId, Status | None] = {}
    for change in record.changes:
        if change.kind is not ChangeKind.STATUS or change.job is None or change.new is None:
            continue
        old = statuses.get(change.job)
        allowed = PARENT_TRANSITIONS if change.job.ordinal is None else CHILD_TRANSITIONS
        legal = change.new is Status.PENDING if old is None else may_follow(allowed, old, change.new)
        if change.old != old or not legal:
            yield Finding(Kind.TRANSITION, f"#{change.job} was {old}, its change says {change.old} to {change.new}")
        statuses[change.job] = change.new
    told = {JobId(parent.id): parent.status for parent in record.parents.values()}
    told |= {child.id: child.status for child in record.children}
    for job, status in told.items():
        if statuses.get(job) != status:
            yield Finding(Kind.TRANSITION, f"#{job} is {status}, its changes end with {statuses.get(job)}")


def _failures(record: Record) -> Iterator[Finding]:
    for child in record.children:
        if child.status is Status.FAILED and child.reason is not Reason.OWNER_LOST:
            yield Finding(Kind.FAILURE, f"#{child.id} {child.operation}: {child.reason}: {child.error}")


def _recoveries(record: Record) -> Iterator[Finding]:
    """Where a process died over an operation that is not run again, somebody has begun to look after its database."""
    for child in record.children:
        looked = child.started_at is not None or child.error == NOT_RECOVERED
        lost = child.status is Status.FAILED and child.reason is Reason.OWNER_LOST
        over = lost or child.status is Status.CANCELLED
        if (child.recovering and not (looked and over)) or (lost and not child.recovering):
            yield Finding(Kind.RECOVERY, f"#{child.id} is {child.status}, attempt {child.attempt}: {child.error}")


def _databases(contents: Mapping[Path, Mapping[str, str]]) -> Iterator[Finding]:
    for path, before in contents.items():
        for complaint in integrity(path):
            yield Finding(Kind.DAMAGE, f"{path.name}: {complaint}")
        if content(path) != before:
            yield Finding(Kind.CONTENT, path.name)
