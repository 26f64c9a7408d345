"""Makes screens; their modules are imported when they are opened: all of them at the start would cost a tenth of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.screen import ModalScreen, Screen

    from engine import Advice, JobId, Request
    from engine.config.model import TargetEntry
    from engine.domain.batches import FailedRequest
    from tui.console.context import ConsoleContext
    from tui.console.parts.target_inspector import TargetInspector
    from tui.console.parts.target_surveys import TargetSurveys
    from tui.console.saved_targets import SavedTargets
    from tui.console.screens.fleet import FleetScreen
    from tui.console.target_model import TargetModel
    from tui.console.views.palette import Command
    from tui.console.views.plans_document import PlanRequest
    from tui.presentation.health_check import Check
    from tui.presentation.target_names import TargetName


class ScreenFactory:
    """Each screen of the console that is not the first, by its name."""

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context

    def help(self, footer: Sequence[str], opened_by: str) -> Screen[None]:
        from tui.console.screens.help import HelpScreen

        return HelpScreen(self._context, footer, opened_by)

    def workers(self) -> Screen[None]:
        from tui.console.screens.workers import WorkersScreen

        return WorkersScreen(self._context)

    def schedules(self) -> Screen[None]:
        from tui.console.screens.schedules import SchedulesScreen

        return SchedulesScreen(self._context)

    def history(self, *, filtering: bool, words: str = "") -> Screen[None]:
        from tui.console.screens.history import HistoryScreen

        return HistoryScreen(self._context, filtering=filtering, words=words)

    def fleet(self, model: TargetModel, inspector: TargetInspector, surveys: TargetSurveys) -> FleetScreen:
        from tui.console.screens.fleet import FleetScreen

        return FleetScreen(self._context, model, inspector, surveys, is_home=self._context.is_fleet_home)

    def doctor(self, examine: Callable[[], Awaitable[list[Check]]]) -> Screen[None]:
        from tui.console.screens.doctor import DoctorScreen

        return DoctorScreen(self._context, examine)

    def job(self, job: JobId) -> Screen[None]:
        from tui.console.screens.job import JobScreen

        return JobScreen(self._context, job)

    def plan(
        self, request: Request, name: TargetName, advice: Sequence[Advice], *, runs: bool = True
    ) -> Screen[list[Request | FailedRequest]]:
        from tui.console.screens.plan import PlanScreen

        return PlanScreen(self._context, request, name, advice, runs=runs)

    def page_map(self, url: str, name: TargetName) -> Screen[None]:
        from tui.console.screens.page_map import PageMapScreen

        return PageMapScreen(self._context, url, name)

    def plans(self, wanted: Sequence[PlanRequest], *, runs: bool = True) -> Screen[list[Request | FailedRequest]]:
        from tui.console.screens.plans import PlansScreen

        return PlansScreen(self._context, wanted, runs=runs)

    def palette(self, known: Sequence[Command], targets: Mapping[int, str], typed: str) -> ModalScreen[Command | None]:
        from tui.console.screens.palette import PaletteScreen

        return PaletteScreen(known, targets, typed)

    def confirm(self, question: str, consequence: str) -> ModalScreen[bool]:
        from tui.console.screens.confirm import ConfirmScreen

        return ConfirmScreen(question, consequence, tags=self._context.names.tags)

    def typed_confirm(self, question: str, consequence: str, word: str) -> ModalScreen[bool]:
        from tui.console.screens.typed_questions import TypedConfirmScreen

        return TypedConfirmScreen(question, consequence, word, tags=self._context.names.tags)

    def password(self, question: str) -> ModalScreen[str]:
        from tui.console.screens.typed_questions import PasswordScreen

        return PasswordScreen(question, tags=self._context.names.tags)

    def target_form(
        self,
        saved: SavedTargets,
        entry: TargetEntry | None,
        *,
        was: TargetEntry | None,
        kept: Callable[[TargetEntry], None],
    ) -> Screen[None]:
        from tui.console.screens.target_form import TargetFormScreen

        return TargetFormScreen(self._context, saved, entry, was=was, kept=kept)
