"""Lists of targets: what they show of a model, and the keys for what can be done with one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.geometry import Region

from tui.console.actions import bindings
from tui.console.keymap import key_of
from tui.console.target_model import TargetModel
from tui.console.views.fleet import Columns, columns, fleet_row, headings, longest_name
from tui.console.views.hints import no_target
from tui.console.views.line import MARK, Line
from tui.console.views.lists import target_rows
from tui.console.views.target_order import Sort, TargetOrder
from tui.console.widgets.item_list import ItemList

if TYPE_CHECKING:
    from engine.fleet.filters import FleetFilter


class ModelList(ItemList):
    """Shows the targets of a model, sorted and filtered. Makes only the lines that are in view.

    A wide one is a table with headings. The screen carries out its actions.
    """

    IS_TABLE_FROM: ClassVar[int] = 0
    """Cells from which on it is a table."""
    SHOWS_CURRENT: ClassVar[bool] = False
    """Whether a table shows which target is the current one."""

    def __init__(self, model: TargetModel, sort: Sort, clock: Callable[[], int], *, id: str | None = None) -> None:  # noqa: A002
        """`clock`: microseconds."""
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
        self._clock = clock
        self._order = TargetOrder()
        self._columns = None if self.IS_TABLE_FROM else Columns(0, {})
        """Those of the table; None: it is not wide enough for one."""
        self._heading = Line()
        self._names_version = -1
        self._names = 0
        """Cells of the longest name."""
        self._has_mysql = False
        self._has_groups = False
        self._index: list[tuple[int, int]] | None = None
        """For each line the number of its target, and which of its lines it is; None: each has one line."""
        self._drawn: dict[int, Line] = {}
        """The lines in view, as last checked."""

    @property
    def is_table(self) -> bool:
        return self._columns is not None

    @property
    def has_heading(self) -> bool:
        return self._columns is not None and bool(self.shown)

    def heading(self) -> Line:
        return self._heading

    def rows_of(self, number: int) -> Sequence[Line]:
        """The lines of a target."""
        if self._columns is None:
            return self.narrow_rows_of(number)
        state, is_marked = self.model.states[number], self.model.is_marked(number)
        is_current = self.SHOWS_CURRENT and number == self.model.current
        row = fleet_row(number, state, self._columns, is_marked=is_marked, is_current=is_current, now=self._clock())
        return [row]

    def narrow_rows_of(self, number: int) -> Sequence[Line]:
        """The rows of a target in a list that is no table: two for a target that cannot be opened."""
        raise NotImplementedError

    def clear_filter(self) -> bool:
        """Let it show all targets from now on; returns whether there was a filter."""
        was_filtered = self.where is not None
        self.where, self.words = None, ""
        return was_filtered

    def show_model(self) -> None:
        """Show the current state of the model. Repaints only changed lines."""
        key, before, count, had_heading = self.key, self.cursor, self.line_count, self.has_heading
        self._choose_columns()
        self.shown = self._order.shown(self.model.states, self.sort, self.where, now=self._clock())
        self._index = None
        if self._columns is None and (failed := self.model.failed):
            self._index = [(number, row) for number in self.shown for row in range(2 if number in failed else 1)]
        self._lines = () if self.shown else no_target(self.columns, filtered=bool(self.model.states))
        if (self.line_count, self.has_heading) != (count, had_heading):
            self._drawn.clear()
            self.count_changed()
            self.refresh()
        if self.stays_on_top and self.cursor:
            self.cursor = 0
        elif not self.stays_on_top:
            self._keep_cursor_on(key, before)
        self.show_marks()

    def _choose_columns(self) -> None:
        if self.columns < self.IS_TABLE_FROM:
            self._columns = None
            return
        model = self.model
        if self._names_version != model.names_version:
            self._names_version, states = model.names_version, model.states.values()
            self._names = longest_name(states)
            self._has_groups = any(state.entry.groups for state in states)
            self._has_mysql = any(state.entry.url.startswith(("mysql:", "mariadb:")) for state in states)
        found = {"groups": self._has_groups, "next": model.has_schedules}
        without = [name for name, has in found.items() if not has]
        self._columns = columns(self._names, self.columns, has_mysql=self._has_mysql, without=without)
        heading = headings(self._columns, self.sort)
        if heading != self._heading:
            self._heading = heading
            self.refresh(Region(0, 0, self.size.width, 1))

    def show_marks(self) -> None:
        """Show the marks again, when the order of the targets has not changed."""
        top = self.scroll_offset.y
        in_view = {index: self.line_at(index) for index in range(top, min(top + self.size.height, self.line_count))}
        for index, line in in_view.items():
            if self._drawn.get(index) != line:
                self.refresh_line(index)
        self._drawn = in_view  # what leaves the view is drawn without this when it comes back

    @property
    def line_count(self) -> int:
        return len(self.shown if self._index is None else self._index) or len(self._lines)

    def line_at(self, index: int) -> Line:
        if not self.shown:
            return self._lines[index]
        number, row = (self.shown[index], 0) if self._index is None else self._index[index]
        return self.rows_of(number)[row]

    def key_at(self, index: int) -> Hashable:
        if not self.shown:
            return self._lines[index].key
        return self.shown[index] if self._index is None else self._index[index][0]

    def _line_of(self, key: Hashable) -> int | None:
        if self._index is not None or not self.shown:
            return super()._line_of(key)
        try:
            return self.shown.index(key)  # type: ignore[arg-type]
        except ValueError:
            return None

    @property
    def number(self) -> int | None:
        key = self.key
        return key if isinstance(key, int) and key in self.model.states else None


class TargetList(ModelList):
    BINDINGS = bindings("mark-target", "mark-all", "sort", "edit", "remove", "test")
    IS_TABLE_FROM = 76
    SHOWS_CURRENT = True

    def __init__(
        self,
        model: TargetModel,
        clock: Callable[[], int],
        *,
        read_only: bool,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """`read_only`: no target can be saved here."""
        super().__init__(model, Sort.NAME, clock, id=id)
        self._read_only = read_only

    def narrow_rows_of(self, number: int) -> Sequence[Line]:
        model = self.model
        marked = {number} if model.is_marked(number) else ()
        return target_rows({number: model.states[number]}, model.current, self.columns, marked)

    def show_marks(self) -> None:
        super().show_marks()
        self.titled(self._title(), self._subtitle_of_sort() or self._unsaved())

    def _title(self) -> str:
        count, marked = len(self.model.states), self.model.marked_count
        of = f"{len(self.shown):,} of {count:,}" if self.where is not None else f"{count:,}" if count > 1 else ""
        title = " ".join(filter(None, ("1 Targets", of)))
        marks = f", {marked:,} marked"
        if not marked:
            return title
        return f"{title}{marks}" if len(title + marks) <= self.subtitle_room else f"{title} {MARK}{marked:,}"

    def _subtitle_of_sort(self) -> str:
        sort = "" if self.sort is Sort.NAME else f"by {self.sort}"
        return ", ".join(filter(None, (self.words, sort)))

    def _unsaved(self) -> str:
        model = self.model
        if self._read_only or model.state is None or model.state.saved:
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
