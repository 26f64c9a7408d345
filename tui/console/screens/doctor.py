"""The doctor: checks versions, paths and limits; shows problems and fixes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tui.console.context import ConsoleContext
from tui.console.screens.page import PageScreen
from tui.console.views.line import Line, Role, hanging, line, wrapped
from tui.presentation.health_check import Check, Level, to_show
from tui.presentation.text import counted


class DoctorScreen(PageScreen[None]):
    OPENED_BY = "doctor"
    PAGE_TITLE = "Doctor"

    def __init__(self, context: ConsoleContext, examine: Callable[[], Awaitable[list[Check]]]) -> None:
        super().__init__(context)
        self._examine = examine
        self._checks: list[Check] | None = None

    def on_mount(self) -> None:
        self.run_worker(self._run_checks())

    async def _run_checks(self) -> None:
        self._checks = await self._examine()
        self.refresh_page()

    def document(self, width: int) -> list[Line]:
        if self._checks is None:
            return wrapped("Checking ...", width, Role.DIM)
        return doctor_document(self._checks, width)


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
