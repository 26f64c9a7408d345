"""What remains of a step that did not complete, as text: pure functions."""

from __future__ import annotations

from engine.targets.check_results import CHECK_UNFINISHED
from engine.targets.mysql.planning.steps import Method, MySqlStep
from engine.targets.step_execution import NOTHING_CHANGED


def partial_effect(step: MySqlStep, *, never_began: bool) -> str:
    """`never_began`: whether it was refused, or never had its lock."""
    match step.method:
        case Method.CHECK | Method.FOREIGN_KEY:
            return CHECK_UNFINISHED
        case Method.ANALYZE | Method.HISTOGRAMS:
            return "the old statistics stay"
        case Method.REBUILD:
            return NOTHING_CHANGED
        case Method.REPAIR:
            return NOTHING_CHANGED if never_began else "the table may be crashed: run repair again"
        case Method.PURGE_UNDO:
            return "the undo tablespaces are unchanged"
