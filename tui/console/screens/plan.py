"""The plan of a request. Enter runs it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.worker import Worker

from engine import Advice, Plan, Request
from engine.domain.errors import DbtendError
from engine.domain.extent import Extent
from tui.console.context import ConsoleContext
from tui.console.screens.submitting import Ready, SubmittingScreen
from tui.console.views.line import Line, Role, wrapped
from tui.console.views.plan_document import plan_document, what_to_do
from tui.presentation.target_names import TargetName


class PlanScreen(SubmittingScreen):
    PAGE_TITLE = "Plan"

    def __init__(
        self, context: ConsoleContext, request: Request, name: TargetName, advice: Sequence[Advice] = ()
    ) -> None:
        """`name`: of the target; `advice`: its advice, if known."""
        super().__init__(context)
        self._request = request
        self._target_name = name
        self._advice = advice
        self._plan: Plan | None = None
        self._extent: Extent | None = None
        self._error: DbtendError | None = None

    def make_plan(self) -> None:
        self._plan = self._error = None
        _: Worker[None] = self.run_worker(self._load, exclusive=True)

    async def _load(self) -> None:
        try:
            self._plan, self._extent = await self.planned(self._request, self._advice)
        except DbtendError as error:
            self._error = error
        self.plans_changed()

    def document(self, width: int) -> list[Line]:
        if self._error is not None:
            return [*wrapped(str(self._error), width, Role.FAILED), *what_to_do([self._error], width)]
        if self._plan is None:
            return wrapped(f"Planning {self._target_name} ...", width, Role.DIM)
        return plan_document(self._plan, self._target_name, width)

    @property
    def progress(self) -> str:
        return "The plan is still being made." if self._plan is None and self._error is None else ""

    @property
    def ready(self) -> Sequence[Ready]:
        plan = self._plan
        return [Ready(self._target_name, self._request, plan, self._extent)] if plan is not None and plan.runs else []
