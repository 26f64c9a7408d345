"""The plan of a request: exactly what would run. Enter runs it."""

from __future__ import annotations

from engine import Plan, Request
from engine.errors import DbtendError
from tui.actions import bindings
from tui.screens.page import PageScreen
from tui.views.line import Line, Role, wrapped
from tui.views.plan_document import plan_document


class PlanScreen(PageScreen[bool]):
    """Ends with True if the plan is to be run."""

    PAGE_TITLE = "Plan"
    BINDINGS = bindings("submit")
    FOOTER = ("keep", "clear", "submit", "find", "find-next", "find-previous", "copy", "back", "palette", "help")

    def __init__(self, request: Request, name: str) -> None:
        """`name`: what the user calls the target."""
        super().__init__()
        self._request = request
        self._target_name = name
        self._plan: Plan | None = None
        self._error: DbtendError | None = None

    def on_mount(self) -> None:
        self.run_worker(self._load())

    async def _load(self) -> None:
        try:
            self._plan = await self.console_app.engine.plan(self._request)
        except DbtendError as error:
            self._error = error
        self.refresh_page()
        self.refresh_footer()

    def document(self, width: int) -> list[Line]:
        if self._error is not None:
            return wrapped(str(self._error), width, Role.FAILED)
        if self._plan is None:
            return wrapped(f"Looking at {self._target_name} ...", width, Role.DIM)
        return plan_document(self._plan, self._target_name, width)

    def can(self, action_id: str) -> bool:
        if action_id != "submit" or self.console_app.is_barred(action_id):
            return super().can(action_id)
        return self._plan is not None and any(o.steps for o in self._plan.operations)

    def action_submit(self) -> None:
        if not self.refuses("submit") and self.can("submit"):
            self.dismiss(True)

    def leave(self) -> None:
        self.dismiss(False)
