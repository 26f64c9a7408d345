"""The page map of a SQLite file."""

from __future__ import annotations

from engine.domain.errors import DbtendError
from engine.domain.page_map import PageMap
from tui.console.context import ConsoleContext
from tui.console.screens.page import PageScreen
from tui.console.views.line import Line, Role, wrapped
from tui.console.views.page_map import page_map_document
from tui.presentation.target_names import TargetName


class PageMapScreen(PageScreen[None]):
    def __init__(self, context: ConsoleContext, url: str, name: TargetName) -> None:
        super().__init__(context)
        self.page.titled(f"Pages of {name}")
        self._url = url
        self._found: PageMap | None = None
        self._error: DbtendError | None = None

    def on_mount(self) -> None:
        self.run_worker(self._load())

    async def _load(self) -> None:
        try:
            self._found = await self.context.engine.page_map(self._url)
        except DbtendError as error:
            self._error = error
        self.refresh_page()

    def document(self, width: int) -> list[Line]:
        if self._error is not None:
            return wrapped(str(self._error), width, Role.FAILED)
        if self._found is None:
            return wrapped("Looking at the pages ...", width, Role.DIM)
        return page_map_document(self._found, width, self.page.rows_in_view)
