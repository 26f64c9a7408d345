"""The main screen: targets, operations, jobs, and the detail of the job under the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget

from engine import JobId, Operation, ParentJob, Request, look
from engine.errors import DbtendError, DuplicateRequestError, TargetBusyError
from tui.actions import bindings
from tui.screens.base import STEPS_EVERY
from tui.screens.history import HistoryScreen
from tui.screens.job import JobScreen
from tui.screens.job_actions import JobActions
from tui.screens.plan import PlanScreen
from tui.screens.typed_confirm import TypedConfirmScreen
from tui.target_board import TargetBoard
from tui.text import target_name
from tui.views.header import header_line
from tui.views.hints import no_target, target_trouble
from tui.views.line import Role
from tui.views.lists import operation_rows, target_rows
from tui.widgets.detail_pane import DetailPane
from tui.widgets.item_list import ItemList
from tui.widgets.job_tree import JobTree
from tui.widgets.one_line import OneLine
from tui.widgets.operation_list import OperationList

if TYPE_CHECKING:
    from tui.app import DbtendApp
    from tui.feed import News

FIRST_LOOK = 0.1
"""Seconds that the first frame waits for the first look at the targets, at most."""
ADVICE_BUDGET = 0.2
"""Seconds for each target that the advice may spend on facts which are dear to get."""
LOOK_AGAIN = 3.0
"""Seconds to another look at targets that were locked, or not there."""
PANES = ("targets", "operations", "jobs", "detail")


class MainScreen(JobActions[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("run", "plan", "history", "zoom"),
        *bindings("pane-1", "pane-2", "pane-3", "pane-4", "next-pane", "previous-pane"),
    ]
    FOOTER = (
        *("resume", "run", "plan", "choose", "cancel", "retry", "open", "fold"),
        *("history", "zoom", "workers", "help", "quit"),
    )
    AUTO_FOCUS = "#operations"

    def __init__(self, app: DbtendApp) -> None:
        super().__init__()
        self._board = TargetBoard(app.targets)
        self._jobs = JobTree(app.clock, app.name_of, id="jobs")
        self._detail = DetailPane(app.clock, app.name_of, id="detail")
        self._targets = ItemList(id="targets")
        self._operations = OperationList(id="operations")
        self._operations.add_class("-front")
        self._header = OneLine(id="header")
        self._steps_read_at = 0
        self._another_look: Timer | None = None
        self._plan_awaited: int | None = None
        """The target whose plan is wanted as soon as it is known what it needs."""

    def compose_body(self) -> Iterator[Widget]:
        yield self._header
        with Horizontal(id="panes"):
            with Vertical(id="left", classes="-front"):
                yield self._targets.titled("1 Targets")
                yield self._operations.titled("2 Operations")
            with Vertical(id="right"):
                yield self._jobs.titled("3 Jobs")
                yield self._detail.titled("4 Detail")

    @on(events.Mount)
    async def _begin(self) -> None:
        self._show_targets()
        looking = self.run_worker(self._look_at(range(len(self._board.states))), group="targets")
        # A moment's wait makes the first frame a useful one; what takes longer comes when it comes.
        await asyncio.wait({asyncio.ensure_future(looking.wait())}, timeout=FIRST_LOOK)
        self.call_next(self.console_app.follow_jobs)

    # Targets and operations

    async def _look_at(self, numbers: Iterable[int]) -> None:
        app = self.console_app
        for number in numbers:
            entry = self._board.states[number].entry
            try:
                info = await app.engine.inspect(entry.url)
            except DbtendError as error:
                self._board.give_up(number, error)
            else:
                self._board.learn(number, info)
                app.name_target(info.url, entry.name)
            self._show_targets()
        self.run_worker(self._advise_on(numbers), group="advice")

    async def _advise_on(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            state = self._board.states[number]
            if state.info is None:
                continue
            try:
                advice = await self.console_app.engine.advise(state.entry.url, budget=ADVICE_BUDGET)
            except DbtendError as error:
                self._board.leave_unadvised(number, is_busy=isinstance(error, TargetBusyError))
            else:
                self._board.heed(number, advice)
            self._show_targets()
            if number == self._plan_awaited == self._board.current and self.is_current:
                self.say("")
                self.action_plan()
        if self._board.unsettled and self._another_look is None:
            self._another_look = self.set_timer(LOOK_AGAIN, self._look_again)

    @property
    def looks_again(self) -> bool:
        """Whether targets are to be looked at once more by itself: there is a timer only then."""
        return self._another_look is not None

    def _look_again(self) -> None:
        self._another_look = None
        self.run_worker(self._look_at(self._board.unsettled), group="targets")

    @on(ItemList.Resized, "#targets, #operations")
    def _show_targets(self) -> None:
        board = self._board
        self._targets.show(
            target_rows(board.states, board.current, self._targets.columns) or no_target(self._targets.columns)
        )
        self._show_operations()

    def _show_operations(self) -> None:
        state, width = self._board.state, self._operations.columns
        if state is None or state.info is None:
            self._operations.show(target_trouble(state, width))
        else:
            height = self._operations.scrollable_content_region.height
            self._operations.show(
                operation_rows(
                    state.info.operations,
                    state.advice or (),
                    self._board.chosen,
                    self._operations.key,
                    width=width,
                    height=height,
                    check=self._board.check_level,
                )
            )
        self._show_header()
        self.refresh_footer()

    def _show_header(self) -> None:
        feed = self.console_app.feed
        self._header.show(partial(header_line, self._board.state, tuple(feed.open.values()), feed.workers, feed.pause))

    @on(ItemList.CursorMoved, "#targets")
    def _choose_target(self) -> None:
        if isinstance(self._targets.key, int) and self._targets.key != self._board.current:
            self._board.current = self._targets.key
            self._show_targets()

    @on(ItemList.CursorMoved, "#operations")
    def _describe_operation(self) -> None:
        self._show_operations()

    def action_choose(self) -> None:
        # At once, and on the target under the cursor: the next key, which runs it, may have been typed already.
        self._choose_target()
        if isinstance(self._operations.key, Operation):
            self._board.toggle(self._operations.key)
            self._show_operations()

    # Jobs

    def hear(self, news: News) -> None:
        self.console_app.replace_worker()
        self._jobs.put(news.parents)
        self._show_header()
        self.refresh_footer()
        shown = self._jobs.parent_job
        if shown is not None and any(parent.id == shown.id for parent in news.parents):
            due = self.console_app.clock() - self._steps_read_at >= STEPS_EVERY
            self._show_detail(read_steps=due or shown.id in news.changed)
        over = {parent.target for parent in news.parents if parent.id in news.changed and parent.status.is_final}
        stale = [n for n, state in enumerate(self._board.states) if state.info and state.info.url in over]
        if stale:
            self.run_worker(self._look_at(stale), group="targets")

    @on(JobTree.CursorMoved, "#jobs")
    def _job_chosen(self) -> None:
        self._show_detail(read_steps=True)

    def _show_detail(self, *, read_steps: bool) -> None:
        self._detail.put(self._jobs.parent_job, self._jobs.job)
        self.refresh_footer()
        if read_steps and self._jobs.parent_job is not None:
            self._steps_read_at = self.console_app.clock()
            self.run_worker(self._read_steps(self._jobs.parent_job.id), group="detail", exclusive=True)

    async def _read_steps(self, parent_id: int) -> None:
        try:
            whole = await self.console_app.engine.job(parent_id)
        except DbtendError as error:
            self.say_error(error)
            return
        if self._jobs.job is not None and self._jobs.job.parent == parent_id:
            self._detail.put(whole, self._jobs.job)

    @property
    def job_at_hand(self) -> tuple[ParentJob, JobId] | None:
        parent, job = self._jobs.parent_job, self._jobs.job
        return (parent, job) if parent is not None and job is not None else None

    def job_made(self, parent: ParentJob) -> None:
        self._jobs.unfold(parent.id)
        self._jobs.put([parent])
        self._jobs.go_to_parent(parent.id)
        self._jobs.focus()

    # Actions

    def can(self, action_id: str) -> bool:
        if action_id in {"run", "plan"}:
            return self._board.request() is not None
        if action_id == "choose":
            return self.focused is self._operations and self._operations.key is not None
        if action_id in {"open", "fold"}:
            return self.job_at_hand is not None and self.focused is self._jobs
        return super().can(action_id)

    def action_plan(self) -> None:
        self._choose_target()
        request, self._plan_awaited = self._board.request(), None
        if request is None or self._board.state is None:
            if self._board.is_being_looked_at:
                self._plan_awaited = self._board.current
                self.say("A moment: it is being looked at.")
                return
            self.say("Nothing to run: choose a target that can be opened, and at least one operation.", Role.WARNING)
            return

        async def decided(run: bool | None) -> None:
            if run and (needs := look.needs_yes(request)) and not request.options.confirmed:
                self._ask_for_a_yes(request, needs)
            elif run:
                await self._submit(request)

        self.app.push_screen(PlanScreen(request, self._board.state.entry.name), decided)

    def _ask_for_a_yes(self, request: Request, needs: list[tuple[Operation, str]]) -> None:
        name = target_name(request.target)
        said = "; ".join(f"{operation} {what}" for operation, what in needs)

        async def answered(yes: bool | None) -> None:
            if yes:
                await self._submit(replace(request, options=replace(request.options, confirmed=True)))
            else:
                self.say("Nothing was done.")

        self.app.push_screen(TypedConfirmScreen(f"Really, on {name}?", f"{said}.", name), answered)

    async def _submit(self, request: Request) -> None:
        try:
            (parent,) = await self.console_app.engine.submit([request])
        except DuplicateRequestError as error:
            self._jobs.go_to_parent(error.parent_id)
            self.say_error(error)
        except DbtendError as error:
            self.say_error(error)
        else:
            self._board.forget_choice()
            self.job_made(parent)
            self.console_app.see_to_a_worker()

    @on(JobTree.Opened)
    def _open_job(self, message: JobTree.Opened) -> None:
        self.app.push_screen(JobScreen(message.job))

    def action_history(self) -> None:
        self.app.push_screen(HistoryScreen())

    def action_quit(self) -> None:
        self.console_app.action_leave()

    def action_back(self) -> None:
        if self.has_class("-zoomed"):
            self.action_zoom()

    # Panes

    def action_pane(self, name: str) -> None:
        pane = self.query_one(f"#{name}")
        self._bring_to_front(pane)
        # At once: a key that was typed right after this one is for the new pane already.
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
