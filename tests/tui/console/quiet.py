"""When the console has nothing left to do: known from its event loop, where Textual would watch the processor."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakSet

from textual._context import active_app
from textual.app import App
from textual.screen import Screen


async def until_idle(min_sleep: float = 0, max_sleep: float = 0) -> None:
    """Wait until no task can go on by itself.

    It stands in for `textual._wait.wait_for_idle`, which sleeps until the processor has been idle for a while: that is
    slow, and it takes a busy machine for a busy console. What waits for a thread or a clock is not waited for.
    """
    loop, app = asyncio.get_running_loop(), active_app.get()
    while True:
        await asyncio.sleep(0)
        if not loop._ready and not _go_on(app):  # type: ignore[attr-defined]
            return


draw = Screen._compositor_refresh


def draw_later(screen: Screen[Any]) -> None:
    """Stands in for `Screen._compositor_refresh`: it is drawn once, by `draw_what_has_changed`.

    The compositor keeps which regions have changed.
    """
    screen._dirty_widgets.clear()
    _DUE.add(screen)


_DUE: WeakSet[Screen[Any]] = WeakSet()


def draw_what_has_changed(app: App[Any]) -> bool:
    """Whether there was anything. A drawing may begin something: rows that come into view are read."""
    due = [screen for screen in app.screen_stack if screen in _DUE]
    for screen in due:
        _DUE.discard(screen)
        draw(screen)
    return bool(due)


def _go_on(app: App[Any]) -> bool:
    """Do now what would be done at the next frame; whether there was anything."""
    if app._resize_timer is not None:
        app._check_resize()
        return True
    if app._batch_count:
        return False
    screens = [
        screen for screen in app.screen_stack if screen.is_running and screen.is_current and _has_changed(screen)
    ]
    for screen in screens:  # from the back to the front, as what changes behind a question is drawn on it
        screen._on_timer_update()
    return bool(screens)


def _has_changed(screen: Screen[Any]) -> bool:
    return (screen.is_running and screen.is_current) and bool(
        screen._layout_required
        or screen._scroll_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
        # Textual leaves it set on a screen behind another one.
        or (screen._repaint_required and screen.is_active)
    )
