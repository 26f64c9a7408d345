"""The base of screens with a filter or a search: a line to type it in, and esc to clear it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.widget import Widget

from engine.domain.lazy_import import lazy
from tui.console.console_screen import ConsoleScreen, Result
from tui.console.views.hints import unmark_question, unmarked

if TYPE_CHECKING:
    from textual import events
    from textual.widgets import Input

    from tui.console.widgets import entry_line
else:
    entry_line = lazy("tui.console.widgets.entry_line", "the first screen does without it")

TYPING: Final = ("keep", "clear")
"""Actions of the footer while text is typed."""


class EntryScreen(ConsoleScreen[Result]):
    """A screen where esc first clears the search, then the marks (pressed twice), and then goes back."""

    PLACEHOLDER: ClassVar[str] = ""
    _typed_from: Widget | None = None
    _asks_to_unmark = _may_unmark = False
    """Whether this key, and the one before it, asked whether to remove the marks."""

    @property
    def is_typing(self) -> bool:
        # No query: the footer asks for each of its actions.
        return any(child.id == "entry" for child in self.children)

    async def open_entry(self, value: str) -> None:
        if not self.is_typing:
            self._typed_from = self.focused
            self.add_class("-typing")
            await self.mount(entry_line.EntryLine(value, self.PLACEHOLDER), before="#message")
            # Focus at once: the next key that is typed is for this line.
            self.set_focus(self.query_one("#typed"), scroll_visible=False)
            self.refresh_footer()

    async def open_filter(self, words: str) -> None:
        """Open the entry with the words that are kept; what is typed next is another word."""
        await self.open_entry(f"{words} " if words else "")

    async def close_entry(self) -> None:
        await self.query("#entry").remove()
        self.remove_class("-typing")
        if self._typed_from is not None:
            self._typed_from.focus()
        self.refresh_footer()

    def can(self, action_id: str) -> bool:
        return (action_id in {"keep", "clear"}) == self.is_typing and super().can(action_id)

    def search_for(self, text: str, *, is_done: bool) -> bool:
        """Search for, or filter by, the typed text; returns whether it is valid. `is_done`: enter was pressed."""
        raise NotImplementedError

    def on_input_changed(self, message: Input.Changed) -> None:
        self.search_for(message.value, is_done=False)

    async def on_input_submitted(self, message: Input.Submitted) -> None:
        if self.search_for(message.value, is_done=True):
            await self.close_entry()

    def clear_search(self) -> bool:
        """Clear the search; returns whether there was one."""
        raise NotImplementedError

    @property
    def marks(self) -> tuple[int, str]:
        """How many are marked, and what they are: `target` or `job`."""
        return 0, ""

    def unmark(self) -> None:
        """Remove `marks`."""

    def leave(self) -> None:
        self.dismiss()

    def on_key(self, event: events.Key) -> None:
        self._may_unmark, self._asks_to_unmark = self._asks_to_unmark, False

    def action_back(self) -> None:
        typing = self.is_typing
        if typing:
            self.call_later(self.close_entry)
            self.say("")
        if self.clear_search() or typing:
            return
        if not self.marks[0]:
            self.leave()
        elif self._may_unmark:
            self.say(unmarked(*self.marks))
            self.unmark()
        else:
            self._asks_to_unmark = True
            self.say(unmark_question(*self.marks))

    def action_quit(self) -> None:
        self.leave()
