"""The schedules: when each is due, how its nights went; run, plan, enable and disable them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from textual import events, on
from textual.widget import Widget

from engine import ParentJob
from engine.config.model import Config
from engine.config.watch import ConfigWatch
from engine.domain.due_times import is_open
from engine.domain.errors import DbtendError
from engine.schedules.night import PlannedNight
from engine.system.current_user import user_at_host
from tui.console.actions import bindings
from tui.console.console_screen import ConsoleScreen
from tui.console.context import ConsoleContext
from tui.console.views.hints import NO_SCHEDULES
from tui.console.views.line import Line, Role, with_labels, wrapped
from tui.console.views.schedules import NOT_SERVED, SelectedSchedule, schedule_document, schedule_rows
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.page import Page
from tui.presentation.schedule_format import NIGHTS, ScheduleRow, nothing_ran, outside_window_text

if TYPE_CHECKING:
    from tui.console.feed import News

EVERY: Final = 5.0
"""Seconds between two reads: no change announces that a due time was missed."""
AT_NEWS: Final = 1.0
"""Seconds between two reads while jobs change."""


class SchedulesScreen(ConsoleScreen[None]):
    CSS_PATH = "../styles/schedules.tcss"
    OPENED_BY = "schedules"
    FOOTER = (
        *("run-schedule", "plan-schedule", "disable-schedule", "enable-schedule", "open-schedule"),
        *("copy", "back", "palette", "help"),
    )

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__(context)
        self._list = ScheduleList(id="schedules").titled("Schedules")
        self._page = Page(id="schedule")
        self._watch = None if context.saved is None else ConfigWatch(context.saved.path)
        self._rows: list[ScheduleRow] = []
        self._jobs: dict[int, list[ParentJob]] = {}
        """Of the last nights, by batch."""
        self._plans: dict[str, PlannedNight] = {}
        """The plans that were asked for, by schedule."""
        self._planning: set[str] = set()
        """Schedules whose next night is being planned."""
        self._store_error: DbtendError | None = None
        self._is_read = self._is_served = self._has_news = False
        self._is_loading = self._is_asked = False

    def compose_body(self) -> Iterator[Widget]:
        yield self._list
        yield self._page

    @on(events.Mount)
    def _begin(self) -> None:
        self.set_focus(self._list)
        self._reload()
        self.set_interval(EVERY, self._reload)
        self.set_interval(AT_NEWS, self._reload_at_news)

    def hear(self, news: News) -> None:
        self._has_news = True

    def _reload_at_news(self) -> None:
        if self._has_news:
            self._reload()

    def _reload(self) -> None:
        self._has_news = False
        self.run_worker(self._load(), name="schedules")

    @property
    def _config(self) -> Config:
        return Config() if self._watch is None else self._watch.config

    @property
    def _error(self) -> DbtendError | None:
        """Why the screen may be out of date; None once the config file and the store can be read again."""
        problem = None if self._watch is None else self._watch.problem
        return problem or self._store_error

    async def _load(self) -> None:
        """Read the schedules, one read at a time: all requests during a read share one more after it."""
        self._is_asked = True
        if self._is_loading:
            return
        self._is_loading = True
        try:
            while self._is_asked:
                self._is_asked = False
                await self._read()
        finally:
            self._is_loading = False

    async def _read(self) -> None:
        engine, saved = self.context.engine, self.context.saved
        if self._watch is not None:
            await asyncio.to_thread(self._watch.look)
        try:
            states = await engine.schedule_states()
            path = "" if saved is None else engine.config_name(saved.path)
            nights = {one.name: await engine.nights(one.name, limit=NIGHTS) for one in self._config.schedules}
            self._is_served = saved is not None and await engine.fires_schedules(saved.path)
            self._rows = [
                ScheduleRow(schedule=one, state=states.get(one.name), nights=nights[one.name], config=path)
                for one in self._config.schedules
            ]
            await self._load_jobs()
            self._store_error = None
        except DbtendError as error:
            self._store_error = error
        self._is_read = True
        self._show()

    async def _load_jobs(self) -> None:
        """The jobs of the last night of the schedule under the cursor; those that are open change."""
        night = self._row.last_night if self._row is not None else None
        batch = night.firing.batch if night is not None else None
        if night is not None and batch is not None and (batch not in self._jobs or night.finished_at is None):
            self._jobs[batch] = await self.context.engine.batch_jobs(batch)

    @property
    def _row(self) -> ScheduleRow | None:
        """The one under the cursor; the first, if the cursor is above them."""
        found = next((row for row in self._rows if row.schedule.name == self._list.schedule), None)
        return found or (self._rows[0] if self._rows else None)

    # Display

    @on(ItemList.Resized)
    def _show(self) -> None:
        self._list.show(self._list_lines())
        if self._rows and self._list.schedule is None:
            self._list.go_to(self._rows[0].schedule.name)
        served = "fired by a worker" if self._is_served else NOT_SERVED
        self._list.titled("Schedules", served if self._rows else "")
        self._show_selected()

    def _list_lines(self) -> list[Line]:
        width = self._list.columns
        if self._error is not None:
            return wrapped(str(self._error), width, Role.FAILED)
        if not self._rows:
            return wrapped(NO_SCHEDULES, width) if self._is_read else []
        return schedule_rows(self._rows, self.context.clock(), width)

    def _show_selected(self) -> None:
        row = self._row
        self._page.titled("" if row is None else row.schedule.name)
        self._page.show([] if row is None else self._document(row))
        self.refresh_footer()

    def _document(self, row: ScheduleRow) -> list[Line]:
        night = row.last_night
        jobs = self._jobs.get(night.firing.batch or 0, []) if night is not None else []
        selected = SelectedSchedule(row, jobs, self._plans.get(row.schedule.name))
        context = self.context
        lines = schedule_document(selected, context.clock(), self._page.columns, context.names.of)
        return with_labels(lines, context.names.tags)

    @on(ItemList.CursorMoved, "#schedules")
    def _cursor_moved(self) -> None:
        self._show_selected()
        self._reload()

    def copied(self) -> tuple[str, str] | None:
        row = self._row
        if row is None:
            return None
        text = "\n".join(part.text.rstrip() for part in self._document(row))
        return f"schedule {row.schedule.name}", f"{row.schedule.name}\n{text}\n"

    # Actions

    def can(self, action_id: str) -> bool:
        row = self._row
        if action_id in {"open-schedule", "run-schedule", "plan-schedule"}:
            return row is not None and super().can(action_id)
        if action_id in {"disable-schedule", "enable-schedule"}:
            wanted = row is not None and row.is_disabled == (action_id == "enable-schedule")
            return wanted and super().can(action_id)
        return super().can(action_id)

    def action_open_schedule(self) -> None:
        """Show the jobs of the schedule in the history."""
        if self._row is not None:
            words = f"schedule:{self._row.schedule.name}"
            self.app.push_screen(self.context.screens.history(filtering=False, words=words))

    def action_plan_schedule(self) -> None:
        row = self._row
        if row is not None and row.schedule.name not in self._planning:
            self.run_worker(self._plan(row), name="plan")

    async def _plan(self, row: ScheduleRow) -> None:
        name, working = row.schedule.name, f"Planning {row.schedule.name}: its targets are inspected."

        def tell(done: int, total: int) -> None:
            nonlocal working
            if self.last_message == working:
                working = f"Planning {name}: {done:,} of {total:,} targets inspected."
                self.say(working)

        due = row.next_due(self.context.clock()) or self.context.clock()
        self.say(working)
        self._planning.add(name)
        try:
            self._plans[name] = await self.context.engine.planned_night(row.schedule, self._config, due, tell=tell)
        except DbtendError as error:
            self.say_error(error)
        else:
            self.unsay(working)
        finally:
            self._planning.discard(name)
        self._show_selected()

    def action_run_schedule(self) -> None:
        row = self._row
        if row is None or self.refuses("run-schedule"):
            return
        question = f"Run schedule {row.schedule.name} now?"
        consequence = "Its targets start at once, and are not spread."
        if not is_open(row.schedule, self.context.clock()):
            outside = outside_window_text(row.schedule, self.context.clock())
            consequence = f"{outside[0].upper()}{outside[1:]}. {consequence}"
        self.context.ask(question, consequence, partial(self._run, row))

    async def _run(self, row: ScheduleRow) -> None:
        fired, jobs = await self.context.engine.fire(row.schedule, self._config)
        if jobs:
            self.context.supervisor.start_worker()
            self.context.tell(f"{row.schedule.name} runs as batch b{fired.batch}.")
        else:
            self.context.tell(f"{row.schedule.name}: {nothing_ran(fired)}.")
        self._reload()

    def action_switch_schedule(self) -> None:
        row = self._row
        if row is None or self.refuses("enable-schedule" if row.is_disabled else "disable-schedule"):
            return
        self.context.write(partial(self._switch, row))

    async def _switch(self, row: ScheduleRow) -> None:
        engine, name = self.context.engine, row.schedule.name
        if row.is_disabled:
            await engine.enable_schedule(name)
        else:
            await engine.disable_schedule(name, user_at_host())
        self._reload()


class ScheduleList(ItemList):
    BINDINGS = bindings("open-schedule", "run-schedule", "plan-schedule", "disable-schedule")

    @property
    def schedule(self) -> str | None:
        return self.key if isinstance(self.key, str) else None
