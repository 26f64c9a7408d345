"""The page of the doctor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tui.console.views.line import Line, Role, hanging, line, wrapped
from tui.presentation.health_check import Check, Level, to_show
from tui.presentation.text import counted

_LEVELS: Final = {
    Level.OK: ("✓ ok", Role.COMPLETED),
    Level.WARN: ("! warn", Role.WARNING),
    Level.PROBLEM: ("× problem", Role.FAILED),
}
_LEVEL_WIDTH: Final = 11
_WHAT_WIDTH: Final = 14


def doctor_document(checks: Sequence[Check], width: int) -> list[Line]:
    """A summary line, then each check with its fix, if one is needed."""
    wrong = sum(check.level is Level.PROBLEM for check in checks)
    odd = sum(check.level is Level.WARN for check in checks)
    counts = [counted(wrong, "problem") if wrong else "", counted(odd, "warning") if odd else ""]
    summary = ", ".join(filter(None, counts)) or "No problems found."
    role = Role.FAILED if wrong else Role.WARNING if odd else Role.COMPLETED
    lines = [line((summary, role)), line()]
    for check in to_show(checks):
        word, level_role = _LEVELS[check.level]
        indent = _LEVEL_WIDTH + _WHAT_WIDTH
        what = wrapped(check.what, width)[0].text
        if len(what) >= _WHAT_WIDTH:
            lines.append(line((f"{word:<{_LEVEL_WIDTH}}", level_role), (what, Role.STRONG)))
            lines += wrapped(check.found, width, indent=indent)
        else:
            begin = (f"{word:<{_LEVEL_WIDTH}}", level_role), (f"{what:<{_WHAT_WIDTH}}", Role.STRONG)
            lines += hanging(begin, check.found, width)
        if check.fix:
            lines += wrapped(check.fix, width, Role.SQL, indent=indent)
    return lines
