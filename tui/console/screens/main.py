"""The main screen: targets, operations, jobs, and the detail of the job under the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.worker import Worker

from engine import JobId, Operation, ParentJob, Request
from engine.domain.errors import DbtendError, DuplicateRequestError, PasswordNeededError
from tui.console.actions import bindings
from tui.console.screens.base import steps_every
from tui.console.screens.target_actions import TargetActions
from tui.console.views.copied import copied_job, copied_operation
from tui.console.views.hints import nothing_to_run, why_nothing
from tui.console.views.line import Role
from tui.console.views.many_jobs import Jobs
from tui.console.widgets.detail_pane import DetailPane
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.job_tree import JobTree
from tui.presentation.target_names import TargetName

if TYPE_CHECKING:
    from tui.console.context import ConsoleContext
    from tui.console.feed import News
    from tui.console.views.plans_document import PlanRequest

FIRST_LOOK = 0.1
"""Seconds that the first frame waits for the first look at the targets, at most."""
PANES = ("targets", "operations", "jobs", "detail")


class MainScreen(TargetActions):
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("run", "plan", "search", "zoom"),
        *bindings("pane-1", "pane-2", "pane-3", "pane-4", "next-pane", "previous-pane"),
    ]
    FOOTER = (
        *("resume", "mark-target", "run", "plan", "choose", "look", "add", "sample", "edit", "test", "remove"),
        *("cancel", "retry", "open", "history", "palette"),
        *("mark", "fold", "zoom", "workers", "help", "quit"),
    )
    AUTO_FOCUS = "#operations"

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__(context)
        self._jobs = JobTree(context.clock, context.name_of, read_only=context.engine.read_only, id="jobs")
        self._detail = DetailPane(context.clock, context.name_of, id="detail")
        self._operations.add_class("-front", update=False)
        self._steps_read_at = 0
        self._plan_awaited: int | None = None
        """The target whose plan is wanted as soon as it is known what it needs."""

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
        self._show_targets()
        looking = self.run_worker(self._look_at(list(self._board.states)), group="targets")
        # A moment's wait makes the first frame a useful one; what takes longer comes when it comes.
        await asyncio.wait({asyncio.ensure_future(looking.wait())}, timeout=FIRST_LOOK)
        self.call_next(self.context.follow_jobs)

    # Jobs

    def hear(self, news: News) -> None:
        self.context.supervisor.replace_worker()
        self.glance_if_due()
        shown = self._jobs.parent_job
        self._jobs.put(news.parents)
        self._header.renew()
        self.refresh_footer()
        if shown is not None and any(parent.id == shown.id for parent in news.parents):
            due = self.context.clock() - self._steps_read_at >= steps_every(shown)
            self._show_detail(read_steps=due or shown.id in news.changed)
        over = {parent.target for parent in news.parents if parent.id in news.changed and parent.status.is_final}
        stale = [n for n, state in self._board.states.items() if state.info and state.info.url in over]
        if stale:
            self.run_worker(self._look_at(stale), group="targets")

    @on(JobTree.CursorMoved, "#jobs")
    def _job_chosen(self) -> None:
        self._show_detail(read_steps=True)

    def _show_detail(self, *, read_steps: bool) -> None:
        self._detail.put(self._jobs.parent_job, self._jobs.job)
        self.refresh_footer()
        if read_steps and self._jobs.parent_job is not None:
            self._steps_read_at = self.context.clock()
            shown = self._jobs.parent_job.id
            # Not a coroutine yet: one that another takes the place of before it begins, would never be awaited.
            _: Worker[None] = self.run_worker(partial(self._read_steps, shown), group="detail", exclusive=True)

    async def _read_steps(self, parent_id: int) -> None:
        try:
            whole = await self.context.engine.job(parent_id)
        except DbtendError as error:
            self.say_error(error)
            return
        if self._jobs.job is not None and self._jobs.job.parent == parent_id:
            self._detail.put(whole, self._jobs.job)

    @property
    def job_at_hand(self) -> tuple[ParentJob, JobId] | None:
        parent, job = self._jobs.parent_job, self._jobs.job
        return (parent, job) if parent is not None and job is not None else None

    @property
    def marked_jobs(self) -> Jobs:
        return self._jobs.marked_jobs

    def clear_marks(self) -> None:
        self._jobs.clear_marks()

    def copied(self) -> tuple[str, str] | None:
        row = self.focused.row if isinstance(self.focused, ItemList) else ""
        if self.focused is self._targets and self._board.state is not None:
            return "where this database is", self._board.state.entry.url
        if self.focused in {self._jobs, self._detail} and self._detail.job is not None:
            return copied_job(*self._detail.job, row)
        return ("this row", row) if row else None

    async def action_copy(self) -> None:
        operation = self._operations.key
        if self.focused is self._operations and isinstance(operation, Operation):
            # What would run has to be looked up, which may take as long as a lock is waited for.
            self.say("Looking up what would run ...")
            self.run_worker(self._copy_operation(operation), group="copy", exclusive=True)
        else:
            await super().action_copy()

    async def _copy_operation(self, operation: Operation) -> None:
        self._choose_target()
        state, request = self._board.state, self._board.request_of(operation)
        if state is None or request is None:
            return
        advice, plan = state.advice or (), None
        with suppress(DbtendError):  # its name can be copied all the same
            plan = await self.context.engine.plan(request, advice=advice)
        self.say(await self.context.copy(*copied_operation(operation, plan, advice)))

    def job_made(self, parent: ParentJob) -> None:
        self._jobs.unfold(parent.id)
        self._jobs.put([parent])
        self._jobs.go_to_parent(parent.id)
        self._jobs.focus()

    # Actions

    def can(self, action_id: str) -> bool:
        if self.context.is_barred(action_id):
            return False
        if action_id in {"run", "plan"}:
            return len(self._board.marked) > 1 or any(map(self._board.request, self._board.at_hand))
        if action_id == "choose":
            return self.focused is self._operations and self._operations.key is not None
        if action_id in {"open", "mark", "fold"}:
            return self.job_at_hand is not None and self.focused is self._jobs
        return super().can(action_id)

    def action_run(self) -> None:
        if not self.refuses("run"):
            self.action_plan()

    def plan_if_awaited(self, number: int) -> None:
        if number == self._plan_awaited == self._board.current and self.is_active:
            self.say("")
            self.action_plan()

    def say_whether_there_is_a_target(self) -> None:
        self._jobs.say_whether_there_is_a_target(self._board.state is not None)

    def action_plan(self) -> None:
        self._choose_target()
        self._plan_awaited = None
        if len(self._board.marked) > 1:
            self.app.push_screen(self.context.screens.plans(self._wanted()), self._run_if_any)
            return
        (number,) = self._board.at_hand or (None,)
        request = self._board.request(number)
        if number is None or request is None:
            if self._board.is_being_looked_at:
                self._plan_awaited = self._board.current
                self.say("A moment: it is being looked at.")
                return
            state = self._board.state
            if state is not None and isinstance(state.error, PasswordNeededError):
                self.ask_for_password_of(state.entry, state.error)
            else:
                self.say(nothing_to_run(state, is_being_built=bool(self._being_built)), Role.WARNING)
            return

        state = self._board.states[number]
        name = TargetName.of(state.entry)
        self.app.push_screen(self.context.screens.plan(request, name, state.advice or ()), self._run_if_any)

    def _wanted(self) -> list[PlanRequest]:
        """What is to run on each of the marked targets."""
        from tui.console.views.plans_document import PlanRequest

        states = self._board.states
        return [
            PlanRequest(
                TargetName.of(states[n].entry), self._board.request(n), why_nothing(states[n]), states[n].advice or ()
            )
            for n in self._board.marked
        ]

    def _run_if_any(self, requests: list[Request] | None) -> None:
        if requests:
            self.context.write(partial(self._submit, requests))

    async def _submit(self, requests: list[Request]) -> None:
        self.context.supervisor.refuse_what_no_worker_can_open(request.target for request in requests)
        try:
            first, *_ = made = await self.context.engine.submit(requests)
        except DuplicateRequestError as error:
            self._jobs.go_to_parent(error.parent_id)
            self.context.tell_error(error)
        else:
            urls = {request.target for request in requests}
            self._board.forget_choice([n for n, state in self._board.states.items() if state.entry.url in urls])
            self._board.unmark()
            self._jobs.put(made)
            self.job_made(first)
            self._show_targets()
            self.context.supervisor.see_to_a_worker()

    @on(JobTree.Opened)
    def _open_job(self, message: JobTree.Opened) -> None:
        self.app.push_screen(self.context.screens.job(message.job))

    def action_quit(self) -> None:
        self.context.leave()

    def action_back(self) -> None:
        if self._jobs.marks:
            self.clear_marks()
        elif self._board.marked:
            super().action_back()
        elif self.has_class("-zoomed"):
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
