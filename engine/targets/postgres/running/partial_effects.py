"""What remains of a step that did not complete, as text: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.humanize import counted, listed
from engine.domain.statuses import Reason
from engine.targets.check_results import CHECK_UNFINISHED
from engine.targets.postgres.planning.steps import Method, Model, PgStep
from engine.targets.postgres.running.invalid_indexes import Removal
from engine.targets.postgres.running.statement import Answer
from engine.targets.step_execution import DONE_OR_UNCHANGED, NOTHING_CHANGED


def never_had_lock(step: PgStep, answer: Answer, *, was_seen_waiting: bool) -> bool:
    """Whether the step surely never got its lock. VERBOSE output would show it; other commands are polled."""
    has_answered = answer.error is not None and answer.error.sqlstate is not None
    if step.method is not Method.VACUUM or not has_answered or any(notice.is_info for notice in answer.notices):
        return False
    return was_seen_waiting or not step.verbose_command


def partial_effect(step: PgStep, reason: Reason | None, removals: Sequence[Removal], *, only_waited: bool) -> str:
    """`reason`: why it failed. `removals`: what became of the unfinished copies of an index. `only_waited`: whether it
    never had its lock."""
    if only_waited:
        return NOTHING_CHANGED
    match step.method:
        case Method.VACUUM if reason is Reason.REFUSED:
            return NOTHING_CHANGED
        case Method.VACUUM if step.model is Model.ANALYZE:
            return "the old statistics stay"
        case Method.VACUUM:
            dead = step.subject.dead_rows if step.subject is not None else 0
            of = f" (of {counted(dead, 'dead row')})" if dead else ""
            return f"the rows removed so far{of} stay removed, the next run removes the rest"
        case Method.VACUUM_FULL | Method.CLUSTER | Method.REPACK | Method.PG_REPACK | Method.REINDEX:
            return DONE_OR_UNCHANGED if reason is Reason.SERVER_LOST else NOTHING_CHANGED
        case Method.REINDEX_CONCURRENTLY:
            return _by_rebuild(removals)
        case Method.DROP_LEFTOVER:
            return "the invalid index stays"
        case Method.DROP_PG_REPACK:
            return "trigger and log of pg_repack stay"
        case Method.CHECK:
            return CHECK_UNFINISHED
        case Method.STATISTICS | Method.RECORD_VERSION | Method.TEND_INDEX:
            return "the next run does it"


def _by_rebuild(removals: Sequence[Removal]) -> str:
    still_there = [removal.leftover.shown for removal in removals if removal.problem]
    if still_there:
        return f"the old index stays; left over, and invalid: {listed(still_there)}"
    return "the old index stays" + ("; its unfinished copy was dropped" if removals else "")
