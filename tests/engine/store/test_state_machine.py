"""Random work on a real store: submit, claim, finish, cancel, rescue and stale finishes never leave the graph."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.errors import DuplicateRequestError, OwnershipLostError
from engine.jobs import (
    CHILD_TRANSITIONS,
    PARENT_TRANSITIONS,
    Claim,
    JobId,
    OnDuplicate,
    OnFailure,
    Operation,
    Outcome,
    Reason,
    Report,
    Status,
    may_follow,
    parent_status,
)
from engine.store import connections, interventions, transactions
from tests.building import new_job

OWNERS = ["ann", "bob", "cyd"]
ENDS = [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.SKIPPED]


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "jobs.db"
        connections.create_file(path)
        self.file = connections.connect_writer(path)
        self.file.execute("PRAGMA synchronous = OFF")  # this test is about logic, not about power cuts
        self.at = 0
        self.claims: list[Claim] = []
        self.stale: list[Claim] = []

    def teardown(self) -> None:
        self.file.close()
        self.directory.cleanup()

    def tick(self) -> int:
        self.at += 1
        return self.at

    @rule(
        target_name=st.sampled_from(["sales", "stock"]),
        operations=st.lists(st.sampled_from(Operation), min_size=1, max_size=4, unique=True),
        on_failure=st.sampled_from(OnFailure),
        on_duplicate=st.sampled_from(OnDuplicate),
    )
    def submit(
        self, target_name: str, operations: list[Operation], on_failure: OnFailure, on_duplicate: OnDuplicate
    ) -> None:
        job = new_job(target_name, *operations, on_failure=on_failure)
        try:
            transactions.submit(self.file, [job], on_duplicate, self.tick())
        except DuplicateRequestError:
            assert on_duplicate is OnDuplicate.REFUSE

    @rule(owner=st.sampled_from(OWNERS))
    def claim(self, owner: str) -> None:
        claimed = transactions.claim(self.file, owner, None, self.tick())
        if claimed is not None:
            self.claims.append(claimed)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def finish(self, data: st.DataObject, status: Status) -> None:
        claim = self._take(data)
        transactions.finish(self.file, claim, Outcome(status=status), Report(), self.tick())
        self.stale.append(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = self._take(data)
        transactions.release(self.file, claim, Report(), self.tick())
        self.stale.append(claim)

    @rule(owner=st.sampled_from(OWNERS))
    def rescue(self, owner: str) -> None:
        interventions.rescue(self.file, owner, self.tick())
        self.stale += [claim for claim in self.claims if claim.owner == owner]
        self.claims = [claim for claim in self.claims if claim.owner != owner]

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def stale_finish(self, data: st.DataObject, status: Status) -> None:
        claim = data.draw(st.sampled_from(self.stale))
        before = self._dump()
        try:
            transactions.finish(self.file, claim, Outcome(status=status), Report(), self.tick())
        except OwnershipLostError:
            assert self._dump() == before
        else:
            raise AssertionError("a former owner finished a child")

    @precondition(lambda self: self._parents())
    @rule(data=st.data(), ordinal=st.one_of(st.none(), st.just(1)))
    def cancel(self, data: st.DataObject, ordinal: int | None) -> None:
        parent_id = data.draw(st.sampled_from(self._parents()))
        interventions.request_cancel(self.file, JobId(parent_id, ordinal), Reason.CANCELLED_BY_USER, self.tick())

    @invariant()
    def parents_say_what_their_children_say(self) -> None:
        for parent_id, status, finished_at in self.file.execute("SELECT id, status, finished_at FROM parent_job"):
            children = self.file.execute(
                "SELECT status, attempt > 0 FROM child_job WHERE parent_id = ?", (parent_id,)
            ).fetchall()
            assert status == parent_status((Status(s), bool(started)) for s, started in children)
            assert (finished_at is not None) == Status(status).is_final

    @invariant()
    def a_target_has_one_running_child_at_most_and_it_is_ours(self) -> None:
        running = self.file.execute(
            "SELECT target_key, owner, attempt, parent_id, ordinal FROM child_job WHERE status = 'running'"
        ).fetchall()
        assert len({target for target, *_ in running}) == len(running)
        held = {(claim.owner, claim.attempt, claim.job.parent, claim.job.ordinal) for claim in self.claims}
        assert {tuple(row[1:]) for row in running} == held

    @invariant()
    def children_start_in_their_order(self) -> None:
        assert not self.file.execute(
            "SELECT 1 FROM child_job AS c JOIN child_job AS earlier USING (parent_id)"
            " WHERE earlier.ordinal < c.ordinal AND c.status = 'running'"
            " AND earlier.status IN ('pending', 'running')"
        ).fetchall()

    @invariant()
    def the_events_are_the_whole_story(self) -> None:
        told: dict[tuple[int, int | None], str] = {}
        rows = self.file.execute("SELECT seq, parent_id, ordinal, old, new FROM event WHERE kind = 'status'").fetchall()
        for _, parent_id, ordinal, old, new in rows:
            assert told.get((parent_id, ordinal)) == old
            if old is not None:
                transitions = PARENT_TRANSITIONS if ordinal is None else CHILD_TRANSITIONS
                assert may_follow(transitions, Status(old), Status(new))
            told[parent_id, ordinal] = new
        stored = {(p, o): s for p, o, s in self.file.execute("SELECT parent_id, ordinal, status FROM child_job")}
        stored |= {(p, None): s for p, s in self.file.execute("SELECT id, status FROM parent_job")}
        assert told == stored

    def _take(self, data: st.DataObject) -> Claim:
        claim = data.draw(st.sampled_from(self.claims))
        self.claims.remove(claim)
        return claim

    def _parents(self) -> list[int]:
        return [parent_id for (parent_id,) in self.file.execute("SELECT id FROM parent_job")]

    def _dump(self) -> list[sqlite3.Row]:
        return [
            row
            for table in ("parent_job", "child_job", "step", "log", "event")
            for row in self.file.execute(f"SELECT * FROM {table}")
        ]


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_r15_random_work_never_leaves_the_graph = StoreMachine.TestCase
