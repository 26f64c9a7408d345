"""The plan of a request. Enter runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.worker import Worker

from engine import Advice, Plan, Request
from engine.domain.errors import DbtendError
from engine.domain.extent import Extent
from tui.console.actions import bindings
from tui.console.context import ConsoleContext
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE
from tui.console.screens.submitting import Ready, SubmittingScreen
from tui.console.views.line import Line, Role, wrapped
from tui.console.views.plan_document import plan_document, what_to_do
from tui.presentation.target_names import TargetName


class PlanScreen(SubmittingScreen):
    PAGE_TITLE = "Plan"
    BINDINGS: ClassVar[list[BindingType]] = bindings("exchange")
    FOOTER = (*TYPING, "submit", "exchange", "look-again", *ON_A_PAGE)

    def __init__(
        self,
        context: ConsoleContext,
        request: Request,
        name: TargetName,
        advice: Sequence[Advice],
        *,
        runs: bool,
    ) -> None:
        """`name`: of the target; `advice`: its advice, if known; `runs`: see `SubmittingScreen`."""
        super().__init__(context, runs=runs)
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

    def can(self, action_id: str) -> bool:
        return super().can(action_id) and (action_id != "exchange" or self._may_change_exchange)

    @property
    def _may_change_exchange(self) -> bool:
        offered = self._plan is not None and any(operation.offer for operation in self._plan.operations)
        return offered or self._request.options.swap

    def action_exchange(self) -> None:
        """Plan VACUUM by exchange where the plan offers it, or in place again."""
        if not self._may_change_exchange:
            self.say("This plan has no VACUUM that --swap would make faster.", Role.WARNING)
            return
        options = replace(self._request.options, swap=not self._request.options.swap)
        self._request = replace(self._request, options=options)
        self.action_look()

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
