"""Screens that are imported when they are opened: all of them at the start would cost a tenth of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.screen import ModalScreen, Screen

    from engine import Advice, JobId, Request
    from tui.examination import Check
    from tui.screens.submitting import SubmittingScreen
    from tui.target_names import TargetName
    from tui.views.palette import Command
    from tui.views.plans_document import Wanted


def help_screen() -> Screen[None]:
    from tui.screens.help import HelpScreen

    return HelpScreen()


def workers_screen() -> Screen[None]:
    from tui.screens.workers import WorkersScreen

    return WorkersScreen()


def history_screen(clock: Callable[[], int], name_of: Callable[[str], str], *, filtering: bool) -> Screen[None]:
    from tui.screens.history import HistoryScreen

    return HistoryScreen(clock, name_of, filtering=filtering)


def doctor_screen(examine: Callable[[], Awaitable[list[Check]]]) -> Screen[None]:
    from tui.screens.doctor import DoctorScreen

    return DoctorScreen(examine)


def job_screen(job: JobId) -> Screen[None]:
    from tui.screens.job import JobScreen

    return JobScreen(job)


def plan_screen(request: Request, name: TargetName, advice: Sequence[Advice]) -> SubmittingScreen:
    from tui.screens.plan import PlanScreen

    return PlanScreen(request, name, advice)


def plans_screen(wanted: Sequence[Wanted]) -> SubmittingScreen:
    from tui.screens.plans import PlansScreen

    return PlansScreen(wanted)


def palette_screen(known: Sequence[Command], typed: str) -> ModalScreen[Command | None]:
    from tui.screens.palette import PaletteScreen

    return PaletteScreen(known, typed)


def confirm_screen(question: str, consequence: str) -> ModalScreen[bool]:
    from tui.screens.confirm import ConfirmScreen

    return ConfirmScreen(question, consequence)


def typed_confirm_screen(question: str, consequence: str, word: str) -> ModalScreen[bool]:
    from tui.screens.typed_confirm import TypedConfirmScreen

    return TypedConfirmScreen(question, consequence, word)
