"""Lists of targets: what they show of a model, and the keys for what can be done with one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from tui.console.actions import bindings
from tui.console.keymap import key_of
from tui.console.target_model import TargetModel
from tui.console.views.hints import no_target
from tui.console.views.line import Line
from tui.console.views.lists import target_rows
from tui.console.views.target_order import Sort, shown_targets
from tui.console.widgets.item_list import ItemList

if TYPE_CHECKING:
    from engine.fleet.filters import FleetFilter


class ModelList(ItemList):
    """Shows the targets of a model, sorted and filtered. Makes only the lines that are in view.

    The screen carries out its actions.
    """

    def __init__(self, model: TargetModel, sort: Sort, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.model = model
        self.sort = sort
        self.where: FleetFilter | None = None
        """Which targets it shows; None: all."""
        self.words = ""
        """The filter as typed."""
        self.shown: list[int] = []
        """The numbers of the targets, in order."""
        self.stays_on_top = False
        """Whether the cursor stays on the first target instead of on its own."""
        self._index: list[tuple[int, int]] = []
        """For each line the number of its target, and which of its lines it is."""
        self._drawn: dict[int, Line] = {}
        """The lines in view, as last checked."""

    def rows_of(self, number: int) -> Sequence[Line]:
        """The lines of a target: as many as `height_of` says."""
        raise NotImplementedError

    def height_of(self, number: int) -> int:
        return 1

    def empty_lines(self) -> Sequence[Line]:
        """In place of an empty list."""
        raise NotImplementedError

    def clear_filter(self) -> bool:
        """Let it show all targets from now on; returns whether there was a filter."""
        was_filtered = self.where is not None
        self.where, self.words = None, ""
        return was_filtered

    def show_model(self, now: int) -> None:
        """Show the current state of the model; `now`: in microseconds. Repaints only changed lines."""
        key, before, count = self.key, self.cursor, self.line_count
        self.shown = shown_targets(self.model.states, self.sort, self.where, now=now)
        self._index = [(number, row) for number in self.shown for row in range(self.height_of(number))]
        self._lines = () if self._index else self.empty_lines()
        if self.line_count != count:
            self._drawn.clear()
            self.count_changed()
            self.refresh()
        if self.stays_on_top and self.cursor:
            self.cursor = 0
        elif not self.stays_on_top:
            self._keep_cursor_on(key, before)
        self.show_marks()

    def show_marks(self) -> None:
        """The same when the order of the targets has not changed."""
        top = self.scroll_offset.y
        in_view = {index: self.line_at(index) for index in range(top, min(top + self.size.height, self.line_count))}
        for index, line in in_view.items():
            if self._drawn.get(index) != line:
                self.refresh_line(index)
        self._drawn = in_view  # what leaves the view is drawn without this when it comes back

    @property
    def line_count(self) -> int:
        return len(self._index) or len(self._lines)

    def line_at(self, index: int) -> Line:
        if not self._index:
            return self._lines[index]
        number, row = self._index[index]
        return self.rows_of(number)[row]

    def key_at(self, index: int) -> Hashable:
        return self._index[index][0] if self._index else self._lines[index].key

    @property
    def number(self) -> int | None:
        key = self.key
        return key if isinstance(key, int) and key in self.model.states else None


class TargetList(ModelList):
    BINDINGS = bindings("mark-target", "mark-all", "sort", "edit", "remove", "test")

    def __init__(self, model: TargetModel, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(model, Sort.NAME, id=id)

    def rows_of(self, number: int) -> Sequence[Line]:
        model = self.model
        marked = {number} if model.is_marked(number) else ()
        return target_rows({number: model.states[number]}, model.current, self.columns, marked)

    def height_of(self, number: int) -> int:
        return 1 if self.model.states[number].error is None else 2

    def empty_lines(self) -> Sequence[Line]:
        return no_target(self.columns, filtered=bool(self.model.states))

    def show_marks(self) -> None:
        super().show_marks()
        self.titled(self._title(), self._subtitle_of_sort() or self._unsaved())

    def _title(self) -> str:
        count, marked = len(self.model.states), self.model.marked_count
        of = f"{len(self.shown):,} of {count:,}" if self.where is not None else f"{count:,}" if count > 1 else ""
        marks = f" ({marked:,} marked)" if marked else ""
        return " ".join(filter(None, ("1 Targets", of))) + marks

    def _subtitle_of_sort(self) -> str:
        sort = "" if self.sort is Sort.NAME else f"by {self.sort}"
        return ", ".join(filter(None, (self.words, sort)))

    def _unsaved(self) -> str:
        model = self.model
        if model.state is None or model.state.saved:
            return ""
        key = key_of("edit")
        text = f"unsaved: {key} saves it"
        return text if len(text) <= self.subtitle_room else f"unsaved ({key})"

    def select_at_cursor(self) -> bool:
        """Make the target under the cursor the current one; returns whether it is another one."""
        number, model = self.number, self.model
        if number is None or number == model.current:
            return False
        model.current = number
        return True
