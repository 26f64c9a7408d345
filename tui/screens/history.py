"""The history: every job that ever was, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual import on
from textual.widget import Widget

from engine import JobId, ParentJob
from engine.errors import DbtendError
from tui.screens.job import JobScreen
from tui.screens.job_actions import JobActions
from tui.text import counted
from tui.views.hints import no_history
from tui.widgets.history_list import HistoryList

if TYPE_CHECKING:
    from tui.feed import News


class HistoryScreen(JobActions[None]):
    FOOTER = ("open", "cancel", "retry", "pin", "unpin", "back", "help")

    def compose_body(self) -> Iterator[Widget]:
        app = self.console_app
        yield HistoryList(app.clock, app.name_of, id="history").titled("History")

    @property
    def _list(self) -> HistoryList:
        return self.query_one("#history", HistoryList)

    def on_mount(self) -> None:
        self.run_worker(self._load())

    async def _load(self) -> None:
        try:
            self._list.show_ids(await self.console_app.engine.history_ids())
        except DbtendError as error:
            self.say_error(error)
            return
        self._count()

    def _count(self) -> None:
        number = self._list.line_count
        self._list.border_subtitle = counted(number, "job")
        self.refresh_footer()
        if not number:
            self.say(no_history(read_only=self.console_app.engine.read_only))

    @on(HistoryList.PageNeeded)
    def _read_page(self, message: HistoryList.PageNeeded) -> None:
        self.run_worker(self._read(message.ids), group="pages")

    async def _read(self, ids: list[int]) -> None:
        try:
            found = await self.console_app.engine.jobs(ids)
        except DbtendError as error:
            self._list.give_up(ids)
            self.say_error(error)
        else:
            self._list.put(found)
            self._list.forget(set(ids) - {parent.id for parent in found})
            self._count()

    def hear(self, news: News) -> None:
        self._list.put(news.parents)
        self._count()

    @on(HistoryList.CursorMoved)
    def _job_chosen(self) -> None:
        self.refresh_footer()

    @property
    def job_at_hand(self) -> tuple[ParentJob, JobId] | None:
        parent = self._list.parent_job
        return (parent, JobId(parent.id)) if parent is not None else None

    def job_made(self, parent: ParentJob) -> None:
        self._list.put([parent])
        self.say(f"Runs once more as #{parent.id}.")

    def can(self, action_id: str) -> bool:
        return bool(self._list.line_count) if action_id == "open" else super().can(action_id)

    @on(HistoryList.Opened)
    def _open_job(self, message: HistoryList.Opened) -> None:
        self.app.push_screen(JobScreen(JobId(message.parent_id)))
