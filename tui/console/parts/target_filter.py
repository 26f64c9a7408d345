"""The filter line of a list of targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.domain.errors import UsageError
from engine.fleet.filters import FleetFilter, fleet_filter
from tui.console.console_screen import ConsoleScreen
from tui.console.views.line import Role
from tui.console.widgets.target_list import ModelList
from tui.presentation.history_filter import words_of

PLACEHOLDER = "name, @group, level: engine: label: size:>1GB checked:>30d"


def apply_filter(screen: ConsoleScreen[Any], targets: ModelList, line: str, changed: Callable[[], None]) -> bool:
    """Filter a list by these words; for a wrong word say why. Returns whether all words are right.

    The last word may not be finished: then the words before it count.
    """
    words = [word.text for word in words_of(line)]
    problem = None
    try:
        where = fleet_filter(words)
    except UsageError as error:
        problem = error
        try:
            where = fleet_filter(words[:-1])
        except UsageError:
            screen.say(str(problem), Role.WARNING)
            return False
    is_unfinished = problem is not None and not line[-1:].isspace()
    screen.say(str(problem) if problem else "", Role.DIM if is_unfinished else Role.WARNING)
    targets.where = where if where != FleetFilter() else None
    targets.words = " ".join(words if problem is None else words[:-1])
    changed()
    return problem is None
