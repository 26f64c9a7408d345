"""The page map of a SQLite file."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.worker import Worker

from engine.domain.errors import DbtendError
from engine.domain.page_map import PageMap
from tui.console.actions import bindings
from tui.console.context import ConsoleContext
from tui.console.keymap import key_of
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE, PageScreen
from tui.console.views.line import Line, Role, wrapped
from tui.console.views.page_map import page_map_document
from tui.presentation.page_map import NOTHING_MEASURED, read_times_lines
from tui.presentation.target_names import TargetName


class PageMapScreen(PageScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("measure")
    FOOTER = (*TYPING, "measure", *ON_A_PAGE)

    def __init__(self, context: ConsoleContext, url: str, name: TargetName) -> None:
        super().__init__(context)
        self.page.titled(f"Pages of {name}")
        self._url = url
        self._found: PageMap | None = None
        self._error: DbtendError | None = None
        self._measuring: Worker[None] | None = None
        self._measured: list[str] = []

    def on_mount(self) -> None:
        self.run_worker(self._load())

    async def _load(self) -> None:
        try:
            self._found = await self.context.engine.page_map(self._url)
        except DbtendError as error:
            self._error = error
        self.refresh_page()

    def can(self, action_id: str) -> bool:
        return (action_id != "measure" or self._found is not None) and super().can(action_id)

    def action_measure(self) -> None:
        if self._measuring is not None and self._measuring.is_running:
            self._measuring.cancel()
            self._measured = []
        else:
            self._measured = [f"Measuring how long reading takes ... {key_of('measure')} again stops it."]
            self._measuring = self.run_worker(self._measure())
        self.refresh_page()

    async def _measure(self) -> None:
        try:
            times = await self.context.engine.read_times(self._url)
            self._measured = [NOTHING_MEASURED] if times is None else read_times_lines(times)
        except DbtendError as error:
            self._measured = [str(error)]
        self.refresh_page()

    def document(self, width: int) -> list[Line]:
        if self._error is not None:
            return wrapped(str(self._error), width, Role.FAILED)
        if self._found is None:
            return wrapped("Looking at the pages ...", width, Role.DIM)
        return page_map_document(self._found, width, self.page.rows_in_view, self._measured)
