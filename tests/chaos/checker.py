"""What must hold after a chaos test, judged by the store, the trace and the databases alone."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.domain.jobs import JobId
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason, Status, may_follow, parent_status
from engine.store.ending_texts import NOT_RECOVERED, RECOVERY_DIED_TOO
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


def check(store: Path, lines: Sequence[Line], contents: Mapping[Path, Mapping[str, str]]) -> list[Finding]:
    """All that is wrong. `contents` are the databases, with the content that they had before."""
    rows = _read(store)
    return [
        *_overlaps(lines),
        *_parents(rows),
        *_open(rows),
        *_lost(rows, lines),
        *_finishes(rows, lines),
        *_attempts(rows),
        *_transitions(rows),
        *_failures(rows),
        *_recoveries(rows),
        *_databases(contents),
        *(Finding(Kind.DAMAGE, f"{store.name}: {complaint}") for complaint in _complaints(store)),
    ]


def rescues(store: Path) -> int:
    """How many attempts ended because their process died."""
    rows = _read(store)
    earlier = [row["reason"] for attempts in rows.attempts.values() for row in attempts].count(Reason.OWNER_LOST)
    return earlier + sum(RECOVERY_DIED_TOO in (row["error"] or "") for row in rows.children.values())


def ended_by_force(store: Path) -> int:
    """How many children are over as cancelled after somebody wanted them to be ended by force."""
    forced = [child for child in _read(store).children.values() if child["force_requested_at"] is not None]
    return sum(child["status"] == Status.CANCELLED for child in forced)


@dataclass(frozen=True, slots=True)
class _Rows:
    parents: Mapping[int, sqlite3.Row]
    children: Mapping[JobId, sqlite3.Row]
    attempts: Mapping[JobId, Sequence[sqlite3.Row]]
    """Those before the one that the child's own row tells of."""
    events: Sequence[sqlite3.Row]

    def children_of(self, parent_id: int) -> list[sqlite3.Row]:
        return [row for job, row in self.children.items() if job.parent == parent_id]


def _read(store: Path) -> _Rows:
    with closing(sqlite3.connect(store)) as db:
        db.row_factory = sqlite3.Row
        attempts = defaultdict(list)
        for row in db.execute("SELECT * FROM attempt ORDER BY attempt"):
            attempts[JobId(row["parent_id"], row["ordinal"])].append(row)
        return _Rows(
            {row["id"]: row for row in db.execute("SELECT * FROM parent_job")},
            {JobId(row["parent_id"], row["ordinal"]): row for row in db.execute("SELECT * FROM child_job")},
            attempts,
            db.execute("SELECT * FROM event WHERE kind = 'status' ORDER BY seq").fetchall(),
        )


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


def _parents(rows: _Rows) -> Iterator[Finding]:
    for parent_id, parent in rows.parents.items():
        children = rows.children_of(parent_id)
        status = parent_status((Status(child["status"]), child["attempt"] > 0) for child in children)
        if parent["status"] != status:
            yield Finding(Kind.PARENT, f"#{parent_id} is {parent['status']}, its children make it {status}")
        if (parent["finished_at"] is not None) != status.is_final:
            yield Finding(Kind.PARENT, f"#{parent_id} is {status} with an end at {parent['finished_at']}")


def _open(rows: _Rows) -> Iterator[Finding]:
    for job, child in rows.children.items():
        if not Status(child["status"]).is_final:
            yield Finding(Kind.OPEN, f"#{job} is {child['status']}, attempt {child['attempt']}")


def _lost(rows: _Rows, lines: Sequence[Line]) -> Iterator[Finding]:
    for line in lines:
        if line.what is What.SUBMITTED:
            parent = rows.parents.get(int(line.job))
            if parent is None or parent["target"] != line.target:
                yield Finding(Kind.LOST, f"#{line.job} on {line.target} was submitted; there is {parent and [*parent]}")
    for parent_id, parent in rows.parents.items():
        operations = [child["operation"] for child in rows.children_of(parent_id)]
        if operations != json.loads(parent["operations"]):
            yield Finding(Kind.LOST, f"#{parent_id} has {operations} of {parent['operations']}")


def _finishes(rows: _Rows, lines: Sequence[Line]) -> Iterator[Finding]:
    """What was executed to its end has ended once, and as its last attempt said."""
    killed = {line.pid for line in lines if line.what is What.KILLED}
    released = {(line.job, line.attempt) for line in lines if line.what is What.RELEASED}
    accepted: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for line in lines:
        if line.what is What.FINISHED:
            accepted[line.job].append((line.attempt, line.pid, line.status))
    for job, child in rows.children.items():
        row = (child["attempt"], child["pid"], child["status"])
        finishes = accepted[str(job)]
        # A process that is killed between its commit and its line to the trace has finished all the same.
        untold = child["pid"] in killed or (str(job), child["attempt"]) in released
        executed = child["started_at"] is not None and child["finished_at"] is not None
        expected = [row] if executed else []
        if finishes != expected and not (untold and not finishes):
            yield Finding(Kind.FINISH, f"#{job} is {row}, accepted was {finishes}")


def _attempts(rows: _Rows) -> Iterator[Finding]:
    began = defaultdict(list)
    for event in rows.events:
        if event["new"] == Status.RUNNING and event["ordinal"] is not None:
            began[JobId(event["parent_id"], event["ordinal"])].append(event["attempt"])
    for job, child in rows.children.items():
        told = [attempt["attempt"] for attempt in rows.attempts.get(job, ())]
        if child["started_at"] is not None:
            told.append(child["attempt"])
        all_of_them = list(range(1, child["attempt"] + 1))
        if told != all_of_them or began[job] != all_of_them:
            yield Finding(Kind.ATTEMPTS, f"#{job} has had {child['attempt']}: told {told}, began {began[job]}")


def _transitions(rows: _Rows) -> Iterator[Finding]:
    """Follow every job through its events, to the status that its row tells."""
    statuses: dict[JobId, Status | None] = {}
    for event in rows.events:
        job = JobId(event["parent_id"], event["ordinal"])
        old, new = statuses.get(job), Status(event["new"])
        allowed = PARENT_TRANSITIONS if job.ordinal is None else CHILD_TRANSITIONS
        legal = new is Status.PENDING if old is None else may_follow(allowed, old, new)
        if event["old"] != old or not legal:
            yield Finding(Kind.TRANSITION, f"#{job} was {old}, its event says {event['old']} to {new}")
        statuses[job] = new
    told = {JobId(parent_id): row["status"] for parent_id, row in rows.parents.items()}
    told |= {job: row["status"] for job, row in rows.children.items()}
    for job, status in told.items():
        if statuses.get(job) != status:
            yield Finding(Kind.TRANSITION, f"#{job} is {status}, its events end with {statuses.get(job)}")


def _failures(rows: _Rows) -> Iterator[Finding]:
    for job, child in rows.children.items():
        if child["status"] == Status.FAILED and child["reason"] != Reason.OWNER_LOST:
            yield Finding(Kind.FAILURE, f"#{job} {child['operation']}: {child['reason']}: {child['error']}")


def _recoveries(rows: _Rows) -> Iterator[Finding]:
    """Where a process died over an operation that is not run again, somebody has begun to look after its database."""
    for job, child in rows.children.items():
        looked = child["started_at"] is not None or child["error"] == NOT_RECOVERED
        lost = child["status"] == Status.FAILED and child["reason"] == Reason.OWNER_LOST
        over = lost or child["status"] == Status.CANCELLED
        if (child["recovering"] and not (looked and over)) or (lost and not child["recovering"]):
            yield Finding(Kind.RECOVERY, f"#{job} is {child['status']}, attempt {child['attempt']}: {child['error']}")


def _databases(contents: Mapping[Path, Mapping[str, str]]) -> Iterator[Finding]:
    for path, before in contents.items():
        for complaint in integrity(path):
            yield Finding(Kind.DAMAGE, f"{path.name}: {complaint}")
        if content(path) != before:
            yield Finding(Kind.CONTENT, path.name)
