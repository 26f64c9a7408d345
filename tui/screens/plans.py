"""The plans of several targets. Enter runs all that can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import Request
from engine.errors import DbtendError
from tui.actions import bindings
from tui.screens.page import PageScreen
from tui.views.line import Line
from tui.views.plans_document import Looked, Wanted, plans_document


class PlansScreen(PageScreen[list[Request]]):
    """Ends with the requests that are to run, none where it is left."""

    PAGE_TITLE = "Plans"
    BINDINGS = bindings("submit")
    FOOTER = ("submit", "back", "help")

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        super().__init__()
        self._looked = [Looked(one) for one in wanted]

    def on_mount(self) -> None:
        self.run_worker(self._load())

    async def _load(self) -> None:
        for number, one in enumerate(self._looked):
            if one.wanted.request is None:
                continue
            try:
                self._looked[number] = replace(one, plan=await self.console_app.engine.plan(one.wanted.request))
            except DbtendError as error:
                self._looked[number] = replace(one, error=error)
            self.refresh_page()
        self.refresh_footer()

    def document(self, width: int) -> list[Line]:
        return plans_document(self._looked, width)

    def can(self, action_id: str) -> bool:
        if action_id != "submit":
            return super().can(action_id)
        return not any(one.is_open for one in self._looked) and any(one.runs for one in self._looked)

    def action_submit(self) -> None:
        if self.can("submit"):
            self.dismiss([one.wanted.request for one in self._looked if one.wanted.request is not None and one.runs])

    def action_back(self) -> None:
        self.dismiss([])
