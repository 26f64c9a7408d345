"""The list of commands: type what you mean, enter does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from tui.console.actions import bindings
from tui.console.views.line import Role, line
from tui.console.views.palette import Command, matching, palette_rows, targets_named, with_targets
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.one_line import OneLine


class _Typed(Input):
    """Up and down are for the list below."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("next-command", "previous-command")


class PaletteScreen(ModalScreen[Command | None]):
    """Ends with the command to do, or None."""

    CSS_PATH = "../styles/palette.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("do-command", "close-commands")
    AUTO_FOCUS = "#typed"

    def __init__(self, known: Sequence[Command], targets: Mapping[int, str], typed: str) -> None:
        """
        Args:
            targets: the names of the targets to go to, by number.
            typed: what stands there from the beginning.
        """
        super().__init__()
        self._known, self._targets = known, targets
        self._found = self._matching(typed)
        self._list = ItemList(id="commands")
        self._list.can_focus = False
        self._typed = _Typed(typed, id="typed", compact=True, select_on_focus=False)
        self._typed.cursor_blink = False

    def compose(self) -> Iterator[Widget]:
        with Vertical(id="palette"):
            with Horizontal(id="line"):
                yield OneLine(lambda width: line((" :", Role.KEY)), id="colon")
                yield self._typed
            yield self._list

    @on(ItemList.Resized)
    def _lay_out(self) -> None:
        self._list.show(palette_rows(self._found, self._list.columns))

    @on(Input.Changed)
    def _look_up(self, message: Input.Changed) -> None:
        self._found = self._matching(message.value)
        self._lay_out()
        self._list.cursor = 0

    def _matching(self, typed: str) -> list[Command]:
        return with_targets(matching(self._known, typed), targets_named(self._targets, typed), typed)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_do()

    @on(events.Click, "#commands")
    def _clicked(self) -> None:
        self.action_do()

    def action_move(self, by: int) -> None:
        self._list.action_move(by)

    def action_do(self) -> None:
        chosen = [command for command in self._found if (command.kind, command.value) == self._list.key]
        if chosen:
            self.dismiss(chosen[0])

    def action_close(self) -> None:
        self.dismiss(None)
