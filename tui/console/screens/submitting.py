"""The base of the plan pages: enter runs the plans, y copies them as a script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import BindingType

from engine import Advice, Plan, Request
from engine.domain.batches import FailedRequest
from engine.domain.errors import DbtendError
from engine.domain.extent import Extent
from engine.domain.frozen import frozen
from engine.inspection import inspector
from tui.console.actions import bindings
from tui.console.context import ConsoleContext
from tui.console.keymap import with_keys
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE, PageScreen
from tui.console.views.copied import copied_plan
from tui.console.views.line import Role
from tui.presentation.risk import risks, word_to_type
from tui.presentation.target_names import TargetName
from tui.presentation.text import counted, sentences

CHANGED: Final = "The database has changed since the plan was made, so it is planned again. {submit} runs the new plan."
ONLY_SHOWN: Final = "This plan is only shown. To run it, go back and press {run}."
_LOOKS_FOR: Final = 1.0
"""Seconds: a disk may hang."""
MOST_REASONS: Final = 4
"""Reasons that the question names, at most."""


@frozen
class Ready:
    """A request and its plan, which has steps."""

    name: TargetName
    request: Request
    plan: Plan
    extent: Extent | None
    """Its database before the plan was made; None: another host makes the plan."""

    @property
    def estimated(self) -> Request:
        """The request with what its plan expects each operation to take."""
        estimates = {one.operation: one.estimate if one.steps else 0.0 for one in self.plan.operations}
        # A damaged database may give negative numbers.
        known = {name: max(seconds, 0.0) for name, seconds in estimates.items() if seconds is not None}
        return replace(self.request, estimates=known)

    @property
    def confirmed(self) -> Request:
        if not any(operation.needs_confirmation for operation in self.plan.operations):
            return self.estimated
        return replace(self.estimated, options=replace(self.request.options, confirmed=True))


class SubmittingScreen(PageScreen[list[Request | FailedRequest]]):
    """Returns the requests to run, and of several those that have failed; none if the user leaves.

    Risky plans ask for typed confirmation.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("submit", "look-again")
    FOOTER: ClassVar[tuple[str, ...]] = (*TYPING, "submit", "look-again", *ON_A_PAGE)

    _too_early = ""
    """The message that nothing can run yet."""

    def __init__(self, context: ConsoleContext, *, runs: bool = True) -> None:
        """`runs`: whether enter runs the plans; else they are only shown."""
        super().__init__(context)
        self._runs = runs

    def on_mount(self) -> None:
        self.make_plan()

    def _say_too_early(self) -> None:
        self._too_early = with_keys(f"{self.progress} {{submit}} runs them when all are made.")
        self.say(self._too_early, Role.WARNING)

    def plans_changed(self) -> None:
        """Show the plans, and how far they are in the message that enter came too early."""
        if self._too_early and self.last_message == self._too_early:
            if self.progress:
                self._say_too_early()
            else:
                self.say("")
        self.refresh_page()

    def make_plan(self) -> None:
        raise NotImplementedError

    async def planned(self, request: Request, advice: Sequence[Advice]) -> tuple[Plan, Extent | None]:
        """The plan, and its database before it was made, unless another host plans it. Raises DbtendError."""
        engine = self.context.engine
        if engine.elsewhere(request.target) is not None:
            return inspector.plan_elsewhere(request), None
        extent = await engine.extent(request.target)
        return await engine.plan(request, advice=advice), extent

    def action_look(self) -> None:
        self.make_plan()
        self.refresh_page()

    @property
    def ready(self) -> Sequence[Ready]:
        """What enter would run; empty while plans are being made, or if nothing can run."""
        raise NotImplementedError

    @property
    def failed(self) -> Sequence[FailedRequest]:
        """What cannot be planned, and is stored as failed beside what runs."""
        return ()

    @property
    def is_ready(self) -> bool:
        """Whether `ready` is not empty."""
        return bool(self.ready)

    @property
    def progress(self) -> str:
        """How far the plans are; "" when all are made."""
        raise NotImplementedError

    def can(self, action_id: str) -> bool:
        return super().can(action_id) and (action_id != "submit" or (self._runs and self.is_ready))

    def copied(self) -> tuple[str, str] | None:
        return ("the SQL", copied_plan(one.plan for one in self.ready)) if self.ready else super().copied()

    async def action_submit(self) -> None:
        if self.refuses("submit"):
            return
        if not self._runs:
            self.say(with_keys(ONLY_SHOWN), Role.WARNING)
            return
        if not self.is_ready:
            if self.progress:
                self._say_too_early()
            else:
                self.say("Nothing to run.", Role.WARNING)
            return
        if await self._plans_again_after_change():
            return
        risky = {one.name: reasons for one in self.ready if (reasons := risks(one.plan, one.name.name, one.name.label))}
        if not risky:
            self.dismiss([*(one.estimated for one in self.ready), *self.failed])
            return
        what = str(self.ready[0].name) if len(self.ready) == 1 else counted(len(self.ready), "target")
        reasons = list(dict.fromkeys(reason for reasons in risky.values() for reason in reasons))
        more = [f"And {len(reasons) - MOST_REASONS:,} more reasons"] if len(reasons) > MOST_REASONS else []
        why = sentences([*reasons[:MOST_REASONS], *more])
        word = word_to_type([name.name for name in risky], next((name.label for name in risky if name.label), None))
        asking = self.context.screens.typed_confirm(f"Run this on {what}?", why, word)
        self.app.push_screen(asking, self._decided)

    async def _decided(self, yes: bool | None) -> None:
        if not yes:
            self.say("Not run.")
        elif not await self._plans_again_after_change():
            self.dismiss([*(one.confirmed for one in self.ready), *self.failed])

    async def _plans_again_after_change(self) -> bool:
        """Whether a plan holds no more. Then all plans are made again."""
        if all(await asyncio.gather(*map(self._holds, self.ready))):
            return False
        self.action_look()
        self.say(with_keys(CHANGED), Role.WARNING)
        return True

    async def _holds(self, one: Ready) -> bool:
        try:
            async with asyncio.timeout(_LOOKS_FOR):
                return one.extent is None or one.extent.holds(await self.context.engine.extent(one.request.target))
        except (DbtendError, OSError):  # to plan again says why; TimeoutError is an OSError
            return False

    def leave(self) -> None:
        self.dismiss([])
