"""What the history of a database says of its checks and backups."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from engine.domain.advice import PastJob, with_replaced
from engine.domain.claims import Outcome, Report
from engine.domain.engines import EngineName
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.requests import CheckLevel, OnDuplicate, Operation, Options, Request
from engine.domain.statuses import Status
from engine.domain.steps import FILE, FREED_PAGES, REPLACED_FILE, Facts, Step
from engine.history.target_history import (
    HISTORY_WINDOW,
    LAST_JOBS,
    MAX_JOBS_READ,
    backed_up_at,
    check_history,
    cleared_since,
    estimated,
    pages_moved_at,
    replaced_files,
    still_damaged,
    target_history,
    vacuumed,
)
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now
from engine.targets.check_policy import due_check
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import OperationPlan, PlannedStep
from tests.building import new_job

QUICK, FULL = CheckLevel.QUICK, CheckLevel.FULL


class History:
    """Jobs of one database, written from the oldest to the newest; job n ends at n."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._jobs: list[ParentJob] = []

    def add(
        self,
        operation: Operation,
        after: Facts | None = None,
        *,
        status: Status = Status.COMPLETED,
        objects: tuple[str, ...] = (),
        steps: tuple[Step, ...] = (),
    ) -> History:
        number = next(self._ids)
        child = ChildJob(
            parent_id=number,
            ordinal=1,
            operation=operation,
            status=status,
            finished_at=number,
            after=after,
            steps=steps,
        )
        request = Request(target="sales.db", operations=(operation,), options=Options(objects=objects))
        parent = ParentJob(
            id=number, engine=EngineName.SQLITE, request=request, status=status, created_at=number, children=(child,)
        )
        self._jobs.append(parent)
        return self

    def check(
        self,
        level: CheckLevel = FULL,
        *damaged: str,
        damage: str | None = None,
        objects: tuple[str, ...] = (),
        complete: bool = True,
        file: str | None = None,
    ) -> History:
        findings = len(damaged) + (damage is not None)
        after: Facts = {
            "size": 1, "findings": findings, "damaged_indexes": list(damaged), "damage": damage, "level": level.value,
            "complete": complete,
        }  # fmt: skip
        if file is not None:
            after = {**after, "file": file}
        status = Status.FAILED if findings else Status.COMPLETED
        return self.add(Operation.CHECK, after, status=status, objects=objects)

    @property
    def jobs(self) -> list[ParentJob]:
        """The newest first, as the store gives them."""
        return self._jobs[::-1]


def test_nothing_was_ever_checked() -> None:
    said = check_history([])
    assert (said.clean_at, said.damaged, said.damage) == ({}, {}, None)


def test_a_full_check_counts_as_a_quick_one() -> None:
    assert check_history(History().check(QUICK).check(FULL).jobs).clean_at == {QUICK: 2, FULL: 2}
    assert check_history(History().check(FULL).check(QUICK).jobs).clean_at == {QUICK: 2, FULL: 1}
    assert check_history(History().check(QUICK).jobs).clean_at == {QUICK: 1}


def test_a_full_check_is_due_by_the_first_of_the_quick_ones_since() -> None:
    assert check_history(History().check(QUICK).check(QUICK).jobs).first_quick_at == 1
    assert check_history(History().check(QUICK).check(FULL).check(QUICK).check(QUICK).jobs).first_quick_at == 3
    assert check_history(History().check(QUICK).check(FULL).jobs).first_quick_at is None


async def test_a_full_check_is_due_however_often_a_quick_one_runs(store: SqliteStore) -> None:
    async with store.hosting_workers() as owner:
        for _ in range(MAX_JOBS_READ):
            (parent_id,) = await store.submit([new_job("sales", Operation.CHECK)], OnDuplicate.REFUSE)
            claim = await store.claim(owner)
            assert claim is not None
            after: Facts = {"size": 1, "findings": 0, "damage": None, "level": "quick", "complete": True}
            await store.finish(claim, Outcome(status=Status.COMPLETED, after=after), Report())
    job = await store.job(parent_id)
    assert due_check(await target_history(store, job.target, job.created_at)).level is FULL


def test_the_last_check_counts() -> None:
    said = check_history(History().check(FULL, "a", "b").check(FULL, "b", damage="page 3 is lost").jobs)
    assert said.damaged == {"b": JobId(2, 1)}
    assert said.damage == "page 3 is lost"
    assert said.clean_at == {}


def test_a_clean_check_outdates_what_was_found_before() -> None:
    said = check_history(History().check(FULL, "a", damage="page 3 is lost").check(FULL).jobs)
    assert (said.clean_at, said.damaged, said.damage) == ({QUICK: 2, FULL: 2}, {}, None)


def test_a_clean_quick_check_is_no_proof_against_what_a_full_one_found() -> None:
    said = check_history(History().check(FULL, "a").check(QUICK).jobs)
    assert said.damaged == {"a": JobId(1, 1)}
    assert said.clean_at == {QUICK: 2}


def test_what_was_clean_before_something_was_found_counts_no_more() -> None:
    said = check_history(History().check(FULL).check(QUICK, "a").jobs)
    assert said.clean_at == {}
    assert said.damaged == {"a": JobId(2, 1)}


def test_a_check_of_some_tables_proves_nothing_of_the_others() -> None:
    clean = check_history(History().check(FULL, "a").check(FULL, objects=("orders",)).jobs)
    assert clean.clean_at == {}
    assert clean.damaged == {"a": JobId(1, 1)}
    found = check_history(History().check(FULL, "a").check(FULL, "b", objects=("orders",)).jobs)
    assert set(found.damaged) == {"a", "b"}


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.FAILED, Status.PENDING])
def test_a_check_that_was_not_completed_is_no_proof(status: Status) -> None:
    history = History().add(Operation.CHECK, {"size": 1, "findings": 0, "level": "full"}, status=status)
    assert check_history(history.jobs).clean_at == {}
    assert check_history(History().add(Operation.CHECK, None, status=status).jobs).clean_at == {}


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.FAILED])
def test_a_check_that_compared_all_indexes_and_got_no_further_is_not_clean(status: Status) -> None:
    after: Facts = {"findings": 0, "level": "full", "complete": True}
    history = History().check(FULL, "a").add(Operation.CHECK, after, status=status)
    said = check_history(history.jobs)
    assert (said.clean_at, said.damaged) == ({}, {"a": JobId(1, 1)})


def test_indexes_are_compared_by_a_full_check_that_looked_at_everything_whatever_it_found() -> None:
    assert check_history(History().check(QUICK).jobs).compared_at is None
    assert check_history(History().check(FULL).check(QUICK, damage="page 3 is lost").jobs).compared_at == 1
    assert check_history(History().check(FULL).check(FULL, "a").jobs).compared_at == 2
    assert check_history(History().check(FULL, objects=("orders",)).jobs).compared_at is None
    assert check_history(History().check(FULL, damage="page 3 is lost", complete=False).jobs).compared_at is None
    cancelled: Facts = {"findings": 0, "level": "full", "complete": False}
    history = History().add(Operation.CHECK, cancelled, status=Status.CANCELLED)
    assert check_history(history.jobs).compared_at is None


ORPHANS = "a row of bill refers to a missing row of group (rowid 1)"


def test_a_check_with_any_finding_is_not_clean() -> None:
    after: Facts = {
        "findings": 2, "damaged_indexes": [], "damage": None, "level": "full", "complete": True, "broken_rule": ORPHANS
    }  # fmt: skip
    history = History().check(FULL).add(Operation.CHECK, after, status=Status.FAILED)
    said = check_history(history.jobs)
    assert (said.clean_at, said.damage, said.broken_rule) == ({}, None, ORPHANS)
    assert check_history(history.check(QUICK).jobs).broken_rule == ORPHANS
    said = check_history(history.check(QUICK, damage="page 3 is lost").jobs)
    assert (said.broken_rule, said.broken_rule_found and said.broken_rule_found.job) == (ORPHANS, 2)
    said = check_history(history.check(FULL).jobs)
    assert (said.clean_at, said.broken_rule) == ({QUICK: 5, FULL: 5}, None)


@pytest.mark.parametrize("marked", [{"complete": False}, {}])
def test_a_check_that_found_something_and_did_not_look_at_everything_outdates_nothing(marked: Facts) -> None:
    after: Facts = {"size": 1, "findings": 1, "damaged_indexes": [], "damage": None, "level": "full", **marked}
    history = History().check(FULL, "a").add(Operation.CHECK, after, status=Status.FAILED)
    said = check_history(history.jobs)
    assert (said.clean_at, said.damaged) == ({}, {"a": JobId(1, 1)})


def test_what_a_cancelled_check_has_found_by_then_counts() -> None:
    after: Facts = {"size": 1, "findings": 1, "damaged_indexes": ["a"], "damage": None, "level": "full"}
    said = check_history(History().add(Operation.CHECK, after, status=Status.CANCELLED).jobs)
    assert said.damaged == {"a": JobId(1, 1)}


@pytest.mark.parametrize(
    ("told", "is_all"),
    [
        ({}, True),
        ({"level": "quick"}, False),
        ({"complete": False}, False),
        ({"complete": False, "damage": "Page 3 is lost"}, True),
        ({"complete": False, "findings": 100}, True),
    ],
)
def test_what_was_found_is_known_by_its_job_and_whether_a_check_could_find_more(told: Facts, is_all: bool) -> None:
    after: Facts = {"findings": 2, "orphans": 7, "level": "full", "complete": True, **told}
    history = History().check(FULL, "a").add(Operation.CHECK, after, status=Status.FAILED)
    found = check_history(history.jobs).found
    assert found is not None
    assert (found.job, found.at, found.orphans, found.is_all) == (2, 2, 7, is_all)
    of_some = History().add(Operation.CHECK, after, status=Status.FAILED, objects=("orders",))
    found = check_history(of_some.jobs).found
    assert found is not None
    assert not found.is_all
    assert check_history(history.check(FULL).jobs).found is None


def test_the_check_that_found_the_damage_is_told_before_a_later_one_that_found_less() -> None:
    history = History().check(FULL, damage="Page 3 is lost", complete=False).check(FULL, "a", objects=("orders",))
    said = check_history(history.jobs)
    assert (said.damage, said.found and said.found.job) == ("Page 3 is lost", 1)


def test_the_last_vacuum_that_completed_counts_with_the_end_of_its_job() -> None:
    history = History().add(Operation.VACUUM).add(Operation.VACUUM, status=Status.FAILED)
    assert vacuumed(history.jobs) is None
    over = [replace(job, finished_at=job.id + 5) for job in history.jobs]
    assert vacuumed(over) == PastJob(1, 6)


def step(name: str, status: Status = Status.COMPLETED) -> Step:
    command = f'REINDEX main."{name}"'
    return Step(
        number=1,
        attempt=1,
        object=name,
        command=command,
        operation=Operation.REINDEX,
        status=status,
        started_at=1,
    )


def group(*done: str, status: Status = Status.COMPLETED) -> Step:
    """A step for many indexes, with those of them that were rebuilt."""
    return replace(step("842 small indexes", status), effect={"objects": list(done)})


@pytest.mark.parametrize(
    ("status", "objects", "steps", "left"),
    [
        (Status.COMPLETED, (), (), []),
        (Status.COMPLETED, ("a",), (step("a"),), ["b"]),
        (Status.COMPLETED, ("orders",), (step("a"), step("b")), []),
        (Status.FAILED, (), (step("a"), step("b", Status.FAILED)), ["b"]),
        (Status.CANCELLED, (), (step("a"),), ["b"]),
        (Status.SKIPPED, (), (), ["a", "b"]),
        (Status.CANCELLED, (), (group("a"), group("c")), ["b"]),
        (Status.FAILED, (), (group("b", status=Status.FAILED),), ["a"]),
        (Status.CANCELLED, (), (group(status=Status.CANCELLED),), ["a", "b"]),
    ],
)
def test_indexes_that_were_rebuilt_since(
    status: Status, objects: tuple[str, ...], steps: tuple[Step, ...], left: list[str]
) -> None:
    history = History().check(FULL, "a", "b")
    damaged = check_history(history.jobs).damaged
    history.add(Operation.REINDEX, status=status, objects=objects, steps=steps)
    assert list(still_damaged(damaged, history.jobs)) == left


def test_indexes_that_were_rebuilt_before_the_check() -> None:
    history = History().add(Operation.REINDEX).check(FULL, "a")
    assert list(still_damaged(check_history(history.jobs).damaged, history.jobs)) == ["a"]


def test_the_last_backup_that_completed() -> None:
    history = History().add(Operation.BACKUP).add(Operation.BACKUP, status=Status.FAILED)
    assert backed_up_at(history.jobs) == 1
    assert backed_up_at([]) is None


def test_a_clean_check_of_another_file_is_no_proof_and_one_that_does_not_say_of_which_is() -> None:
    history = History().check(FULL, file="a").check(QUICK, file="b")
    assert check_history(history.jobs, ("a",)).clean_at == {FULL: 1, QUICK: 1}
    assert check_history(history.jobs, ("b",)).clean_at == {QUICK: 2}
    assert check_history(history.jobs).clean_at == {FULL: 1, QUICK: 2}
    said = check_history(history.jobs, ("c",))
    assert (said.clean_at, said.compared_at, said.checked_other_file) == ({}, None, True)
    said = check_history(History().check(FULL).jobs, ("c",))
    assert (said.clean_at, said.compared_at, said.checked_other_file) == ({FULL: 1, QUICK: 1}, 1, False)


def test_a_database_is_the_same_after_an_exchange() -> None:
    history = History().check(FULL, file="a")
    for new, old in (("b", "a"), ("c", "b")):
        history.add(Operation.VACUUM, {FILE: new, REPLACED_FILE: old})
    files = with_replaced("c", replaced_files(history.jobs))
    assert files == ("c", "b", "a")
    assert check_history(history.jobs, files).clean_at == {FULL: 1, QUICK: 1}
    assert with_replaced("other", replaced_files(history.jobs)) == ("other",)


def test_what_was_found_in_this_file_counts_although_another_was_clean_since() -> None:
    history = History().check(FULL, damage="page 3 is lost", file="a").check(FULL, file="b")
    assert check_history(history.jobs, ("a",)).damage == "page 3 is lost"
    for file in ("b", "c"):
        assert check_history(history.jobs, (file,)).damage is None


def test_what_was_found_in_the_file_before_counts_until_this_was_checked() -> None:
    history = History().check(FULL, damage="page 3 is lost", file="a")
    said = check_history(history.jobs, ("b",))
    assert (said.damage, said.clean_at) == ("page 3 is lost", {})
    assert check_history(history.check(FULL, file="b").jobs, ("b",)).damage is None


async def test_what_is_long_past_is_not_looked_for(store: SqliteStore) -> None:
    (parent_id,) = await store.submit([new_job("sales", Operation.CHECK)], OnDuplicate.REFUSE)
    async with store.hosting_workers() as owner:
        claim = await store.claim(owner)
        assert claim is not None
        after: Facts = {"size": 1, "findings": 1, "damaged_indexes": ["a"], "damage": None, "level": "full"}
        await store.finish(claim, Outcome(status=Status.FAILED, after=after), Report())
    job = await store.job(parent_id)
    assert (await target_history(store, job.target, job.created_at)).rebuilt_indexes == ()
    assert (await target_history(store, job.target, job.created_at + HISTORY_WINDOW)).damaged_indexes == ("a",)
    assert (await target_history(store, job.target, job.created_at + HISTORY_WINDOW + 1)).damaged_indexes == ()


@pytest.mark.parametrize(("completed", "are_known"), [(0, True), (3, True), (LAST_JOBS - 1, True), (LAST_JOBS, False)])
async def test_estimates_read_no_jobs_again_that_are_all_known(
    store: SqliteStore, completed: int, are_known: bool
) -> None:
    async with store.hosting_workers() as owner:
        for number in range(completed):
            operation = Operation.ANALYZE if number % 2 else Operation.REINDEX
            await store.submit([new_job("sales", operation)], OnDuplicate.REFUSE)
            claim = await store.claim(owner)
            assert claim is not None
            await store.finish(claim, Outcome(status=Status.COMPLETED, before={"size": 1}), Report())
    target = new_job("sales", Operation.ANALYZE).request.target
    past = await target_history(store, target, now())
    assert (past.jobs is not None) is are_known
    step = PlannedStep(object="main", command="ANALYZE", reason="", lock=NO_LOCK, estimate=5.0)
    plan = OperationPlan(operation=Operation.ANALYZE, steps=(step,))
    read = await estimated(store, target, plan, Options(), {"size": 2})
    assert await estimated(store, target, plan, Options(), {"size": 2}, past.jobs) == read
    assert read.is_first_guess is (completed == 0)


def of_tables(
    *damaged: str, scanned_share: tuple[str, ...] = (), level: CheckLevel = FULL, complete: bool = True
) -> tuple[Facts, tuple[Step, ...]]:
    """What a check of a database server leaves, and its steps."""
    facts: Facts = {
        "findings": len(damaged), "damaged_tables": list(damaged), "damage": damaged[0] if damaged else None,
        "level": level.value, "complete": complete,
    }  # fmt: skip
    return facts, tuple(step(name, Status.FAILED if name in damaged else Status.COMPLETED) for name in scanned_share)


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (of_tables(scanned_share=("a",)), ["b"]),
        (of_tables(scanned_share=("a",), level=QUICK), ["a", "b"]),
        (of_tables(scanned_share=("a", "b"), complete=False), ["a", "b"]),
        (of_tables("b", scanned_share=("a", "b")), ["b"]),
        (of_tables(scanned_share=("c",)), ["a", "b"]),
    ],
)
async def test_a_table_is_well_again_once_a_check_of_it_that_is_no_less_thorough_finds_nothing(
    later: tuple[Facts, tuple[Step, ...]], left: list[str]
) -> None:
    history = History()
    for number, (facts, steps) in enumerate((of_tables("a", "b", scanned_share=("a", "b")), later)):
        status = Status.FAILED if facts["findings"] else Status.COMPLETED
        history.add(Operation.CHECK, facts, status=status, objects=("a",) * number, steps=steps)
    found = check_history(history.jobs).damaged_tables
    well = set(cleared_since(found, history.jobs))
    assert sorted(found.keys() - well) == left


def test_a_check_looks_at_everything_whatever_other_operations_of_its_job_leave_out() -> None:
    history = History().add(
        Operation.CHECK,
        {"findings": 1, "damaged_tables": ["public.orders"], "complete": True, "level": "full"},
        status=Status.FAILED,
    )
    history.add(Operation.CHECK, {"findings": 0, "complete": True, "level": "full"})
    clean, *before = history.jobs
    request = replace(clean.request, options=Options(leave_out=("public.orders",)))
    assert check_history([replace(clean, request=request), *before]).damaged_tables == {}


def test_pages_that_were_freed_have_moved_others_even_if_not_all_of_them_were() -> None:
    cancelled = History().add(Operation.REINDEX)
    cancelled.add(Operation.INCREMENTAL_VACUUM, {FREED_PAGES: 0}, status=Status.CANCELLED)
    assert pages_moved_at(cancelled.jobs) == 1
    cancelled.add(Operation.INCREMENTAL_VACUUM, {FREED_PAGES: 8}, status=Status.CANCELLED)
    assert pages_moved_at(cancelled.jobs) == 3
    assert pages_moved_at(cancelled.add(Operation.REINDEX, status=Status.FAILED).jobs) == 3
    assert pages_moved_at(History().add(Operation.ANALYZE).jobs) == 0
