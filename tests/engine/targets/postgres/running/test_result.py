"""The result of a step comes from severities and codes, never from words, which may be in any language."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from engine.domain.statuses import Reason, Status
from engine.targets.lock_impact import NO_LOCK
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading.locks import Blockers
from engine.targets.postgres.running.result import follow_up_notices, step_result, was_skipped_by_server
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.step_execution import StepResult

NO_RIGHT = Notice("WARNING", "keine Berechtigung, um »item« zu vacuumen, wird übersprungen")
STARTED = Notice("INFO", "Vacuum von »public.item«")


def ended(answer: Answer, method: Method = Method.VACUUM, *, is_closed: bool = False, **effect: int) -> StepResult:
    command = "REINDEX INDEX item_pkey" if method is Method.REINDEX else "VACUUM item"
    step = PgStep(object="public.item", command=command, reason="", lock=NO_LOCK, method=method)
    return step_result(
        step, answer, effect, is_closed=is_closed, waited=5, blockers=Blockers("pid 4711 (psql)"), held_by="pid 5 (app)"
    )


def test_trap_only_a_warning_is_no_success_whatever_its_language() -> None:
    result = ended(Answer(notices=[NO_RIGHT]))
    assert (result.status, result.error) == (Status.SKIPPED, NO_RIGHT.message)


def test_a_warning_beside_work_is_a_warning() -> None:
    result = ended(Answer(notices=[STARTED, NO_RIGHT]))
    assert (result.status, result.warnings) == (Status.COMPLETED, (NO_RIGHT.message,))


def test_of_a_rebuild_a_warning_is_a_warning() -> None:
    assert ended(Answer(notices=[NO_RIGHT]), Method.REINDEX).status is Status.COMPLETED


REWRITE = PgStep(
    object="public.item", command="VACUUM (FULL, VERBOSE) item; ANALYZE item",
    first_command="VACUUM (FULL, VERBOSE) item",
    follow_up_command="ANALYZE item", reason="", lock=NO_LOCK, method=Method.VACUUM_FULL,
)  # fmt: skip
STILL = "public.item was rewritten. Still to run: ANALYZE item"


def test_trap_a_rewrite_that_only_warns_is_no_success() -> None:
    assert was_skipped_by_server(REWRITE, Answer(notices=[NO_RIGHT]))
    result = step_result(REWRITE, Answer(notices=[NO_RIGHT]), {}, is_closed=False, waited=5)
    assert (result.status, result.error) == (Status.SKIPPED, NO_RIGHT.message)


@pytest.mark.parametrize(
    ("following", "told"),
    [
        (Answer(notices=[STARTED]), []),
        (Answer(notices=[STARTED, NO_RIGHT]), [NO_RIGHT.message]),
        (Answer(notices=[NO_RIGHT]), [f"{STILL} ({NO_RIGHT.message})"]),
        (Answer(error=errors.QueryCanceled("x"), was_asked_to_stop=True), [f"{STILL} (it was stopped)"]),
        (Answer(error=errors.LockNotAvailable("x")), [f"{STILL} (it waited 5 s for its lock: pid 4711 (psql))"]),
        (Answer(error=errors.DiskFull("no space"), notices=[STARTED, NO_RIGHT]), [f"{STILL} (no space)"]),
        (Answer(error=errors.UndefinedTable("x")), []),
    ],
)
def test_a_rewrite_is_done_whatever_becomes_of_what_follows_it(following: Answer, told: list[str]) -> None:
    found = follow_up_notices(REWRITE, following, waited=5, blockers="pid 4711 (psql)")
    assert [(notice.is_warning, notice.message) for notice in found] == [(True, message) for message in told]


def test_rows_that_are_kept_are_told_with_the_reason() -> None:
    result = ended(Answer(notices=[STARTED]), rows_kept=1_234)
    assert result.warnings == ("public.item: 1,234 dead rows not yet removable: held back by pid 5 (app)",)
    (warning,) = ended(Answer(notices=[STARTED]), rows_kept=1).warnings
    assert warning.startswith("public.item: 1 dead row not yet removable")


def test_cancelled_is_only_what_was_asked_to_stop() -> None:
    assert ended(Answer(error=errors.QueryCanceled("x"), was_asked_to_stop=True)).status is Status.CANCELLED
    assert ended(Answer(error=errors.QueryCanceled("x"))).status is Status.FAILED
    assert ended(Answer(error=errors.LockNotAvailable("x"), was_asked_to_stop=True)).status is Status.FAILED
    assert ended(Answer(notices=[STARTED], was_asked_to_stop=True)).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("error", "closed", "reason", "said"),
    [
        (errors.LockNotAvailable("x"), False, Reason.TARGET_BUSY, "it waited 5 s for its lock: pid 4711 (psql)"),
        (errors.DeadlockDetected("x"), False, Reason.TARGET_BUSY, "deadlock"),
        (errors.ReadOnlySqlTransaction("x"), False, Reason.REFUSED, "it is a standby, or default_transaction"),
        (errors.DiskFull("x"), False, None, "the disk of the server is full"),
        (errors.TooManyConnections("x"), False, None, "no connection left"),
        (errors.AdminShutdown("x"), True, None, "an administrator ended the connection"),
        (errors.InsufficientPrivilege("must be owner of item"), False, Reason.REFUSED, "must be owner of item"),
        (errors.FeatureNotSupported("not here"), False, Reason.NOT_SUPPORTED, "not here"),
        (psycopg.OperationalError("server closed the connection"), True, Reason.SERVER_LOST, "the connection was lost"),
        (errors.IndexCorrupted("x"), False, None, "an index is damaged"),
        (errors.DataCorrupted("x"), False, None, "a page is damaged"),
        (errors.SyntaxError("password=s3cret"), False, None, "password=***"),
    ],
)
def test_every_failure_is_a_sentence(error: psycopg.Error, closed: bool, reason: Reason | None, said: str) -> None:
    result = ended(Answer(error=error), Method.REINDEX, is_closed=closed)
    assert (result.status, result.reason) == (Status.FAILED, reason)
    assert said in str(result.error)


@pytest.mark.parametrize("error", [errors.UndefinedTable("x"), errors.UndefinedObject("x")])
def test_what_is_gone_is_skipped(error: psycopg.Error) -> None:
    assert ended(Answer(error=error)).status is Status.SKIPPED


def test_what_a_check_finds_is_listed() -> None:
    result = ended(Answer(rows=[("7", "3", "xmin is too new"), ("8", None, "line pointer")]), Method.CHECK)
    assert (result.status, result.effect) == (Status.FAILED, {"findings": 2})
    assert result.findings[0] == "public.item: block 7, row 3: xmin is too new"
    broken = ended(Answer(error=errors.IndexCorrupted("item order invariant violated")), Method.CHECK)
    assert broken.error == broken.findings[0]
    assert broken.findings == ("public.item: item order invariant violated",)
