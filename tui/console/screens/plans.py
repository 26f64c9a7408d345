"""The plans of several targets. Enter runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.worker import Worker

from engine.domain.errors import DbtendError
from tui.console.context import ConsoleContext
from tui.console.screens.submitting import Ready, SubmittingScreen
from tui.console.views.line import Line
from tui.console.views.plans_document import PlannedTarget, PlanRequest, plans_document


class PlansScreen(SubmittingScreen):
    """The plans of several requests; requests with an empty plan are skipped."""

    PAGE_TITLE = "Plans"

    def __init__(self, context: ConsoleContext, wanted: Sequence[PlanRequest]) -> None:
        super().__init__(context)
        self._wanted = wanted
        self._planned: list[PlannedTarget] = []

    def make_plan(self) -> None:
        self._planned = [PlannedTarget(one) for one in self._wanted]
        _: Worker[None] = self.run_worker(self._load, exclusive=True)

    async def _load(self) -> None:
        for number, one in enumerate(self._planned):
            if one.wanted.request is None:
                continue
            wanted = one.wanted
            try:
                plan = await self.context.engine.plan(one.wanted.request, advice=wanted.advice)
                self._planned[number] = replace(one, plan=plan)
            except DbtendError as error:
                self._planned[number] = replace(one, error=error)
            self.refresh_page()

    def document(self, width: int) -> list[Line]:
        return plans_document(self._planned, width)

    @property
    def ready(self) -> Sequence[Ready]:
        if any(one.is_open for one in self._planned):
            return []
        return [
            Ready(one.wanted.name, one.wanted.request, one.plan)
            for one in self._planned
            if one.plan is not None and one.wanted.request is not None and one.runs
        ]
