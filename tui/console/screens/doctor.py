"""The doctor: checks versions, paths and limits; shows problems and fixes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tui.console.context import ConsoleContext
from tui.console.screens.page import PageScreen
from tui.console.views.doctor import doctor_document
from tui.console.views.line import Line, Role, wrapped
from tui.presentation.health_check import Check


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
