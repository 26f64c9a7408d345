"""What screens share that one can look for something on: a line to type it in, and the way back out of it."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.widget import Widget

from tui.console.screens.base import ConsoleScreen, Result
from tui.console.widgets.entry_line import EntryLine

TYPING: Final = ("keep", "clear")
"""What a footer names while something is typed; nothing else can be done then."""


class EntryScreen(ConsoleScreen[Result]):
    """A screen where esc first takes back what is looked for, and only then goes back."""

    PLACEHOLDER: ClassVar[str] = ""
    _typed_from: Widget | None = None

    @property
    def is_typing(self) -> bool:
        return bool(self.query(EntryLine))

    async def open_entry(self, value: str) -> None:
        if not self.is_typing:
            self._typed_from = self.focused
            self.add_class("-typing")
            await self.mount(EntryLine(value, self.PLACEHOLDER), before="#message")
            # At once: what is typed next is for this line already.
            self.set_focus(self.query_one("#typed"), scroll_visible=False)
            self.refresh_footer()

    async def close_entry(self) -> None:
        await self.query(EntryLine).remove()
        self.remove_class("-typing")
        if self._typed_from is not None:
            self._typed_from.focus()
        self.refresh_footer()

    def can(self, action_id: str) -> bool:
        return (action_id in {"keep", "clear"}) == self.is_typing and super().can(action_id)

    def take_back(self) -> bool:
        """Look for nothing any more; False where nothing is looked for."""
        raise NotImplementedError

    def leave(self) -> None:
        self.dismiss()

    def action_back(self) -> None:
        typing = self.is_typing
        if typing:
            self.call_later(self.close_entry)
            self.say("")
        if not self.take_back() and not typing:
            self.leave()

    def action_quit(self) -> None:
        self.leave()
