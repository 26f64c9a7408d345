"""The fleet: all targets with what their surveys say, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.widget import Widget

from engine import Request
from engine.domain.batches import FailedRequest
from engine.domain.frozen import frozen
from tui.console.actions import bindings
from tui.console.parts.plan_requests import plan_requests
from tui.console.parts.target_filter import PLACEHOLDER, apply_filter
from tui.console.parts.target_inspector import TargetInspector
from tui.console.parts.target_surveys import TargetSurveys
from tui.console.screens.entry import TYPING, EntryScreen
from tui.console.target_model import TargetModel
from tui.console.views.fleet import fleet_header
from tui.console.views.line import Line
from tui.console.widgets.fleet_list import FleetList
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.one_line import OneLine

if TYPE_CHECKING:
    from tui.console.context import ConsoleContext
    from tui.console.feed import News


@frozen
class FleetChoice:
    """What the user chose: a target to open, or what to run."""

    number: int | None = None
    accepted: Sequence[Request | FailedRequest] = ()


class FleetScreen(EntryScreen[FleetChoice | None]):
    """Ends with what the user chose on it; None: nothing."""

    CSS_PATH = "../styles/fleet.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("search", "run-needed", "plan-needed", "survey")
    PLACEHOLDER = PLACEHOLDER
    OPENED_BY = "fleet"
    FOOTER = (
        *TYPING,
        *(
            "resume",
            "open-target",
            "run-needed",
            "mark-target",
            "mark-all",
            "filter-targets",
            "sort",
            "plan-needed",
            "survey",
        ),
        *("history", "back", "palette", "help", "quit"),
    )

    def __init__(
        self,
        context: ConsoleContext,
        model: TargetModel,
        inspector: TargetInspector,
        surveys: TargetSurveys,
        *,
        is_home: bool,
    ) -> None:
        """`is_home`: nothing is below it: to leave it is to leave the console."""
        super().__init__(context)
        self._model, self._inspector, self._surveys = model, inspector, surveys
        self._is_home = is_home
        self._is_stale = False
        """Whether targets had news while another screen was shown."""
        self._header = OneLine(self._header_line, id="header")
        self.targets = FleetList(model, context.clock, id="fleet")

    def compose_body(self) -> Iterator[Widget]:
        yield self._header
        yield self.targets

    @on(events.Mount)
    def _begin(self) -> None:
        self.context.targets_changed.subscribe(self, lambda _: self._targets_changed())
        self._surveys.begin()
        self.show_model()
        self.targets.stays_on_top = True

    def _targets_changed(self) -> None:
        """Targets have news: show it, or once this screen is shown again."""
        if self.is_current:
            self.show_model()
        self._is_stale = not self.is_current

    @on(events.ScreenResume)
    def _show_news(self) -> None:
        if self._is_stale:
            self._is_stale = False
            self.show_model()

    @on(events.Key)
    def _keep_cursor(self) -> None:
        self.targets.stays_on_top = False

    @on(ItemList.Resized, "#fleet")
    def show_model(self) -> None:
        self.targets.show_model()
        self._header.renew()
        self.refresh_footer()

    def _header_line(self, width: int) -> Line:
        return fleet_header(
            len(self._model.states),
            self._model.levels,
            self._model.oldest_survey,
            self._surveys.fraction,
            width,
            now=self.context.clock(),
            read_only=self.context.engine.read_only,
            paused=self.context.feed.pause is not None,
        )

    def hear(self, news: News) -> None:
        self._header.renew()
        self.refresh_footer()

    @on(ItemList.CursorMoved, "#fleet")
    def _cursor_moved(self) -> None:
        self.refresh_footer()

    # Filter

    async def action_search(self) -> None:
        await self.open_filter(self.targets.words)

    def search_for(self, text: str, *, is_done: bool) -> bool:
        return apply_filter(self, self.targets, text, self.show_model)

    def clear_search(self) -> bool:
        was_filtered = self.targets.clear_filter()
        if was_filtered:
            self.show_model()
        return was_filtered

    @property
    def marks(self) -> tuple[int, str]:
        return self._model.marked_count, "target"

    def unmark(self) -> None:
        self._model.unmark()
        self.show_model()

    def leave(self) -> None:
        if not self._is_home:
            self.dismiss(None)

    def action_quit(self) -> None:
        if self._is_home:
            self.context.leave()
        else:
            self.dismiss(None)

    # Actions

    def can(self, action_id: str) -> bool:
        if action_id == "back" and not self.is_typing:
            can_clear = bool(self._model.marked_count) or self.targets.where is not None
            return can_clear or not self._is_home
        if action_id in {"search", "filter-targets", "mark-all", "sort", "survey"}:
            return super().can(action_id) and bool(self._model.states) and (action_id != "search")
        if action_id in {"open-target", "mark-target", "run-needed", "plan-needed"}:
            return super().can(action_id) and self.targets.number is not None
        return super().can(action_id)

    def action_mark(self) -> None:
        if self.targets.number is not None:
            self._model.mark_all([self.targets.number])
            self.targets.action_move(1)
            self._show_marks()

    def action_mark_all(self) -> None:
        self._model.mark_all(self.targets.shown)
        self._show_marks()

    def _show_marks(self) -> None:
        self.targets.show_marks()
        self.refresh_footer()

    def action_sort(self) -> None:
        self.targets.sort = self.targets.sort.following
        self.show_model()
        self.targets.action_first()

    def action_survey(self) -> None:
        """Survey the marked targets again, or else all that are shown."""
        self._surveys.survey(self._model.marked or self.targets.shown, refresh=True)
        self.show_model()

    def go_to_target(self, number: int) -> None:
        """Put the cursor on a target, also one that the filter hides."""
        if number not in self.targets.shown:
            self.targets.clear_filter()
            self.show_model()
        self.targets.go_to(number)

    @on(FleetList.Opened)
    def _open(self, message: FleetList.Opened) -> None:
        self.dismiss(FleetChoice(number=message.number))

    def action_run_needed(self) -> None:
        if self.can("run-needed"):
            self._open_plans(runs=True)

    def action_plan_needed(self) -> None:
        if self.can("plan-needed"):
            self._open_plans(runs=False)

    def _open_plans(self, *, runs: bool) -> None:
        wanted = plan_requests(self._model, self._inspector, self._chosen())
        self.app.push_screen(self.context.screens.plans(wanted, runs=runs), self._accepted)

    def _chosen(self) -> list[int]:
        """The marked targets in the order of the list, or else the one under the cursor."""
        marked = [number for number in self.targets.shown if self._model.is_marked(number)]
        hidden = [number for number in self._model.marked if number not in set(marked)]
        return [*marked, *hidden] or [number for number in [self.targets.number] if number is not None]

    def _accepted(self, accepted: list[Request | FailedRequest] | None) -> None:
        if accepted:
            self.dismiss(FleetChoice(accepted=accepted))
