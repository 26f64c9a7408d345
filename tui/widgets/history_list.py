"""The history: every parent job, of which only those that are looked at are ever read."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import neg
from typing import Final

from textual.cache import LRUCache
from textual.message import Message

from engine import ParentJob
from tui.actions import bindings
from tui.views.history import history_row, placeholder_row
from tui.views.line import Line
from tui.widgets.line_view import LineView

PAGE: Final = 128
KEPT_JOBS: Final = 64 * PAGE


class HistoryList(LineView):
    """Holds the ids of all jobs, 8 bytes each, and asks for the jobs of a page when one of its lines is drawn."""

    BINDINGS = bindings("open")

    @dataclass
    class PageNeeded(Message):
        """These jobs are to be seen and not known."""

        ids: list[int]

    @dataclass
    class Opened(Message):
        """The user wants to see everything about a job."""

        parent_id: int

    def __init__(self, clock: Callable[[], int], name_of: Callable[[str], str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._name_of = name_of
        self._ids: array[int] = array("q")
        self._jobs: LRUCache[int, ParentJob] = LRUCache(KEPT_JOBS)
        self._asked: set[int] = set()

    @property
    def line_count(self) -> int:
        return len(self._ids)

    @property
    def parent_id(self) -> int | None:
        """The job under the cursor."""
        return self._ids[self.cursor] if self.cursor < len(self._ids) else None

    @property
    def parent_job(self) -> ParentJob | None:
        """The same, as far as it has been read."""
        return self._jobs.get(self.parent_id) if self.parent_id is not None else None

    def line_at(self, index: int) -> Line:
        parent_id = self._ids[index]
        parent = self._jobs.get(parent_id)
        if parent is None:
            self._ask_for_page_of(index)
            return placeholder_row(parent_id)
        return history_row(parent, self._name_of(parent.target), now=self._clock(), width=self.columns)

    def _ask_for_page_of(self, index: int) -> None:
        start = index - index % PAGE
        ids = [i for i in self._ids[start : start + PAGE] if i not in self._jobs and i not in self._asked]
        if ids:
            self._asked.update(ids)
            self.post_message(self.PageNeeded(ids))

    def show_ids(self, ids: array[int]) -> None:
        """Show these jobs; newest, that is highest, first."""
        self._ids = ids
        self.count_changed()
        self.refresh()

    def put(self, parents: Iterable[ParentJob]) -> None:
        """These jobs were read or have changed; new ones are put in at the top, the cursor stays on its job."""
        for parent in parents:
            self._jobs.discard(parent.id)  # the cache keeps the first value of a key that it has
            self._jobs[parent.id] = parent
            self._asked.discard(parent.id)
            index = bisect_left(self._ids, -parent.id, key=neg)
            if index < len(self._ids) and self._ids[index] == parent.id:
                self.refresh_line(index)
            else:
                self._insert(index, parent.id)

    def forget(self, ids: Iterable[int]) -> None:
        """These are no longer kept: the cursor stays on its job, or comes to the next older one."""
        gone = frozenset(ids)
        if not gone:
            return
        newer = sum(i in gone for i in self._ids[: self.cursor])
        self._ids = array("q", (i for i in self._ids if i not in gone))
        self.count_changed()
        self.cursor -= newer
        self.refresh()

    def give_up(self, ids: Iterable[int]) -> None:
        """These could not be read; they are asked for again when they are drawn again."""
        self._asked.difference_update(ids)

    def _insert(self, index: int, parent_id: int) -> None:
        self._ids.insert(index, parent_id)
        self.count_changed()
        if index <= self.cursor and len(self._ids) > 1:
            self.set_reactive(HistoryList.cursor, self.cursor + 1)
            self.show_line(self.cursor)
        self.refresh()

    def action_open(self) -> None:
        if self.parent_id is not None:
            self.post_message(self.Opened(self.parent_id))
