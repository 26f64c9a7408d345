"""The history list: holds the ids of all matching jobs, and reads only the jobs in view."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import neg
from typing import Final

from rich.cells import cell_len
from textual.cache import LRUCache
from textual.message import Message

from engine import JobId, ParentJob
from engine.domain.batches import Batch
from tui.console.actions import bindings
from tui.console.views.history import columns, history_row, placeholder_row
from tui.console.views.line import Line, marked, named
from tui.console.widgets.line_view import LineView

PAGE: Final = 128
KEPT_JOBS: Final = 4 * PAGE


class HistoryList(LineView):
    """Holds ids, 8 bytes each; asks for the jobs of a page when one of its lines is drawn."""

    BINDINGS = bindings("open", "mark")

    @dataclass
    class PageNeeded(Message):
        """These jobs are in view and not read yet."""

        ids: list[int]

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
        self._asked: set[int] = set()
        self._names = 0
        """Cells of the longest name so far."""
        self._marked: dict[int, ParentJob] = {}
        self._hint: Callable[[int], list[Line]] = lambda width: []
        self._to_the_end = False
        """Whether the user went to the end before the search was complete."""
        self.complete = False
        """Whether the search is complete."""

    @property
    def line_count(self) -> int:
        return len(self._ids)

    @property
    def parent_id(self) -> int | None:
        """The job under the cursor."""
        return self._ids[self.cursor] if self.cursor < len(self._ids) else None

    @property
    def parent_job(self) -> ParentJob | None:
        """The job under the cursor, if it has been read."""
        return self._jobs.get(self.parent_id) if self.parent_id is not None else None

    def line_at(self, index: int) -> Line:
        parent_id = self._ids[index]
        parent = self._jobs.get(parent_id)
        if parent is None:
            self._ask_for_page_of(index)
            return placeholder_row(parent_id)
        number = len(f"#{self._ids[0]} ")  # the newest is the longest; one cell for a mark
        has = columns(number, self._names, self.columns)
        row = history_row(parent, self._name_of(parent.target), has, now=self._clock())
        return marked(row, has.number - 1) if parent_id in self._marked else row

    def line_below(self, index: int) -> Line:
        hint = self._hint(self.columns) if self.complete and not self._ids else []
        return hint[index] if index < len(hint) else Line()

    def _ask_for_page_of(self, index: int) -> None:
        start = index - index % PAGE
        ids = [i for i in self._ids[start : start + PAGE] if i not in self._jobs and i not in self._asked]
        if ids:
            self._asked.update(ids)
            self.post_message(self.PageNeeded(ids))

    def begin(self, ids: array[int], parents: Iterable[ParentJob], hint: Callable[[int], list[Line]]) -> None:
        """Replace the list by these jobs, newest first; more may follow.

        `parents`: those that have been read. `hint`: shown if the complete list is empty.
        """
        self._ids, self._hint, self.complete = array("q", ids), hint, False
        for parent in parents:
            self._keep(parent)
        self.count_changed()
        self.set_reactive(HistoryList.cursor, 0)
        self.scroll_to(y=0, animate=False, immediate=True)
        self.post_message(self.CursorMoved(self))
        self.refresh()

    def extend(self, ids: Iterable[int]) -> None:
        """Add older matches. The screen is updated when the list has doubled."""
        self._ids.extend(ids)
        if len(self._ids) >= 2 * self.virtual_size.height:
            self._show_more()

    def end(self) -> None:
        """The search is complete."""
        self.complete = True
        self._show_more()
        if self._to_the_end:
            self._to_the_end = False
            self.cursor = self.line_count

    def _show_more(self) -> None:
        before = self.virtual_size.height
        self.count_changed()
        for index in range(before, self.scroll_offset.y + self.size.height):
            self.refresh_line(index)

    def put(self, parents: Iterable[ParentJob]) -> None:
        """Update or insert matching jobs; the cursor stays on its job.

        Jobs older than all found so far are ignored: the search will find them.
        """
        for parent in parents:
            index = self._place_of(parent.id)
            if index < len(self._ids) and self._ids[index] == parent.id:
                self._keep(parent)
                self.refresh_line(index)
            elif index < len(self._ids) or self.complete:
                self._keep(parent)
                self._insert(index, parent.id)

    def forget(self, ids: Iterable[int]) -> int:
        """Remove jobs; the cursor stays on its job or moves to the next older one.

        Returns how many were in the list.
        """
        removed = 0
        for parent_id in ids:
            index = self._place_of(parent_id)
            if index < len(self._ids) and self._ids[index] == parent_id:
                del self._ids[index]
                removed += 1
                if index < self.cursor:
                    self.set_reactive(HistoryList.cursor, self.cursor - 1)
        if removed:
            self.count_changed()
            self.set_reactive(HistoryList.cursor, self.validate_cursor(self.cursor))
            self.show_line(self.cursor)
            self.post_message(self.CursorMoved(self))
            self.refresh()
        return removed

    def read_failed(self, ids: Iterable[int]) -> None:
        """The read of these jobs failed: ask again when they are drawn again."""
        self._asked.difference_update(ids)

    def _place_of(self, parent_id: int) -> int:
        return bisect_left(self._ids, -parent_id, key=neg)

    @property
    def selected_job(self) -> tuple[ParentJob, JobId] | None:
        """The job under the cursor; None where it has not been read yet."""
        parent = self.parent_job
        return (parent, JobId(parent.id)) if parent is not None else None

    @property
    def selected_batch(self) -> Batch | None:
        """The batch under the cursor."""
        return None

    @property
    def marked_jobs(self) -> list[tuple[ParentJob, JobId]]:
        """The marked jobs, newest first, including those that the filter hides."""
        return [(self._marked[number], JobId(number)) for number in sorted(self._marked, reverse=True)]

    def action_mark(self) -> None:
        """Mark or unmark the job under the cursor and move to the next one."""
        parent = self.parent_job
        if parent is None:
            return
        if self._marked.pop(parent.id, None) is None:
            self._marked[parent.id] = parent
        self.refresh_line(self.cursor)
        self.action_move(1)
        self.post_message(self.CursorMoved(self))

    def clear_marks(self) -> None:
        self._marked.clear()
        self.refresh()
        self.post_message(self.CursorMoved(self))

    def _keep(self, parent: ParentJob) -> None:
        if parent.id in self._marked:
            self._marked[parent.id] = parent
        self._jobs.discard(parent.id)  # the cache never replaces a value
        self._jobs[parent.id] = parent
        self._asked.discard(parent.id)
        name = sum(cell_len(text) for text, _ in named(self._name_of(parent.target)))
        if name > self._names:
            self._names = name
            self.refresh()

    def _insert(self, index: int, parent_id: int) -> None:
        self._ids.insert(index, parent_id)
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
