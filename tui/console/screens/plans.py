"""The plans of several targets. Enter runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Final

from textual import on
from textual.worker import Worker

from engine.domain.errors import DbtendError
from tui.console.context import ConsoleContext
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE
from tui.console.screens.submitting import Ready, SubmittingScreen
from tui.console.views.line import Line
from tui.console.views.plans_document import (
    MANY,
    PlanKey,
    PlannedTarget,
    PlanRequest,
    folded_plans_document,
    plans_document,
)
from tui.console.widgets.page import FoldingPage, Page

PLANNED_AT_ONCE: Final = 4
SHOWN_EVERY: Final = 0.25
"""Seconds between two updates of the page while plans are made, at least."""


class PlansScreen(SubmittingScreen):
    """The plans of several requests, of many targets folded; requests with an empty plan are skipped."""

    PAGE_TITLE = "Plans"
    FOOTER = (*TYPING, "submit", "fold", "look-again", *ON_A_PAGE)

    def __init__(self, context: ConsoleContext, wanted: Sequence[PlanRequest], *, runs: bool) -> None:
        """`runs`: see `SubmittingScreen`."""
        self._wanted = wanted
        super().__init__(context, runs=runs)
        self._planned: list[PlannedTarget] = []
        self._unfolded: set[int] = set()
        self._shown_at = 0.0

    @property
    def _is_folding(self) -> bool:
        return len(self._wanted) > MANY

    def make_page(self) -> Page:
        return FoldingPage(id="page") if self._is_folding else super().make_page()

    def make_plan(self) -> None:
        self._planned = [PlannedTarget(one) for one in self._wanted]
        _: Worker[None] = self.run_worker(self._load, exclusive=True)

    async def _load(self) -> None:
        slots = asyncio.Semaphore(PLANNED_AT_ONCE)
        await asyncio.gather(*(self._load_one(number, slots) for number in range(len(self._planned))))
        self.plans_changed()

    async def _load_one(self, number: int, slots: asyncio.Semaphore) -> None:
        wanted = self._planned[number].wanted
        if wanted.prepare is not None:
            wanted = await wanted.prepare()
        one = PlannedTarget(wanted)
        if wanted.request is not None:
            async with slots:
                try:
                    plan, extent = await self.planned(wanted.request, wanted.advice)
                    one = replace(one, plan=plan, extent=extent)
                except DbtendError as error:
                    one = replace(one, error=error)
        self._planned[number] = one
        if monotonic() - self._shown_at >= SHOWN_EVERY:
            self._shown_at = monotonic()
            self.plans_changed()

    def document(self, width: int) -> list[Line]:
        if self._is_folding:
            return folded_plans_document(self._planned, width, self._unfolded)
        return plans_document(self._planned, width)

    def can(self, action_id: str) -> bool:
        return super().can(action_id) and (action_id != "fold" or self._is_folding)

    @on(FoldingPage.Folded)
    def _fold(self, message: FoldingPage.Folded) -> None:
        if isinstance(message.key, PlanKey):
            meant = {message.key.target}
            self.page.go_to(PlanKey(message.key.target, 0))
        else:
            meant = set(range(len(self._planned)))
        if message.fold is True or (message.fold is None and meant <= self._unfolded):
            self._unfolded -= meant
        else:
            self._unfolded |= meant
        self.refresh_page()

    @property
    def progress(self) -> str:
        total = len(self._planned)
        made = total - sum(one.is_open for one in self._planned)
        return f"Plans are still being made: {made:,} of {total:,}." if made < total else ""

    @property
    def ready(self) -> Sequence[Ready]:
        if any(one.is_open for one in self._planned):
            return []
        return [
            Ready(one.wanted.name, one.wanted.request, one.plan, one.extent)
            for one in self._planned
            if one.plan is not None and one.wanted.request is not None and one.runs
        ]
