"""Keys that are typed ahead: each is taken only when what the one before it has begun is there.

Without that a `/` and what is typed right after it, which a slow line brings at once, would reach the same pane:
letters meant for the filter would be commands.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from textual import events, on
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from tui.console.themed_app import ThemedApp

PATIENCE: Final = 1.0
"""Seconds after which the next key is taken, whatever becomes of the one before."""


class KeyHandled(Message):
    """Goes the way of a key, behind it: where it arrives, the key has been dealt with."""

    def __init__(self, number: int, screen: Screen[Any]) -> None:
        """`screen`: the one on which the key was pressed."""
        super().__init__()
        self.number, self.screen = number, screen


class KeyQueue(ThemedApp[None]):
    """An app that takes one key at a time."""

    def __init__(self, wanted_theme: str | None) -> None:
        super().__init__(wanted_theme)
        self._keys: deque[events.Key] = deque()
        self._key_number = 0
        self._is_handling_a_key = False
        self._impatience: Timer | None = None

    async def takes(self, event: events.Key) -> bool:
        """Whether this key is for the screen."""
        return True

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        self._keys.append(event)
        if not self._is_handling_a_key:
            await self._take_a_key()

    async def _take_a_key(self) -> None:
        if self._impatience is not None:
            self._impatience.stop()
        while self._keys and not await self.takes(self._keys[0]):
            self._keys.popleft()
        self._is_handling_a_key = bool(self._keys)
        if not self._keys:
            return
        self._key_number += 1
        self._impatience = self.set_timer(PATIENCE, self._take_a_key)
        event, screen = self._keys.popleft(), self.screen
        target: Widget = self.focused or screen
        await super().on_event(event)
        self._follow(target, screen)

    def _follow(self, target: Widget, screen: Screen[Any]) -> None:
        handled = KeyHandled(self._key_number, screen)
        if not target.post_message(handled):
            self.post_message(handled)

    @on(KeyHandled)
    async def _key_was_handled(self, message: KeyHandled) -> None:
        message.stop()
        if message.number != self._key_number:
            return
        if self.screen is not message.screen:
            self._follow(self.screen, self.screen)  # which has first to be drawn, and its field to have the focus
        else:
            await self._take_a_key()
