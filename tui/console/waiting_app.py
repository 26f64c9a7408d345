"""The app in place of the console while other processes lock the store: says so and retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from engine import Engine
from engine.domain.errors import StoreBusyError
from engine.system.lock_holders import locked_by
from tui.console.actions import bindings
from tui.console.themed_app import ThemedApp
from tui.console.views.keys import footer_line
from tui.console.views.status_banner import locked_store_document, pause_before
from tui.console.widgets.one_line import OneLine
from tui.console.widgets.page import Page

SECOND = 1.0


class WaitingApp(ThemedApp[Engine]):
    """Returns the engine when the store could be opened, or None when the user quits.

    Any error but a lock ends it and is kept in `error`.
    """

    TITLE = "dbtend"
    CSS_PATH: ClassVar = ["styles/app.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("quit", "suspend"),
        Binding("ctrl+c", "quit", "quit", show=False),
    ]

    def __init__(self, store: Path, attempt: Callable[[], Awaitable[Engine]], *, theme: str | None = None) -> None:
        """`attempt`: opens the store; raises StoreBusyError while it is locked."""
        super().__init__(theme)
        self._store, self._attempt = store, attempt
        self.error: Exception | None = None
        self._tries, self._seconds_left = 1, 0
        self._locked_by = ""
        self._page = Page(id="page").titled("dbtend")

    def compose(self) -> Iterator[Widget]:
        yield self._page
        yield OneLine(lambda width: footer_line(["quit"], width), id="footer")

    def on_mount(self) -> None:
        self.run_worker(self._retry_open(), name="try again")

    async def _retry_open(self) -> None:
        while True:
            for seconds_left in range(pause_before(self._tries), -1, -1):
                self._seconds_left = seconds_left
                self._locked_by = await asyncio.to_thread(locked_by, str(self._store))
                self._show()
                await asyncio.sleep(SECOND if seconds_left else 0)
            try:
                engine = await self._attempt()
            except StoreBusyError:
                self._tries += 1
            except Exception as error:  # the caller reports it when the screen is gone
                self.error = error
                self.exit()
                return
            else:
                self.exit(engine)
                return

    def _show(self) -> None:
        about = locked_store_document(self._store, self._locked_by, self._seconds_left, self._tries, self._page.columns)
        self._page.show(about)

    def on_item_list_resized(self) -> None:
        self._show()
