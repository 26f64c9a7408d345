"""Keys that are typed ahead: each is handled only when what the one before it has begun is there.

Without that, `/` and the letters right after it, which a slow line delivers together, would all reach the same pane:
letters for the filter would be commands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from textual import events
from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

PATIENCE: Final = 1.0
"""Seconds after which the next key is handled even if the one before it is not done."""


class KeyHandled(Message):
    """Follows a key through the message queues. When it arrives, the key has been handled."""

    def __init__(self, number: int, screen: Screen[Any]) -> None:
        """`screen`: the one on which the key was pressed."""
        super().__init__()
        self.number, self.screen = number, screen


class KeyQueue:
    """Passes keys on one at a time."""

    def __init__(
        self, app: App[Any], accepts: Callable[[events.Key], bool], handle: Callable[[events.Key], Awaitable[None]]
    ) -> None:
        """
        Args:
            accepts: whether a key may be handled now; others are dropped.
            handle: what the app does with a key.
        """
        self._app, self._accepts, self._handle = app, accepts, handle
        self._keys: deque[events.Key] = deque()
        self._key_number = 0
        self._patience: Timer | None = None
        self.is_busy = False
        """Whether a key is being handled."""

    async def put(self, key: events.Key) -> None:
        self._keys.append(key)
        if not self.is_busy:
            await self._handle_next()

    async def _handle_next(self) -> None:
        if self._patience is not None:
            self._patience.stop()
        while self._keys and not self._accepts(self._keys[0]):
            self._keys.popleft()
        self.is_busy = bool(self._keys)
        if not self._keys:
            return
        self._key_number += 1
        self._patience = self._app.set_timer(PATIENCE, self._handle_next)
        key, screen = self._keys.popleft(), self._app.screen
        target: Widget = self._app.focused or screen
        await self._handle(key)
        self._follow(target, screen)

    def _follow(self, target: Widget, screen: Screen[Any]) -> None:
        handled = KeyHandled(self._key_number, screen)
        if not target.post_message(handled):
            self._app.post_message(handled)

    async def key_handled(self, message: KeyHandled) -> None:
        """To be called by the app when the message arrives."""
        message.stop()
        if message.number != self._key_number:
            return
        screen = self._app.screen
        if screen is not message.screen:
            self._follow(screen, screen)  # the new screen must be drawn first, and its field get the focus
        else:
            await self._handle_next()
