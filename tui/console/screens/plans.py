"""The plans of several targets. Enter runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from textual import on
from textual.worker import Worker

from engine.domain.batches import FailedRequest
from engine.domain.errors import DbtendError
from tui.console.context import ConsoleContext
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE
from tui.console.screens.submitting import Ready, SubmittingScreen
from tui.console.update_pace import UpdatePace
from tui.console.views.line import Line
from tui.console.views.plans_document import (
    MANY,
    FoldedPlans,
    PlanKey,
    PlannedTarget,
    PlanRequest,
    plans_document,
)
from tui.console.widgets.page import FoldingPage, Page

PLANNED_AT_ONCE: Final = 4


class PlansScreen(SubmittingScreen):
    """The plans of several requests, of many targets folded; requests with an empty plan are skipped."""

    PAGE_TITLE = "Plans"
    FOOTER = (*TYPING, "submit", "fold", "look-again", *ON_A_PAGE)

    def __init__(self, context: ConsoleContext, wanted: Sequence[PlanRequest], *, runs: bool) -> None:
        """`runs`: see `SubmittingScreen`."""
        self._wanted = wanted
        super().__init__(context, runs=runs)
        self._plans = FoldedPlans(())
        self._pace = UpdatePace(self.plans_changed)

    @property
    def _is_folding(self) -> bool:
        return len(self._wanted) > MANY

    def make_page(self) -> Page:
        return FoldingPage(id="page") if self._is_folding else super().make_page()

    def make_plan(self) -> None:
        self._plans = FoldedPlans(map(PlannedTarget, self._wanted))
        _: Worker[None] = self.run_worker(self._load, exclusive=True)

    async def _load(self) -> None:
        waiting = iter(range(len(self._wanted)))
        await asyncio.gather(*(self._load_each(waiting) for _ in range(PLANNED_AT_ONCE)))
        self.plans_changed()

    async def _load_each(self, waiting: Iterator[int]) -> None:
        for at in waiting:
            self._plans.put(at, await self._planned(self._wanted[at]))
            self._pace.update_if_due()

    async def _planned(self, wanted: PlanRequest) -> PlannedTarget:
        if wanted.prepare is not None:
            wanted = await wanted.prepare()
        if wanted.request is None:
            return PlannedTarget(wanted, error=None if wanted.failed is None else wanted.failed.error)
        try:
            plan, extent = await self.planned(wanted.request, wanted.advice)
        except DbtendError as error:
            return PlannedTarget(wanted, error=error)
        return PlannedTarget(wanted, plan, extent=extent)

    def document(self, width: int) -> list[Line]:
        return self._plans.document(width) if self._is_folding else plans_document(self._plans.planned, width)

    def can(self, action_id: str) -> bool:
        return super().can(action_id) and (action_id != "fold" or self._is_folding)

    @on(FoldingPage.Folded)
    def _fold(self, message: FoldingPage.Folded) -> None:
        if isinstance(message.key, PlanKey):
            meant = {message.key.target}
            self.page.go_to(PlanKey(message.key.target, 0))
        else:
            meant = set(range(len(self._wanted)))
        self._plans.fold(meant, fold=message.fold)
        self.refresh_page()

    @property
    def progress(self) -> str:
        total, open_ = len(self._wanted), self._plans.open
        return f"Plans are still being made: {total - open_:,} of {total:,}." if open_ else ""

    @property
    def is_ready(self) -> bool:
        return self._plans.runs and not self._plans.open

    @property
    def failed(self) -> Sequence[FailedRequest]:
        return [one.failed for one in self._plans.planned if one.failed is not None]

    @property
    def ready(self) -> Sequence[Ready]:
        if not self.is_ready:
            return []
        return [
            Ready(one.wanted.name, one.wanted.request, one.plan, one.extent)
            for one in self._plans.planned
            if one.plan is not None and one.wanted.request is not None and one.runs
        ]
