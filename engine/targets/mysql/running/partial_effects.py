"""What remains of a step that did not complete, as text: pure functions."""

from __future__ import annotations

from engine.domain.statuses import Reason
from engine.targets.check_results import CHECK_UNFINISHED
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.step_execution import DONE_OR_UNCHANGED, NOTHING_CHANGED


def partial_effect(step: MySqlStep, reason: Reason | None, *, never_began: bool) -> str:
    """`reason`: why it failed. `never_began`: whether it was refused, or never had its lock."""
    is_lost = reason is Reason.SERVER_LOST
    match step.method:
        case Method.CHECK | Method.FOREIGN_KEY:
            return CHECK_UNFINISHED
        case Method.ANALYZE | Method.HISTOGRAMS:
            return "the old statistics stay, or there are new ones" if is_lost else "the old statistics stay"
        case Method.REBUILD:
            return DONE_OR_UNCHANGED if is_lost else NOTHING_CHANGED
        case Method.REPAIR:
            return NOTHING_CHANGED if never_began else "the table may be crashed: run repair again"
        case Method.PURGE_UNDO:
            if is_lost:
                return "the undo tablespace may be inactive: run purge-undo again"
            return "the undo tablespaces are unchanged"
