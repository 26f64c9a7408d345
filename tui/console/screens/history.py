"""The history: all jobs, or those that match a filter, newest first.

A batch is one row, which unfolds; but a filter of jobs, by status for example, finds each job of a batch by itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on, work
from textual.binding import BindingType
from textual.widget import Widget
from textual.worker import Worker

from engine import HistoryFilter, JobId, ParentJob
from engine.domain.batches import Batch
from engine.domain.errors import DbtendError, JobNotFoundError, UsageError
from tui.console.actions import bindings
from tui.console.context import ConsoleContext
from tui.console.parts.job_actions import JobActions
from tui.console.screens.entry import TYPING, EntryScreen
from tui.console.views.copied import copied_job
from tui.console.views.hints import no_history
from tui.console.views.history import format_found
from tui.console.views.line import Role
from tui.console.views.many_jobs import retry_message
from tui.console.widgets.history_list import HistoryList
from tui.presentation.history_filter import history_filter, if_not_found, unfinished, words_of

if TYPE_CHECKING:
    from tui.console.feed import News

READ_AT_ONCE: Final = 64
"""Jobs that are read before the first rows are shown: enough to fill a screen."""


class HistoryScreen(EntryScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("filter", "cancel", "retry", "pin")
    PLACEHOLDER = "target: status: op: since: until: or error text"
    OPENED_BY = "history"
    FOOTER = (*TYPING, "open", "fold", "filter", "mark", "cancel", "retry", "pin", "unpin", "back", "palette", "help")

    def __init__(self, context: ConsoleContext, *, filtering: bool, words: str) -> None:
        """
        Args:
            filtering: open with the filter line.
            words: the filter to begin with.
        """
        super().__init__(context)
        self._begins_filtering, self._begins_with = filtering, words
        self._list = HistoryList(context.clock, context.names.of, id="history").titled("History")
        self.parts = (JobActions(self, self._list, self._show_new_job),)
        self._words = ""
        """The current filter, as typed."""
        self._where = HistoryFilter()
        self._total: int | None = None
        self._newest = 0
        self._searching = self._has_failed = False
        self._changed_meanwhile: dict[int, ParentJob] = {}
        self._batches_meanwhile: dict[int, Batch] = {}
        """Jobs and batches that changed during a search, which may have read older versions."""

    def compose_body(self) -> Iterator[Widget]:
        yield self._list

    @on(events.Mount)
    async def _open(self) -> None:
        if not (self._begins_with and self._filter_by(self._begins_with)):
            self._start_search("", HistoryFilter())
        if self._begins_filtering:
            await self.action_filter()

    # The filter.

    async def action_filter(self) -> None:
        await self.open_filter(self._words)

    def search_for(self, text: str, *, is_done: bool) -> bool:
        hint = "" if is_done else unfinished(text)
        is_valid = self._filter_by(text[: words_of(text)[-1].at] if hint else text)
        if hint and is_valid:
            self.say(hint, Role.DIM)
        return is_valid

    def _filter_by(self, line: str) -> bool:
        """Apply a filter line; for an invalid one show the error and keep the list."""
        now = datetime.fromtimestamp(self.context.clock() / 1e6).astimezone()
        try:
            where = history_filter(words_of(line), called=self.context.names.called, now=now)
        except UsageError as error:
            self.say(str(error), Role.WARNING)
            return False
        self.say("")
        words = line.strip()
        if words != self._words:
            self._start_search(words, where)
        return True

    def clear_search(self) -> bool:
        was_filtered = bool(self._words)
        if was_filtered:
            self._start_search("", HistoryFilter())
        return was_filtered

    @property
    def marks(self) -> tuple[int, str]:
        return self._list.marks, "job"

    def unmark(self) -> None:
        self._list.clear_marks()

    # The search.

    def _start_search(self, words: str, where: HistoryFilter) -> None:
        self._words, self._where = words, where
        self._searching, self._has_failed = True, False
        self._changed_meanwhile.clear()
        self._batches_meanwhile.clear()
        _: Worker[None] = self.run_worker(partial(self._search, words, where), group="search", exclusive=True)

    async def _search(self, words: str, where: HistoryFilter) -> None:
        """Show the first matches at once; the others follow."""
        begun, folds = False, not where.is_of_jobs
        about_text = if_not_found(words_of(words), self.context.names.called) if where.error_words else ""
        hint = partial(no_history, words, about_text=about_text, read_only=self.context.engine.read_only)
        try:
            async for ids in self.context.engine.search(where, folded=folds):
                if begun:
                    self._list.extend(ids)
                elif ids:
                    if not words:
                        self._newest = max(self._newest, abs(ids[0]))
                    read = await self.context.engine.jobs([*map(abs, ids[:READ_AT_ONCE])])
                    self._list.begin(ids, read, hint, folds=folds)
                    begun = True
                    self._count()
            if not begun:
                self._list.begin(array("q"), [], hint, folds=folds)
            self._list.end()
            self._total = await self.context.engine.count()
        except DbtendError as error:
            if not begun:  # the old list does not match the new filter
                self._list.begin(array("q"), [], hint, folds=folds)
            self._list.show_more()
            self._has_failed = True
            self.say_error(error)
        self._searching = False
        changed, self._changed_meanwhile = self._changed_meanwhile, {}
        batches, self._batches_meanwhile = self._batches_meanwhile, {}
        self._update_list(changed.values(), batches.values())

    def _count(self) -> None:
        found = format_found(
            self._list.found,
            self._total,
            self._words,
            complete=self._list.complete,
            folds=not self._where.is_of_jobs,
            has_batches=self._list.has_batches,
        )
        marks = f"{self._list.marks:,} marked, " if self._list.marks else ""
        self._list.subtitled(marks + found)
        self.refresh_footer()

    @on(HistoryList.PageNeeded)
    @work(group="pages")
    async def _read_page(self, message: HistoryList.PageNeeded) -> None:
        ids = message.ids
        try:
            found = await self.context.engine.jobs(ids)
        except DbtendError as error:
            self._list.read_failed(ids)
            self.say_error(error)
        else:
            await self._drop(set(ids) - {parent.id for parent in found})
            self._update_list(found)

    async def _drop(self, gone: Collection[int]) -> None:
        """Remove jobs that are no longer in the history; a batch stays while any of its jobs is there."""
        if not gone:
            return
        try:
            for parent_id in self._list.batches_without_newest(gone):
                await self._put_newest_before(parent_id)
            self._total = await self.context.engine.count()
        except DbtendError as error:
            self.say_error(error)
        self._list.forget(gone)

    async def _put_newest_before(self, gone: int) -> None:
        """The line of the batch whose newest job is gone stands for the newest that is left, if any."""
        for parent in await self.context.engine.history(self._where, before=gone, limit=1):
            if parent.batch is not None:
                batch = await self.context.engine.batch(parent.batch)
                if batch.newest_job == parent.id:
                    self._list.put_newest(gone, batch, parent)

    @on(HistoryList.BatchNeeded)
    @work(group="pages")
    async def _read_batch(self, message: HistoryList.BatchNeeded) -> None:
        try:
            self._list.put_batches([await self.context.engine.batch(message.batch_id)])
        except JobNotFoundError:  # it was removed from the history
            pass
        except DbtendError as error:
            self._list.batch_read_failed(message.batch_id)
            self.say_error(error)
        self.refresh_footer()

    @on(HistoryList.JobsNeeded)
    @work(group="unfold")
    async def _unfold(self, message: HistoryList.JobsNeeded) -> None:
        batch = message.batch
        try:
            search = self.context.engine.search(HistoryFilter(batch=batch.id))
            ids = [parent_id async for found in search for parent_id in found]
            if ids[:1] != [batch.newest_job]:
                await self._drop({batch.newest_job})
            if ids:
                self._list.unfold(await self.context.engine.batch(batch.id), ids)
        except DbtendError as error:
            self.say_error(error)

    def hear(self, news: News) -> None:
        if self._has_failed:
            self._start_search(self._words, self._where)
        if self._searching:
            self._changed_meanwhile |= {parent.id: parent for parent in news.parents}
            self._batches_meanwhile |= {batch.id: batch for batch in news.batches}
        self._update_list(news.parents, news.batches)

    def _update_list(self, parents: Iterable[ParentJob], batches: Iterable[Batch] = ()) -> None:
        """Put current versions of jobs and batches into the list, or remove those that no longer match."""
        self._list.put_batches(batch for batch in batches if self._where.matches_time(batch.created_at))
        for parent in sorted(parents, key=lambda parent: parent.id):
            if parent.id > self._newest:
                self._newest = parent.id
                self._total = None if self._total is None else self._total + 1
            if self._where.matches(parent):
                self._list.put([parent])
            else:
                self._list.forget([parent.id])
        self._count()

    # The jobs.

    @on(HistoryList.CursorMoved)
    def _job_chosen(self) -> None:
        self._count()

    def copied(self) -> tuple[str, str] | None:
        parent = self._list.parent_job
        row = self._list.line_at(self._list.cursor).text.rstrip() if self._list.line_count else ""
        if self._list.selected_batch is not None:
            return "this row", row
        return copied_job(parent, JobId(parent.id), ("this row", row)) if parent is not None else None

    def _show_new_job(self, parent: ParentJob) -> None:
        self._update_list([parent])
        self.say(retry_message(parent))

    def can(self, action_id: str) -> bool:
        if action_id == "fold":
            return super().can(action_id) and self._list.can_fold
        return super().can(action_id) and (action_id not in {"open", "mark"} or bool(self._list.line_count))

    @on(HistoryList.Opened)
    def _open_job(self, message: HistoryList.Opened) -> None:
        self.app.push_screen(self.context.screens.job(JobId(message.parent_id)))
