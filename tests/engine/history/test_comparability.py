"""Which runs of an operation count as whole, and which are comparable, by their options."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.domain.jobs import JobId, ParentJob
from engine.domain.option_specs import covers_whole_database
from engine.domain.requests import CheckLevel, Operation, Options, ServerOptions, SqliteLibrary
from engine.domain.statuses import Reason, Status
from engine.history.estimates import extent
from engine.history.target_history import check_history, failed_rebuilds, last_clean_check, ran
from tests.engine.history.test_target_history import History

FULL = CheckLevel.FULL
OF_A_PART = [
    (Operation.CHECK, Options(objects=("orders",))),
    (Operation.CHECK, Options(server=ServerOptions(schemas=("public",)))),
    (Operation.VACUUM, Options(leave_out=("public.orders",))),
    (Operation.VACUUM, Options(server=ServerOptions(schemas=("public",)))),
    (Operation.ANALYZE, Options(leave_out=("orders",))),
    (Operation.REINDEX, Options(rebuild=("names",))),
]
OF_ALL = [
    (Operation.CHECK, Options(leave_out=("orders",))),  # a check leaves nothing out
    (Operation.CHECK, Options(rebuild=("names",))),
    (Operation.VACUUM, Options(rebuild=("names",))),
    (Operation.VACUUM, Options()),
]


def with_options(job: ParentJob, options: Options) -> ParentJob:
    return replace(job, finished_at=1, request=replace(job.request, options=options))


@pytest.mark.parametrize(("operation", "options"), OF_A_PART)
def test_a_run_on_a_part_is_none_of_everything(operation: Operation, options: Options) -> None:
    (job,) = History().add(operation).jobs
    assert not covers_whole_database(operation, options)
    assert ran([with_options(job, options)]) == {}
    assert extent(operation, options) != extent(operation, Options())


@pytest.mark.parametrize(("operation", "options"), OF_ALL)
def test_what_is_for_other_operations_makes_no_part_of_it(operation: Operation, options: Options) -> None:
    (job,) = History().add(operation).jobs
    assert covers_whole_database(operation, options)
    assert list(ran([with_options(job, options)])) == [operation]
    assert extent(operation, options) == extent(operation, Options())


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        (Operation.VACUUM, Options(swap=True)),
        (Operation.REINDEX, Options(sqlite=SqliteLibrary.BUNDLED)),
        (Operation.BACKUP, Options(verify=True)),
    ],
)
def test_what_is_done_in_another_way_takes_another_time(operation: Operation, options: Options) -> None:
    assert extent(operation, options) != extent(operation, Options())


def test_a_comparison_makes_an_exchange_longer_and_no_vacuum() -> None:
    verified = Options(swap=True, verify=True)
    assert extent(Operation.VACUUM, verified) != extent(Operation.VACUUM, Options(swap=True))
    assert extent(Operation.VACUUM, Options(verify=True)) == extent(Operation.VACUUM, Options())


def test_a_clean_check_of_a_schema_is_no_clean_check() -> None:
    (job,) = History().check(FULL).jobs
    of_a_schema = with_options(job, Options(server=ServerOptions(schemas=("public",))))
    assert check_history([of_a_schema]).clean_at == {}
    assert last_clean_check([of_a_schema]) == 0 < last_clean_check([job])


def test_an_index_counts_as_rebuilt_in_vain_until_that_works_or_a_check_is_clean() -> None:
    def job(number: int, **changes: object) -> ParentJob:
        history = History()
        for _ in range(number):
            history.add(Operation.REINDEX, objects=("a",))
        (last, *_) = history.jobs
        child = replace(last.children[0], **changes)  # type: ignore[arg-type]
        return replace(last, children=(child,))

    failed = job(1, status=Status.FAILED, reason=Reason.OPERATION_ERROR)
    assert failed_rebuilds(["a", "b"], [failed], since=0) == {"a": 1}
    assert failed_rebuilds(["a"], [job(2), failed], since=0) == {}
    assert failed_rebuilds(["a"], [failed], since=1) == {}
    assert failed_rebuilds(["a"], [job(1, status=Status.FAILED, reason=Reason.TARGET_BUSY)], since=0) == {}
    assert failed.children[0].id == JobId(1, 1)
