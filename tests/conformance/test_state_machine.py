"""Random work on a real store, with clock jumps: every transition is legal, and every record is true."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby, pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.domain.batches import Batch, BatchOptions
from engine.domain.claims import Claim, Outcome, Report
from engine.domain.errors import DuplicateRequestError, JobNotFoundError, OwnershipLostError
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.requests import OnDuplicate, OnFailure, Operation
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason, Status, may_follow, parent_status
from engine.domain.steps import LogLevel, LogLine, Step
from engine.store import ending_texts
from engine.store.protocol import MAX_ATTEMPTS, Failure, NewBatch, NewJob
from tests.building import new_job
from tests.conformance.stores import NewStores, reserved

T = TypeVar("T")
TIMES = int(os.environ.get("DBTEND_EXAMPLES", "1"))
"""The examples are other ones each time; a long run has so many times more of them."""
OWNERS = ["ann", "bob", "cyd"]
RUNS = ("run one", "run two")
BATCH_TARGETS = ("sales", "north", "south", "east")
ON_HOST = ("south", "east")
ENDS = [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.SKIPPED]
NOT_TO_BE_REPEATED = dict.fromkeys(Operation, 1)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self, new_stores: NewStores) -> None:
        super().__init__()
        self.context = ExitStack()
        self.stores = self.context.enter_context(new_stores())
        self.runner = self.context.enter_context(asyncio.Runner())
        self.at = 1_000
        self.opened = self.stores.open(clock=lambda: self.at)
        self.store = self.runner.run(self.opened.__aenter__())
        self.claims: list[Claim] = []
        self.stale: list[Claim] = []
        self.allowed: dict[int, int] = {}
        """By parent: under how many processes a child of it may die."""
        self.read: list[ParentJob] | None = None
        """All parents, until something is written."""
        self.looked_at: dict[str, list[tuple[Any, ...]]] = {}

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.context.close()

    def write(self, writing: Coroutine[Any, Any, T]) -> T:
        """Carry out a write of the store at the next point of time."""
        self.at += 1
        self.read, self.looked_at = None, {}
        return self.runner.run(writing)

    def look(self, query: str) -> list[tuple[Any, ...]]:
        if query not in self.looked_at:
            self.looked_at[query] = self.stores.sql(query)
        return self.looked_at[query]

    @initialize(limit=st.integers(5, 60), repeatable=st.booleans(), canaries=st.sampled_from([None, 1]))
    def begin_with_some_work(self, limit: int, repeatable: bool, canaries: int | None) -> None:
        batch = NewBatch(options=BatchOptions(canary=canaries, max_per_host=None if canaries else 1))
        jobs = [new_job(name, Operation.ANALYZE, host_key="the host") for name in ON_HOST]
        ids = self.write(self.store.submit(jobs, OnDuplicate.REFUSE, batch))
        self.allowed.update(dict.fromkeys(ids, MAX_ATTEMPTS))
        self._submit(new_job("stock", stop_at_limit=True, deadline_at=self.at + limit))
        self._submit(new_job("sales", Operation.VACUUM, max_attempts=None if repeatable else NOT_TO_BE_REPEATED))

    @rule(by=st.one_of(st.integers(-20, 20), st.sampled_from([-900, 100])))
    def set_the_clock(self, by: int) -> None:
        self.at = max(1, self.at + by)

    @precondition(lambda self: self._limits())
    @rule(data=st.data())
    def a_time_limit_comes(self, data: st.DataObject) -> None:
        self.at = max(self.at, data.draw(st.sampled_from(self._limits())))

    @rule(
        target_name=st.sampled_from(["sales", "stock"]),
        operations=st.lists(st.sampled_from(Operation), min_size=1, max_size=4, unique=True),
        on_failure=st.sampled_from(OnFailure),
        on_duplicate=st.sampled_from(OnDuplicate),
        limit=st.one_of(st.none(), st.integers(0, 60)),
        stop_at_limit=st.booleans(),
        verify=st.booleans(),
        repeatable=st.booleans(),
        run=st.one_of(st.none(), st.none(), st.sampled_from(RUNS)),
    )
    def submit(
        self,
        target_name: str,
        operations: list[Operation],
        on_failure: OnFailure,
        on_duplicate: OnDuplicate,
        limit: int | None,
        stop_at_limit: bool,
        verify: bool,
        repeatable: bool,
        run: str | None,
    ) -> None:
        job = new_job(
            target_name,
            *operations,
            on_failure=on_failure,
            stop_at_limit=stop_at_limit,
            verify=verify,
            deadline_at=None if limit is None else self.at + limit,
            max_attempts=None if repeatable else NOT_TO_BE_REPEATED,
        )
        try:
            self._submit(job, on_duplicate, run)
        except DuplicateRequestError:
            assert on_duplicate is OnDuplicate.REFUSE

    @rule(
        databases=st.lists(st.sampled_from(BATCH_TARGETS), min_size=1, max_size=4, unique=True),
        unreachable=st.sets(st.integers(0, 3), max_size=2),
        operations=st.lists(st.sampled_from(Operation), min_size=1, max_size=2, unique=True),
        canary=st.one_of(st.none(), st.integers(1, 3)),
        max_failures=st.one_of(st.none(), st.integers(1, 3)),
        max_per_host=st.one_of(st.none(), st.just(1)),
        limit=st.one_of(st.none(), st.none(), st.integers(0, 60)),
        run=st.one_of(st.none(), st.none(), st.sampled_from(RUNS)),
    )
    def submit_batch(
        self,
        databases: list[str],
        unreachable: set[int],
        operations: list[Operation],
        canary: int | None,
        max_failures: int | None,
        max_per_host: int | None,
        limit: int | None,
        run: str | None,
    ) -> None:
        jobs = [
            new_job(
                target,
                *operations,
                deadline_at=None if limit is None else self.at + limit,
                failure=Failure(Reason.UNREACHABLE, "it is not there") if place in unreachable else None,
                host_key="the host" if target in ON_HOST else None,
            )
            for place, target in enumerate(databases)
        ]
        options = BatchOptions(canary=canary, max_failures=max_failures, max_per_host=max_per_host)
        known = {parent.id for parent in self._parents()}
        batch = NewBatch(options=options)
        ids = self._submit_for(run, jobs, OnDuplicate.MERGE, batch)
        new = [self._parent(parent_id) for parent_id in ids if parent_id not in known]
        assert len({parent.batch for parent in new}) == (1 if new else 0)
        for parent in new:
            self.allowed[parent.id] = MAX_ATTEMPTS

    @precondition(lambda self: self._batches())
    @rule(data=st.data())
    def cancel_batch(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self._batches()))
        before = {child.id: child for child in self._children()}
        self.write(self.store.cancel_batch(batch.id))
        for parent in self._parents():
            for child in parent.children if parent.batch == batch.id else ():
                assert child.status is not Status.PENDING
                assert child.status is not Status.RUNNING or child.cancel_requested_at is not None
                if before[child.id].status is Status.PENDING and not before[child.id].recovering:
                    assert child.status is Status.CANCELLED

    @precondition(lambda self: self._some(Status.PENDING))
    @rule(
        owner=st.sampled_from(OWNERS),
        own=st.one_of(st.none(), st.none(), st.sets(st.integers(1, 9))),
        run=st.sampled_from(RUNS),
    )
    def claim(self, owner: str, own: set[int] | None, run: str) -> None:
        run_of = None if own is None else run
        before = {child.id: child for child in self._children()}
        held, on_host = self._held(), self._running_on_host()
        claimed = self.write(self.store.claim(owner, own, run_of))
        if claimed is None:
            return
        assert own is None or claimed.job.parent in own
        assert self._reserved_by(claimed.job) in {None, run_of}
        assert claimed.job not in held
        if any(f"/{name}.db" in claimed.target for name in ON_HOST):
            batches = {batch.id: batch for batch in self._batches()}
            allowed = batches[self._parent(claimed.job.parent).batch or 0].options.max_per_host
            assert allowed is None or on_host < allowed
        self._assert_is_what_was_pending(claimed, before[claimed.job])
        self.claims.append(claimed)

    def _assert_is_what_was_pending(self, claim: Claim, child: ChildJob) -> None:
        assert (claim.recovering is not None) == child.recovering
        assert (claim.recovering is Reason.OWNER_LOST) == (child.recovering and child.cancel_requested_at is None)
        assert claim.deaths == sum(attempt.reason is Reason.OWNER_LOST for attempt in child.attempts)
        assert claim.earlier == child.steps
        assert claim.forced == (child.force_requested_at is not None)
        deadline_at = self._parent(claim.job.parent).deadline_at
        assert claim.recovering or deadline_at is None or deadline_at > self.at

    def _held(self) -> set[JobId]:
        rows = self.look("SELECT parent_id, ordinal FROM child_job WHERE held AND status = 'pending'")
        return {JobId(parent_id, ordinal) for parent_id, ordinal in rows}

    def _running_on_host(self) -> int:
        """Of batches with a limit: only these count."""
        rows = self.look(
            """SELECT 1 FROM child_job AS c
            JOIN parent_job AS p ON p.id = c.parent_id JOIN batch AS b ON b.id = p.batch_id
            WHERE c.status = 'running' AND c.host_key IS NOT NULL AND b.max_per_host IS NOT NULL"""
        )
        return len(rows)

    def _batches(self) -> list[Batch]:
        ids = self.look("SELECT id FROM batch ORDER BY id")
        return [self.runner.run(self.store.batch(batch_id)) for (batch_id,) in ids]

    def _reserved_by(self, job: JobId) -> str | None:
        rows = self.look("SELECT parent_id, ordinal, reserved_by FROM child_job")
        return {JobId(parent, ordinal): run for parent, ordinal, run in rows}.get(job)

    @precondition(lambda self: self._some(Status.PENDING, Status.RUNNING))
    @rule(run=st.sampled_from(RUNS))
    def a_run_is_gone(self, run: str) -> None:
        self.write(self.stores.lose_run(self.store, run))
        assert (run,) not in self.look("SELECT reserved_by FROM child_job WHERE finished_at IS NULL")

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), number=st.integers(1, 3))
    def report(self, data: st.DataObject, number: int) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        self.write(self.store.report(claim, self._report(claim, number, Status.RUNNING)))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def finish(self, data: st.DataObject, status: Status) -> None:
        claim = self._take(data)
        report = self._report(claim, 4, Status.COMPLETED)
        self.write(self.store.finish(claim, Outcome(status=status), report))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = self._take(data)
        self.write(self.store.release(claim, self._report(claim, 5, Status.CANCELLED)))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def rescue(self, data: st.DataObject) -> None:
        self._rescue(data.draw(st.sampled_from(self.claims)).owner)

    def _rescue(self, owner: str) -> None:
        lost = [claim for claim in self.claims if claim.owner == owner]
        asked = {child.id for child in self._children() if child.cancel_requested_at is not None}
        taken = self.write(self.store._rescue_from(owner))
        assert sorted(taken) == sorted(claim.job for claim in lost)
        children = {child.id: child for child in self._children()}
        for claim in lost:
            child = children[claim.job]
            if claim.recovering and claim.job not in asked:
                assert (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)
                assert (child.error or "").endswith(ending_texts.RECOVERY_DIED_TOO)
            elif claim.recovering:
                assert child.status is Status.CANCELLED
                assert claim.recovering in {child.reason, Reason.OWNER_LOST}
                assert child.error == ending_texts.RECOVERY_FAILED
            else:
                died = sum(attempt.reason is Reason.OWNER_LOST for attempt in child.attempts)
                deadline_at = self._parent(claim.job.parent).deadline_at
                is_late = deadline_at is not None and deadline_at <= self.at
                is_over = claim.job in asked or died == self.allowed[claim.job.parent] or is_late
                assert (child.status, child.recovering) == (Status.PENDING, is_over)
        self.stale += lost
        self.claims = [claim for claim in self.claims if claim.owner != owner]

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), status=st.sampled_from(ENDS), how=st.sampled_from(["finish", "release", "report"]))
    def a_former_owner_wakes_up(self, data: st.DataObject, status: Status, how: str) -> None:
        claim = data.draw(st.sampled_from(self.stale))
        before = self.stores.contents()
        try:
            match how:
                case "finish":
                    self.write(self.store.finish(claim, Outcome(status=status), Report()))
                case "release":
                    self.write(self.store.release(claim, Report()))
                case _:
                    self.write(self.store.report(claim, self._report(claim, 9, Status.RUNNING)))
        except OwnershipLostError:
            assert self.stores.contents() == before
        else:
            raise AssertionError("a former owner changed a child")

    @precondition(lambda self: self._some(Status.PENDING, Status.RUNNING))
    @rule(data=st.data(), ordinal=st.one_of(st.integers(1, 5), st.integers(1, 5), st.none()))
    def cancel(self, data: st.DataObject, ordinal: int | None) -> None:
        parent = data.draw(st.sampled_from(self._parents()))
        try:
            self.write(self.store.request_cancel(JobId(parent.id, ordinal)))
        except JobNotFoundError:
            assert ordinal is not None
            assert ordinal > len(parent.children)
        else:
            for child in self._parent(parent.id).children:
                if ordinal in {None, child.ordinal}:
                    assert child.status is not Status.PENDING
                    assert child.status is not Status.RUNNING or child.cancel_requested_at is not None

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), whole=st.booleans(), dies=st.booleans())
    def cancel_by_force(self, data: st.DataObject, whole: bool, dies: bool) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        asked = JobId(claim.job.parent) if whole else claim.job
        before = self.stores.contents()
        assert not self.write(self.store.request_force(asked, claim.job, "a stranger"))
        assert self.stores.contents() == before
        assert self.write(self.store.request_force(asked, claim.job, claim.owner))
        (child,) = [child for child in self._children() if child.id == claim.job]
        assert child.force_requested_at is not None
        assert child.force_requested_at >= (child.cancel_requested_at or self.at)
        if dies:
            self._rescue(claim.owner)

    @precondition(lambda self: self._overdue())
    @rule()
    def enforce_time_limits(self) -> None:
        self.write(self.store.enforce_time_limits())
        for parent in self._parents():
            if parent.deadline_at is None or parent.deadline_at > self.at:
                continue
            for child in parent.children:
                assert child.status is not Status.PENDING or child.recovering
                if child.status is Status.RUNNING and parent.request.options.stop_at_limit:
                    assert child.cancel_requested_at is not None

    @rule(owner=st.sampled_from(OWNERS), times=st.integers(1, 2))
    def pause_claim_and_resume(self, owner: str, times: int) -> None:
        """Nothing is claimed between but what is to be recovered; twice is once."""
        for _ in range(times):
            self.write(self.store.pause("ann"))
        if claimed := self.write(self.store.claim(owner)):
            assert claimed.recovering
            self.claims.append(claimed)
        for _ in range(times):
            self.write(self.store.resume())

    @precondition(lambda self: self._parents())
    @rule(data=st.data(), pinned=st.booleans())
    def pin(self, data: st.DataObject, pinned: bool) -> None:
        parent = data.draw(st.sampled_from(self._parents()))
        self.write(self.store.pin(parent.id, pinned))
        assert self._parent(parent.id).pinned is pinned

    @precondition(lambda self: any(parent.status.is_final for parent in self._parents()))
    @rule(status=st.sampled_from(ENDS[:3]), keep_last=st.integers(0, 2), age=st.integers(0, 40))
    def prune(self, status: Status, keep_last: int, age: int) -> None:
        finding = self.store.prunable(status, before=self.at - age, keep_last=keep_last, after=0, limit=3)
        ids = self.runner.run(finding)
        before = {parent.id: parent for parent in self._parents()}
        assert self.write(self.store.prune(ids)) == len(ids)
        for parent_id in ids:
            assert before[parent_id].status is status
            assert not before[parent_id].pinned
            newer = [p for p in before.values() if p.target == before[parent_id].target and p.id > parent_id]
            assert len(newer) >= keep_last

    @precondition(lambda self: any(parent.status.is_final for parent in self._parents()))
    @rule(data=st.data())
    def prune_whatever(self, data: st.DataObject) -> None:
        """As where a job was pinned, or was looked at by mistake, between the choice and the removal."""
        parent = data.draw(st.sampled_from(self._parents()))
        batches_before = self._batches()
        removed = self.write(self.store.prune([parent.id]))
        batches = {batch.id: batch for batch in batches_before}
        may_go = parent.batch is None or batches[parent.batch].is_over
        assert removed == (parent.status.is_final and not parent.pinned and may_go)

    @rule(age=st.integers(0, 100), limit=st.integers(1, 20))
    def prune_changes(self, age: int, limit: int) -> None:
        newest = self.look("SELECT max(seq) FROM event")
        removed = self.write(self.store.prune_changes(before=self.at - age, limit=limit))
        assert removed <= limit
        assert self.look("SELECT max(seq) FROM event") == newest

    @invariant()
    def parents_say_what_their_children_say(self) -> None:
        for parent in self._parents():
            assert parent.status is parent_status((child.status, child.attempt > 0) for child in parent.children)
            assert (parent.finished_at is not None) == parent.status.is_final
            assert [child.operation for child in parent.children] == list(parent.request.children)

    @invariant()
    def batches_say_what_their_jobs_say(self) -> None:
        parents = [parent for parent in self._parents() if parent.batch is not None]
        batches = self._batches()
        assert {batch.id for batch in batches} == {parent.batch for parent in parents}
        held = {job.parent for job in self._held()}
        canaries = {parent_id for (parent_id,) in self.look("SELECT id FROM parent_job WHERE canary")}
        for batch in batches:
            of_batch = [parent for parent in parents if parent.batch == batch.id]
            assert batch.counts == Counter(map(outcome_of, of_batch))
            assert batch.total == len(of_batch)
            assert batch.is_over == all(parent.status.is_final for parent in of_batch)
            waiting = [parent for parent in of_batch if parent.id in held]
            open_canaries = [p for p in of_batch if p.id in canaries and not p.status.is_final]
            assert open_canaries or not waiting
            assert not {parent.id for parent in waiting} & canaries
            assert len(canaries & {parent.id for parent in of_batch}) <= (batch.options.canary or 0)
            most = batch.options.max_failures
            if most is not None and sum(parent.status is Status.FAILED for parent in of_batch) >= most:
                assert not batch.counts.get(JobOutcome.PENDING, 0)
            reasons = {child.reason for parent in of_batch for child in parent.children}
            if Reason.CANARY_FAILED in reasons:
                ends = [p for p in of_batch if p.id in canaries]
                assert not ends or any(
                    p.status is not Status.COMPLETED or any(c.status is Status.SKIPPED for c in p.children)
                    for p in ends
                )
            for child in (child for parent in of_batch for child in parent.children):
                assert child.reason is not Reason.TOO_MANY_FAILURES or most is not None
                assert child.reason is not Reason.CANARY_FAILED or batch.options.canary is not None
                assert child.reason not in {Reason.TOO_MANY_FAILURES, Reason.CANARY_FAILED} or not child.attempt

    @invariant()
    def a_target_has_one_running_child_at_most_and_it_is_ours(self) -> None:
        running = self.look(
            "SELECT target_key, owner, attempt, parent_id, ordinal FROM child_job WHERE status = 'running'"
        )
        assert len({target for target, *_ in running}) == len(running)
        held = {(claim.owner, claim.attempt, claim.job.parent, claim.job.ordinal) for claim in self.claims}
        assert {tuple(row[1:]) for row in running} == held

    @invariant()
    def children_start_in_their_order(self) -> None:
        for parent in self._parents():
            for earlier, later in pairwise(parent.children):
                assert earlier.status.is_final or later.status is not Status.RUNNING

    @invariant()
    def attempts_are_numbered_without_gap_and_in_time_order(self) -> None:
        for child in self._children():
            assert [attempt.number for attempt in child.attempts] == list(range(1, child.attempt + 1))
            for attempt in child.attempts:
                assert attempt.status is not Status.PENDING
                assert (attempt.finished_at is not None) == attempt.status.is_final
                assert attempt.finished_at is None or attempt.started_at <= attempt.finished_at
            for earlier, later in pairwise(child.attempts):
                assert (earlier.status, earlier.reason) in {
                    (Status.FAILED, Reason.OWNER_LOST),
                    (Status.CANCELLED, Reason.SHUTDOWN),
                }
                assert earlier.finished_at is not None
                assert earlier.finished_at <= later.started_at

    @invariant()
    def a_child_is_begun_again_until_too_many_processes_died_over_it(self) -> None:
        for parent in self._parents():
            for child in parent.children:
                deaths = Counter(attempt.reason for attempt in child.attempts)[Reason.OWNER_LOST]
                assert deaths <= self.allowed[parent.id]
                if child.recovering:
                    assert deaths >= 1
                elif not child.status.is_final:
                    assert deaths < self.allowed[parent.id]
                assert child.recovering or child.reason is not Reason.OWNER_LOST

    @invariant()
    def what_was_asked_to_stop_is_not_begun_again(self) -> None:
        for child in self._children():
            assert child.recovering or child.cancel_requested_at is None or child.status is not Status.PENDING
            assert child.force_requested_at is None or child.cancel_requested_at is not None

    @invariant()
    def steps_and_lines_belong_to_attempts_that_there_are(self) -> None:
        for child in self._children():
            numbers = {attempt.number for attempt in child.attempts}
            assert {step.attempt for step in child.steps} | {line.attempt for line in child.log} <= numbers
            lost = {attempt.number for attempt in child.attempts if attempt.reason is Reason.OWNER_LOST}
            assert not [step for step in child.steps if step.attempt in lost and step.status is Status.RUNNING]
        for table in ("step", "log", "attempt"):
            assert not self.look(
                f"""SELECT * FROM {table} AS x WHERE NOT EXISTS (
                SELECT 1 FROM child_job AS c WHERE c.parent_id = x.parent_id AND c.ordinal = x.ordinal)"""
            )

    @invariant()
    def no_time_is_before_an_earlier_one(self) -> None:
        for parent in self._parents():
            assert parent.created_at <= (parent.started_at or parent.created_at)
            assert parent.finished_at is None or parent.finished_at >= (parent.started_at or parent.created_at)
            for child in parent.children:
                times = [child.started_at, child.finished_at, child.cancel_requested_at]
                assert all(at is None or at >= parent.created_at for at in times)
                if child.started_at is not None and child.finished_at is not None:
                    assert child.started_at <= child.finished_at

    @invariant()
    def the_changes_are_the_whole_story(self) -> None:
        rows = self.look("SELECT seq, parent_id, ordinal, kind, old, new, at FROM event ORDER BY seq")
        seqs = [seq for seq, *_ in rows]
        assert all(later == earlier + 1 for earlier, later in pairwise(seqs))
        stored = {(p, o): s for p, o, s in self.look("SELECT parent_id, ordinal, status FROM child_job")}
        stored |= {(p, None): s for p, s in self.look("SELECT id, status FROM parent_job")}
        complete = not seqs or seqs[0] == 1
        of_jobs = sorted((row for row in rows if row[1] is not None), key=lambda row: (row[1], row[2] or 0, row[0]))
        for job, group in groupby(of_jobs, key=lambda row: (row[1], row[2])):
            changes = list(group)
            times = [at for *_, at in changes]
            assert times == sorted(times)
            moves = [(old, new) for _, _, _, kind, old, new, _ in changes if kind == "status"]
            transitions = PARENT_TRANSITIONS if job[1] is None else CHILD_TRANSITIONS
            for old, new in moves:
                assert old is None or may_follow(transitions, Status(old), Status(new))
            assert all(earlier[1] == later[0] for earlier, later in pairwise(moves))
            if moves and job in stored:
                assert moves[-1][1] == stored[job]
            if complete:
                assert moves[0][0] is None
        if complete:
            assert {(parent, ordinal) for _, parent, ordinal, *_ in rows if parent is not None} >= set(stored)

    def _submit(self, job: NewJob, on_duplicate: OnDuplicate = OnDuplicate.REFUSE, run: str | None = None) -> None:
        (parent_id,) = self._submit_for(run, [job], on_duplicate)
        self.allowed.setdefault(parent_id, min(job.max_attempts.values(), default=MAX_ATTEMPTS))

    def _submit_for(
        self, run: str | None, jobs: Sequence[NewJob], on_duplicate: OnDuplicate, batch: NewBatch | None = None
    ) -> list[int]:
        with reserved(self.store, run):
            return self.write(self.store.submit(jobs, on_duplicate, batch))

    def _overdue(self) -> bool:
        return any(
            parent.deadline_at is not None and parent.deadline_at <= self.at + 1 and not parent.status.is_final
            for parent in self._parents()
        )

    def _limits(self) -> list[int]:
        """Those that are still to come."""
        limits = [parent.deadline_at for parent in self._parents() if not parent.status.is_final]
        return [limit for limit in limits if limit is not None and limit > self.at]

    def _take(self, data: st.DataObject) -> Claim:
        claim = data.draw(st.sampled_from(self.claims))
        self.claims.remove(claim)
        self.stale.append(claim)
        return claim

    def _report(self, claim: Claim, number: int, status: Status) -> Report:
        ended = None if status is Status.RUNNING else self.at
        step = Step(
            number=number,
            attempt=claim.attempt,
            object="main",
            command="VACUUM",
            status=status,
            started_at=self.at,
            finished_at=ended,
        )
        line = LogLine(number=number, attempt=claim.attempt, at=self.at, level=LogLevel.INFO, message="x")
        return Report(steps=(step,), log=(line,))

    def _some(self, *statuses: Status) -> bool:
        return any(child.status in statuses for child in self._children())

    def _parent(self, parent_id: int) -> ParentJob:
        return next(parent for parent in self._parents() if parent.id == parent_id)

    def _parents(self) -> list[ParentJob]:
        if self.read is None:
            self.read = self.runner.run(self.stores.whole_jobs(self.store))
        return self.read

    def _children(self) -> list[ChildJob]:
        return [child for parent in self._parents() for child in parent.children]


@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.long)], ids=["shortly", "long"])
def test_r15_random_work_never_leaves_the_graph(new_stores: NewStores, times: int) -> None:
    examples = TIMES * times * (10 if new_stores.is_fast else 2)
    machine: Any = partial(StoreMachine, new_stores)
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=50))
