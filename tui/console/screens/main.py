"""The main screen: targets, operations, jobs, and the detail of the job under the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from engine import Operation, ParentJob
from engine.domain.errors import DbtendError
from engine.domain.lazy_import import lazy
from tui.console.actions import bindings
from tui.console.context import FEW_TARGETS
from tui.console.parts.job_actions import JobActions
from tui.console.parts.job_detail import JobDetail
from tui.console.parts.run_actions import RunActions
from tui.console.parts.target_actions import TargetActions
from tui.console.parts.target_inspector import TargetInspector
from tui.console.parts.target_surveys import TargetSurveys
from tui.console.screens.entry import TYPING, EntryScreen
from tui.console.target_model import TargetModel
from tui.console.views.header import READING_JOBS, STORE_GONE, STORE_OPENING, STORE_UNREADABLE, header_line, work
from tui.console.views.line import Line
from tui.console.views.status_banner import StatusBanner
from tui.console.widgets.detail_pane import DetailPane
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.job_tree import JobTree
from tui.console.widgets.one_line import OneLine
from tui.console.widgets.operation_list import OperationList
from tui.console.widgets.target_list import TargetList

if TYPE_CHECKING:
    from tui.console.context import ConsoleContext
    from tui.console.feed import News
    from tui.console.parts import target_filter
    from tui.console.screens.fleet import FleetChoice
    from tui.console.views import copied
else:
    target_filter = lazy("tui.console.parts.target_filter", "the first screen does without it")
    copied = lazy("tui.console.views.copied", "only copying needs it")

FIRST_INSPECTION = 0.1
"""Seconds that the first frame waits for the first inspection of the targets, at most."""
PANES = ("targets", "operations", "jobs", "detail")


class MainScreen(EntryScreen[None]):
    """Four panes over one model. Its parts find out about targets and carry out the actions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("cancel", "retry", "pin", "add", "sample", "look", "examine", "run", "plan", "map", "search", "zoom"),
        *bindings("pane-1", "pane-2", "pane-3", "pane-4", "next-pane", "previous-pane"),
    ]
    PLACEHOLDER = "name, @group, level: engine: label: size:>1GB checked:>30d"
    FOOTER = (
        *TYPING,
        *("resume", "mark-target", "run", "plan", "choose", "look", "add", "sample", "edit", "test", "remove"),
        *("cancel", "retry", "open", "history", "palette", "map"),
        *("mark", "fold", "zoom", "workers", "help", "quit"),
    )
    AUTO_FOCUS = "#operations"

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__(context)
        self.model = _model_of(context)
        self._header = OneLine(self._header_line, id="header")
        read_only = context.engine.read_only
        self._targets = TargetList(self.model, context.clock, read_only=read_only, id="targets").titled("1 Targets")
        self._operations = OperationList(self.model, read_only=read_only, id="operations").titled("2 Operations")
        self._operations.add_class("-front", update=False)
        self._jobs = JobTree(context.clock, context.names.of, read_only=read_only, id="jobs")
        self._detail = DetailPane(context.clock, context.names.of, context.size_of, id="detail")
        self._job_detail = JobDetail(self, self._jobs, self._detail)
        self.inspector = TargetInspector(
            self, self.model, changed=self._targets_changed, advised=self._advised, listed=self._listed
        )
        self.surveys = TargetSurveys(self, self.model, self._targets_changed)
        self._job_actions = JobActions(self, self._jobs, self._show_new_job)
        self._target_actions = TargetActions(
            self, self._targets, self._operations, self.inspector, self.surveys, changed=self._show_model
        )
        self._run_actions = RunActions(
            self,
            self._targets,
            self._operations,
            self._jobs,
            self._target_actions,
            self.inspector,
            changed=self._show_model,
            submitted=self._show_new_job,
        )
        self._is_stale = False
        """Whether targets had news while another screen was shown."""
        self.parts = (self._job_actions, self._target_actions, self._run_actions)

    def compose_body(self) -> Iterator[Widget]:
        yield self._header
        with Horizontal(id="panes"):
            with Vertical(id="left", classes="-front"):
                yield self._targets
                yield self._operations
            with Vertical(id="right"):
                yield self._jobs.titled("3 Jobs")
                yield self._detail.titled("4 Detail")

    @on(events.Mount)
    async def _begin(self) -> None:
        self._show_model()
        inspection = self.inspector.inspect(self._inspected_first())
        # A short wait makes the first frame a useful one.
        inspected = asyncio.gather(inspection.wait(), return_exceptions=True)  # it may outlive the console
        await asyncio.wait({inspected}, timeout=FIRST_INSPECTION)
        self.call_next(self.context.follow_jobs)

    def _inspected_first(self) -> list[int]:
        """All of a few targets; of many the current one, and patterns: the others are only surveyed."""
        states = self.model.states
        if len(states) <= FEW_TARGETS:
            return list(states)
        return [number for number, state in states.items() if state.is_pattern or number == self.model.current]

    # Targets and operations

    def _listed(self, numbers: Sequence[int]) -> None:
        """A pattern was replaced by these targets."""
        if len(self.model.states) <= FEW_TARGETS:
            self.inspector.inspect(numbers)
        else:
            self.inspector.inspect_if_new(self.model.current)
        self.surveys.survey(numbers)

    def _targets_changed(self) -> None:
        """Targets have news: update every screen that shows them, this one once it is shown."""
        if self.is_current:
            self._show_model()
        self._is_stale = not self.is_current
        self.context.targets_changed.publish(None)

    def chosen_on_fleet(self, choice: FleetChoice | None) -> None:
        """Show the target, or run the plans, that the user has chosen on the fleet screen."""
        self._show_model()
        if choice is None:
            return
        if choice.number is not None:
            self.go_to_target(choice.number)
        self._run_actions.submit(choice.accepted)

    def go_to_target(self, number: int) -> None:
        """Make a target the current one, also one that the filter hides."""
        if number not in self._targets.shown:
            self.clear_search()
        self._targets.go_to(number)
        self._target_actions.select()

    @on(ItemList.Resized, "#targets, #operations")
    def _show_model(self) -> None:
        self._targets.show_model()
        if self._targets.is_table:
            self.surveys.begin()
        self._show_operations()

    @on(ItemList.CursorMoved, "#operations")
    def _show_operations(self) -> None:
        self._jobs.set_has_target(self.model.state is not None)
        self._operations.show_model()
        self._header.renew()
        self.refresh_footer()

    @on(ItemList.CursorMoved, "#targets")
    def _select_target(self) -> None:
        self._target_actions.select()

    def _advised(self, number: int, failure: DbtendError | None) -> None:
        if failure is None and number == self.model.current:
            self._operations.go_to_most_urgent()
        self._run_actions.plan_if_wanted(number)

    @on(events.Key)
    def _keep_cursor(self) -> None:
        self._operations.keeps_cursor = True

    @on(events.ScreenResume)
    def _show_news(self) -> None:
        if self._is_stale:
            self._is_stale = False
            self._show_model()

    @on(events.Key)
    @on(events.ScreenResume)
    def _user_is_active(self) -> None:
        self.inspector.check_presence_if_due()

    def show_banner(self, banner: StatusBanner) -> None:
        super().show_banner(banner)
        self._header.renew()

    def _header_line(self, width: int) -> Line:
        feed, banner = self.context.feed, self.context.banner
        jobs = work(feed.open.values(), feed.workers, feed.pause, self.context.engine.host)
        if banner.lost and banner.has_store and not banner.passes:
            jobs = STORE_GONE
        elif banner.lost or banner.unread:
            jobs = STORE_UNREADABLE
        elif not self.context.engine.is_open:
            jobs = STORE_OPENING
        elif not feed.is_read:
            jobs = READING_JOBS
        return header_line(self.model.state, jobs, width, read_only=self.context.engine.read_only)

    # Jobs

    def hear(self, news: News) -> None:
        self.context.supervisor.replace_worker()
        self.inspector.check_presence_if_due()
        shown = self._jobs.parent_job
        self._jobs.put(news.parents, news.batches)
        self._header.renew()
        self.refresh_footer()
        if shown is not None:
            self._job_detail.update(news, shown.id)
        elif self._jobs.selected_batch is not None:
            self._job_detail.show()
        ended = {parent.target for parent in news.parents if parent.id in news.changed and parent.status.is_final}
        if ended:
            states, names = self.model.states, self.context.names
            stale = [number for number, state in states.items() if names.canonical(state.entry.url) in ended]
            self.inspector.inspect([number for number in stale if states[number].info or states[number].error])
            self.surveys.survey(stale)

    @on(JobTree.CursorMoved, "#jobs")
    def _job_chosen(self) -> None:
        self._job_detail.show()

    def _show_new_job(self, parent: ParentJob) -> None:
        if parent.batch is None:
            self._jobs.unfold(parent.id)
        self._jobs.put([parent])
        self._jobs.go_to_parent(parent.id)
        self._jobs.focus()

    @on(JobTree.Opened)
    def _open_job(self, message: JobTree.Opened) -> None:
        self.app.push_screen(self.context.screens.job(message.job))

    @on(JobTree.BatchOpened)
    def _open_batch(self, message: JobTree.BatchOpened) -> None:
        self.app.push_screen(self.context.screens.history(filtering=False, words=f"batch:{message.batch}"))

    # Copy

    def copied(self) -> tuple[str, str] | None:
        shown = "this row", self.focused.row if isinstance(self.focused, ItemList) else ""
        if self.focused is self._detail:  # it has no cursor
            shown = "this detail", self._detail.whole_text
        if self.focused is self._targets and self.model.state is not None:
            return "the URL of this database", self.model.state.entry.url
        if self.focused in {self._jobs, self._detail} and self._detail.job is not None:
            return copied.copied_job(*self._detail.job, shown)
        return shown if shown[1] else None

    async def action_copy(self) -> None:
        operation = self._operations.operation
        if self.focused is self._operations and operation is not None:
            # The plan may take as long as a lock is waited for.
            self.say("Reading the plan ...")
            self.run_worker(self._copy_operation(operation), group="copy", exclusive=True)
        else:
            await super().action_copy()

    async def _copy_operation(self, operation: Operation) -> None:
        self._target_actions.select()
        state, request = self.model.state, self.model.request_of(operation)
        if state is None or request is None:
            return
        advice, plan = state.advice or (), None
        with suppress(DbtendError):  # without a plan the name is copied
            plan = await self.context.engine.plan(request, advice=advice)
        self.say(await self.context.copy(*copied.copied_operation(operation, plan, advice)))

    # Filter

    async def action_search(self) -> None:
        """Filter the targets, or search the history."""
        if self.focused is self._targets:
            self.surveys.begin()
            await self.open_filter(self._targets.words)
        else:
            await self.app.run_action("app.history(True)")

    def search_for(self, text: str, *, is_done: bool) -> bool:
        return target_filter.apply_filter(self, self._targets, text, self._show_model)

    def clear_search(self) -> bool:
        was_filtered = self._targets.clear_filter()
        if was_filtered:
            self._show_model()
        return was_filtered

    @property
    def marks(self) -> tuple[int, str]:
        jobs = len(self._jobs.marks)
        return (jobs, "job") if jobs else (self.model.marked_count, "target")

    def unmark(self) -> None:
        if self._jobs.marks:
            self._jobs.clear_marks()
        else:
            self.model.unmark()
            self._show_model()

    # Actions

    def can(self, action_id: str) -> bool:
        if action_id in {"open", "mark", "fold"}:
            is_any = self._jobs.selected_batch is not None or self._jobs.selected_job is not None
            return is_any and self.focused is self._jobs
        if action_id in {"search", "filter-targets"}:
            on_targets = self.focused is self._targets and self.model.state is not None
            return super().can(action_id) and on_targets == (action_id == "filter-targets")
        return super().can(action_id)

    def action_mark(self) -> None:
        self._target_actions.mark()

    def action_mark_all(self) -> None:
        self._target_actions.mark_all()

    def action_sort(self) -> None:
        self._target_actions.sort()

    def action_quit(self) -> None:
        if self.context.is_fleet_home:
            self.app.run_worker(self.app.run_action("app.fleet"))
        else:
            self.context.leave()

    def leave(self) -> None:
        if self.has_class("-zoomed"):
            self.action_zoom()
        elif self.context.is_fleet_home:
            self.action_quit()

    # Panes

    def action_pane(self, name: str) -> None:
        pane = self.query_one(f"#{name}")
        self._bring_to_front(pane)
        # Focus at once: the next key may have been typed already, for the new pane.
        self.set_focus(pane, scroll_visible=False)

    def action_next_pane(self, by: int) -> None:
        here = PANES.index(self.focused.id) if self.focused and self.focused.id in PANES else 0
        self.action_pane(PANES[(here + by) % len(PANES)])

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")

    @on(events.DescendantFocus)
    def _pane_focused(self, event: events.DescendantFocus) -> None:
        self._bring_to_front(event.widget)
        self.refresh_footer()

    def _bring_to_front(self, pane: Widget) -> None:
        """Mark the pane, and its side of the screen, that a zoom shows."""
        for name in PANES:
            self.query_one(f"#{name}").set_class(pane.id == name, "-front")
        for side in ("#left", "#right"):
            self.query_one(side).set_class(pane in self.query(f"{side} *"), "-front")


def _model_of(context: ConsoleContext) -> TargetModel:
    """The targets of this console, with the labels that the config file has for them."""
    model, saved = TargetModel([]), context.saved
    known = [saved.entry_of(entry) if saved is not None else None for entry in context.targets]
    labelled = [
        replace(entry, label=has.label) if has is not None and has.label and not entry.label else entry
        for entry, has in zip(context.targets, known, strict=True)
    ]
    model.add_all(
        (entry, saved is None or has is not None or saved.has(entry))
        for entry, has in zip(labelled, known, strict=True)
    )
    return model
