"""The history list: holds the ids of all matching jobs, and reads only the jobs and batches in view."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from textual.cache import LRUCache
from textual.message import Message

from engine import JobId, ParentJob
from engine.domain.batches import Batch
from tui.console.actions import bindings
from tui.console.views.history import (
    FOLDED,
    Columns,
    batch_history_row,
    columns,
    history_row,
    placeholder_batch_row,
    placeholder_row,
)
from tui.console.views.line import Line, marked, named, span_cells
from tui.console.views.status import STATUS_WIDTH, status_width
from tui.console.widgets.line_view import LineView

PAGE: Final = 128
KEPT_JOBS: Final = 4 * PAGE


class HistoryList(LineView):
    """Holds ids, 8 bytes each; asks for the jobs of a page when one of its lines is drawn.

    A negative id stands for a batch: it is that of its newest job. Below it are the ids of its jobs if it is unfolded.
    """

    BINDINGS = bindings("open", "mark", "fold", "unfold", "fold-away")

    @dataclass
    class PageNeeded(Message):
        """Asks for jobs that are in view and not read yet."""

        ids: list[int]

    @dataclass
    class BatchNeeded(Message):
        """Asks for a batch that is in view and not read yet."""

        batch_id: int

    @dataclass
    class JobsNeeded(Message):
        """The user unfolds this batch."""

        batch: Batch

    @dataclass
    class Opened(Message):
        """The user opens a job."""

        parent_id: int

    def __init__(self, clock: Callable[[], int], name_of: Callable[[str], str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._name_of = name_of
        self._ids: array[int] = array("q")
        self._jobs: LRUCache[int, ParentJob] = LRUCache(KEPT_JOBS)
        self._batches: LRUCache[int, Batch] = LRUCache(KEPT_JOBS)
        self._asked: set[int] = set()
        self._asked_batches: set[int] = set()
        self._folds = False
        """Whether batches are folded: then their jobs have lines only where one is unfolded."""
        self._unfolded: dict[int, tuple[int, int]] = {}
        """The newest and the oldest job of each unfolded batch."""
        self.has_batches = False
        """Whether some lines stand for batches."""
        self._names = 0
        """Cells of the longest name so far."""
        self._statuses = STATUS_WIDTH
        """Cells of the longest status so far."""
        self._marked: dict[int, ParentJob] = {}
        self._marked_batches: dict[int, Batch] = {}
        self._hint: Callable[[int], list[Line]] = lambda width: []
        self._to_the_end = False
        """Whether the user went to the end before the search was complete."""
        self.complete = False
        """Whether the search is complete."""

    @property
    def line_count(self) -> int:
        return len(self._ids)

    @property
    def found(self) -> int:
        """Lines without those of unfolded jobs."""
        return len(self._ids) - sum(len(self._lines_below(batch_id)) for batch_id in self._unfolded)

    @property
    def parent_id(self) -> int | None:
        """The job under the cursor; None on a batch."""
        found = self._ids[self.cursor] if self.cursor < len(self._ids) else 0
        return found if found > 0 else None

    @property
    def parent_job(self) -> ParentJob | None:
        """The job under the cursor, if it has been read."""
        return self._jobs.get(self.parent_id) if self.parent_id is not None else None

    def line_at(self, index: int) -> Line:
        found = self._ids[index]
        parent = self._jobs.get(abs(found))
        if parent is None:
            self._ask_for_page_of(index)
            return placeholder_row(abs(found))
        number = len(f"#{abs(self._ids[0])} ")  # the newest is the longest; one cell for a mark
        has = columns(number + len(FOLDED) * self.has_batches, self._names, self.columns, statuses=self._statuses)
        if found < 0 and parent.batch is not None:
            row = self._batch_row(parent.batch, has)
            is_marked = parent.batch in self._marked_batches
        else:
            is_below = parent.batch in self._unfolded
            row = history_row(parent, self._name_of(parent.target), has, now=self._clock(), is_below_batch=is_below)
            is_marked = found in self._marked
        return marked(row, has.number - 1) if is_marked else row

    def _batch_row(self, batch_id: int, has: Columns) -> Line:
        batch = self._batches.get(batch_id)
        if batch is not None:
            is_unfolded = batch_id in self._unfolded
            return batch_history_row(batch, has, expanded=is_unfolded, now=self._clock(), width=self.columns)
        if batch_id not in self._asked_batches:
            self._asked_batches.add(batch_id)
            self.post_message(self.BatchNeeded(batch_id))
        return placeholder_batch_row(batch_id)

    def line_below(self, index: int) -> Line:
        hint = self._hint(self.columns) if self.complete and not self._ids else []
        return hint[index] if index < len(hint) else Line()

    def _ask_for_page_of(self, index: int) -> None:
        start = index - index % PAGE
        page = dict.fromkeys(map(abs, self._ids[start : start + PAGE]))
        ids = [i for i in page if i not in self._jobs and i not in self._asked]
        if ids:
            self._asked.update(ids)
            self.post_message(self.PageNeeded(ids))

    def begin(
        self, ids: array[int], parents: Iterable[ParentJob], hint: Callable[[int], list[Line]], *, folds: bool = False
    ) -> None:
        """Replace the list by these jobs and batches, newest first; more may follow.

        Args:
            parents: those that have been read.
            hint: shown if the complete list is empty.
            folds: whether batches are folded.
        """
        self._ids, self._hint, self.complete = array("q", ids), hint, False
        self._folds, self.has_batches = folds, min(ids, default=0) < 0
        self._unfolded.clear()
        for parent in parents:
            self._keep(parent)
        self.count_changed()
        self.set_reactive(HistoryList.cursor, 0)
        self.scroll_to(y=0, animate=False, immediate=True)
        self.post_message(self.CursorMoved(self))
        self.refresh()

    def extend(self, ids: Iterable[int]) -> None:
        """Add older matches. The screen is updated when the list has doubled."""
        before = len(self._ids)
        self._ids.extend(ids)
        if not self.has_batches and min(self._ids[before:], default=0) < 0:
            self.has_batches = True
            self.refresh()
        if len(self._ids) >= 2 * self.virtual_size.height:
            self.show_more()

    def end(self) -> None:
        self.complete = True
        self.show_more()
        if self._to_the_end:
            self._to_the_end = False
            self.cursor = self.line_count

    def show_more(self) -> None:
        before = self.virtual_size.height
        self.count_changed()
        for index in range(before, self.scroll_offset.y + self.size.height):
            self.refresh_line(index)

    def put(self, parents: Iterable[ParentJob]) -> None:
        """Update or insert matching jobs; the cursor stays on its job.

        Jobs older than all found so far are ignored: the search will find them. So are those of a folded batch.
        """
        for parent in parents:
            index = self._place_of(parent.id)
            if self._is_at(index, parent.id):
                self._keep(parent)
                self.refresh_line(index)
            elif self._folds and parent.batch is not None:
                if self._is_at(self._place_of(-parent.id), -parent.id):
                    self._keep(parent)
                    self.refresh_line(self._place_of(-parent.id))
            elif index < len(self._ids) or self.complete:
                self._keep(parent)
                self._insert(index, parent.id)

    def put_batches(self, batches: Iterable[Batch]) -> None:
        """Update or insert batches; the cursor stays on its line."""
        for batch in batches:
            if batch.id in self._marked_batches:
                self._marked_batches[batch.id] = batch
            before = self._batches.get(batch.id)
            self._batches.discard(batch.id)
            self._batches[batch.id] = batch
            self._asked_batches.discard(batch.id)
            if not self._folds or not batch.newest_job:
                continue
            if before is not None and before.newest_job < batch.newest_job:
                self._more_came(before, batch)
            index = self._place_of(-batch.newest_job)
            if self._is_at(index, -batch.newest_job):
                self.refresh_line(index)
            elif index < len(self._ids) or self.complete:
                self.has_batches = True
                self._insert(index, -batch.newest_job)

    def _more_came(self, before: Batch, batch: Batch) -> None:
        """The line of a batch stands for its newest job: for another one, once a further portion is submitted."""
        index = self._place_of(-before.newest_job)
        if self._is_at(index, -before.newest_job):
            self._ids[index] = -batch.newest_job
            if batch.id in self._unfolded:
                self._unfolded[batch.id] = (batch.newest_job, self._unfolded[batch.id][1])

    def forget(self, ids: Iterable[int]) -> None:
        """Remove jobs; the cursor stays on its job or moves to the next older one."""
        if sum(self._remove(parent_id) + self._remove(-parent_id) for parent_id in ids):
            self._lines_removed()

    def batches_without_newest(self, gone: Iterable[int]) -> list[int]:
        """The jobs that a line of a batch stands for."""
        return [parent_id for parent_id in gone if self._is_at(self._place_of(-parent_id), -parent_id)]

    def put_newest(self, gone: int, batch: Batch, newest: ParentJob) -> None:
        """The newest job of a batch is gone, and others before: its line now stands for `newest`."""
        index, end = self._place_of(-gone), self._place_of(newest.id)
        if not self._is_at(index, -gone) or self._is_at(end - 1, -newest.id):
            return
        self._keep(newest)
        del self._ids[index + 1 : end]
        self._ids[index] = -newest.id
        if batch.id in self._unfolded:
            self._unfolded[batch.id] = (newest.id, self._unfolded[batch.id][1])
        if index < self.cursor:
            self.set_reactive(HistoryList.cursor, max(self.cursor - (end - index - 1), index))
        self._lines_removed()
        self.put_batches([batch])

    def _remove(self, found: int) -> bool:
        index = self._place_of(found)
        if not self._is_at(index, found):
            return False
        del self._ids[index]
        if index < self.cursor:
            self.set_reactive(HistoryList.cursor, self.cursor - 1)
        return True

    def _lines_removed(self) -> None:
        self.count_changed()
        self.set_reactive(HistoryList.cursor, self.validate_cursor(self.cursor))
        self.show_line(self.cursor)
        self.post_message(self.CursorMoved(self))
        self.refresh()

    def unfold(self, batch: Batch, ids: Iterable[int]) -> None:
        """Show the jobs of a batch, newest first, below its line."""
        index = self._place_of(-batch.newest_job)
        jobs = array("q", ids)
        if batch.id in self._unfolded or not jobs or not self._is_at(index, -batch.newest_job):
            return
        self._unfolded[batch.id] = (batch.newest_job, jobs[-1])
        self._ids[index + 1 : index + 1] = jobs
        self.count_changed()
        if index < self.cursor:
            self.set_reactive(HistoryList.cursor, self.cursor + len(jobs))
        self.refresh()

    def _fold(self, batch_id: int) -> None:
        """Hide the jobs of a batch; the cursor goes to its line."""
        lines = self._lines_below(batch_id)
        del self._unfolded[batch_id]
        del self._ids[lines.start : lines.stop]
        self.set_reactive(HistoryList.cursor, lines.start - 1)
        self._lines_removed()

    def _lines_below(self, batch_id: int) -> range:
        """The lines of the jobs of an unfolded batch."""
        newest, oldest = self._unfolded[batch_id]
        return range(self._place_of(newest), self._place_of(-(oldest - 1)))

    @property
    def _unfolded_batch(self) -> int | None:
        """The unfolded batch of the line under the cursor."""
        at = self._jobs.get(abs(self._ids[self.cursor])) if self.cursor < len(self._ids) else None
        return at.batch if at is not None and at.batch in self._unfolded else None

    @property
    def can_fold(self) -> bool:
        return self._unfolded_batch is not None or self.selected_batch is not None

    def action_fold(self, fold: bool | None = None) -> None:
        """Fold or unfold the batch under the cursor, or that of the job under the cursor; None: toggle."""
        unfolded, batch = self._unfolded_batch, self.selected_batch
        if unfolded is not None:
            if fold is not False:
                self._fold(unfolded)
        elif batch is not None and not fold:
            self.post_message(self.JobsNeeded(batch))

    def read_failed(self, ids: Iterable[int]) -> None:
        """The read of these jobs failed: ask again when they are drawn again."""
        self._asked.difference_update(ids)

    def batch_read_failed(self, batch_id: int) -> None:
        self._asked_batches.discard(batch_id)

    def _place_of(self, found: int) -> int:
        return bisect_left(self._ids, _order(found), key=_order)

    def _is_at(self, index: int, found: int) -> bool:
        return index < len(self._ids) and self._ids[index] == found

    @property
    def selected_job(self) -> tuple[ParentJob, JobId] | None:
        """The job under the cursor; None where it has not been read yet."""
        parent = self.parent_job
        return (parent, JobId(parent.id)) if parent is not None else None

    @property
    def selected_batch(self) -> Batch | None:
        """The batch under the cursor; None where it has not been read yet."""
        newest = self._jobs.get(-self._ids[self.cursor]) if self.cursor < len(self._ids) else None
        return self._batches.get(newest.batch) if newest is not None and newest.batch is not None else None

    @property
    def marked_jobs(self) -> list[tuple[ParentJob, JobId]]:
        """The marked jobs, newest first, including those that the filter hides; without those of marked batches."""
        jobs = [job for job in self._marked.values() if job.batch not in self._marked_batches]
        return [(job, JobId(job.id)) for job in sorted(jobs, key=lambda job: -job.id)]

    @property
    def marks(self) -> int:
        return len(self.marked_jobs) + len(self._marked_batches)

    @property
    def marked_batches(self) -> list[Batch]:
        """The marked batches, newest first."""
        return sorted(self._marked_batches.values(), key=lambda batch: -batch.id)

    def action_mark(self) -> None:
        """Mark or unmark the job or batch under the cursor and move to the next one."""
        parent, batch = self.parent_job, self.selected_batch
        if batch is not None:
            if self._marked_batches.pop(batch.id, None) is None:
                self._marked_batches[batch.id] = batch
        elif parent is None:
            return
        elif self._marked.pop(parent.id, None) is None:
            self._marked[parent.id] = parent
        self.refresh_line(self.cursor)
        self.action_move(1)
        self.post_message(self.CursorMoved(self))

    def clear_marks(self) -> None:
        self._marked.clear()
        self._marked_batches.clear()
        self.refresh()
        self.post_message(self.CursorMoved(self))

    def _keep(self, parent: ParentJob) -> None:
        if parent.id in self._marked:
            self._marked[parent.id] = parent
        self._jobs.discard(parent.id)  # the cache never replaces a value
        self._jobs[parent.id] = parent
        self._asked.discard(parent.id)
        name = span_cells(named(self._name_of(parent.target)))
        status = status_width(parent)
        if name > self._names or status > self._statuses:
            self._names, self._statuses = max(name, self._names), max(status, self._statuses)
            self.refresh()

    def _insert(self, index: int, found: int) -> None:
        self._ids.insert(index, found)
        self.count_changed()
        if index <= self.cursor and len(self._ids) > 1:
            self.set_reactive(HistoryList.cursor, self.cursor + 1)
            self.show_line(self.cursor)
        self.refresh()

    def action_last(self) -> None:
        super().action_last()
        self._to_the_end = not self.complete

    def action_move(self, by: int) -> None:
        self._to_the_end = False
        super().action_move(by)

    def action_open(self) -> None:
        if self.parent_id is not None:
            self.post_message(self.Opened(self.parent_id))
        else:
            self.action_fold()


def _order(found: int) -> int:
    """Newest first; a batch stands above its newest job."""
    return -2 * abs(found) + (found > 0)
