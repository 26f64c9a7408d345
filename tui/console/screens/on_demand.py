"""Screens that are imported when they are opened: all of them at the start would cost a tenth of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.screen import ModalScreen, Screen

    from engine import Advice, JobId, Request
    from tui.console.screens.submitting import SubmittingScreen
    from tui.console.views.palette import Command
    from tui.console.views.plans_document import Wanted
    from tui.presentation.diagnostics import Check
    from tui.presentation.target_names import TargetName


def help_screen() -> Screen[None]:
    from tui.console.screens.help import HelpScreen

    return HelpScreen()


def workers_screen() -> Screen[None]:
    from tui.console.screens.workers import WorkersScreen

    return WorkersScreen()


def history_screen(clock: Callable[[], int], name_of: Callable[[str], str], *, filtering: bool) -> Screen[None]:
    from tui.console.screens.history import HistoryScreen

    return HistoryScreen(clock, name_of, filtering=filtering)


def doctor_screen(examine: Callable[[], Awaitable[list[Check]]]) -> Screen[None]:
    from tui.console.screens.doctor import DoctorScreen

    return DoctorScreen(examine)


def job_screen(job: JobId) -> Screen[None]:
    from tui.console.screens.job import JobScreen

    return JobScreen(job)


def plan_screen(request: Request, name: TargetName, advice: Sequence[Advice]) -> SubmittingScreen:
    from tui.console.screens.plan import PlanScreen

    return PlanScreen(request, name, advice)


def plans_screen(wanted: Sequence[Wanted]) -> SubmittingScreen:
    from tui.console.screens.plans import PlansScreen

    return PlansScreen(wanted)


def palette_screen(known: Sequence[Command], typed: str) -> ModalScreen[Command | None]:
    from tui.console.screens.palette import PaletteScreen

    return PaletteScreen(known, typed)


def confirm_screen(question: str, consequence: str) -> ModalScreen[bool]:
    from tui.console.screens.confirm import ConfirmScreen

    return ConfirmScreen(question, consequence)


def typed_confirm_screen(question: str, consequence: str, word: str) -> ModalScreen[bool]:
    from tui.console.screens.typed_confirm import TypedConfirmScreen

    return TypedConfirmScreen(question, consequence, word)
