"""The page of the worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import WorkerProcess
from engine.domain.errors import DbtendError
from tui.console.context import ConsoleContext
from tui.console.feed import WORKERS_EVERY
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE, PageScreen
from tui.console.views.line import Line, Role, with_labels, wrapped
from tui.console.views.workers import Surroundings, workers_document

if TYPE_CHECKING:
    from tui.console.feed import News


class WorkersScreen(PageScreen[None]):
    """Reads them at intervals while it is open: no change announces that a worker comes, ends or stalls."""

    PAGE_TITLE = "Workers"
    OPENED_BY = "workers"
    FOOTER = (*TYPING, "pause", "resume", *ON_A_PAGE)

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__(context)
        self._workers: list[WorkerProcess] | None = None
        self._error: DbtendError | None = None

    def on_mount(self) -> None:
        self._reload()
        self.set_interval(WORKERS_EVERY, self._reload)

    def hear(self, news: News) -> None:
        self._reload()
        self.refresh_footer()

    def _reload(self) -> None:
        self.run_worker(self._load(), name="workers")

    async def _load(self) -> None:
        try:
            self._workers, self._error = await self.context.engine.workers(), None
        except DbtendError as error:
            self._error = error
        self.refresh_page()

    def document(self, width: int) -> list[Line]:
        context = self.context
        if self._error is not None:
            return wrapped(str(self._error), width, Role.FAILED)
        if self._workers is None:
            return []
        read_only = context.engine.read_only
        about = Surroundings(context.feed.open, context.names.of, context.clock(), read_only)
        return with_labels(workers_document(self._workers, context.feed.pause, about, width), context.names.tags)
