"""The colours of the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from tui.console.views.line import Role


def _theme(theme: Theme, **variables: str) -> Theme:
    """A theme whose surface is its background, and whose accent is its warning colour."""
    names = {variable.replace("_", "-"): colour for variable, colour in variables.items()}
    return replace(theme, surface=theme.background, accent=theme.warning, variables=names)


DBTEND: Final = _theme(
    Theme(
        "dbtend", primary="#6cb6c8", secondary="#8a9bb0", success="#83b98a", warning="#e0b464", error="#e0787a",
        foreground="#ced6de", background="#14181d", panel="#1f262e",
    ),
    dim="#7f8b98", line="#3a4450", cursor="#2b3b49", cursor_blurred="#1f2830", label="#d99adf",
)  # fmt: skip
LIGHT: Final = _theme(
    Theme(
        "dbtend-light", primary="#14657a", secondary="#4d5d70", success="#2c6b35", warning="#8a5a00", error="#b3272b",
        foreground="#1c232b", background="#fbfbf8", panel="#e6e8ea", dark=False,
    ),
    dim="#59636e", line="#b9c0c7", cursor="#cfe1e8", cursor_blurred="#e6ecef", label="#8a2c93",
)  # fmt: skip
HIGH_CONTRAST: Final = _theme(
    Theme(
        "high-contrast", primary="#5cf0ff", secondary="#d8d8d8", success="#6cff7a", warning="#ffe14d", error="#ff8080",
        foreground="#ffffff", background="#000000", panel="#262626",
    ),
    dim="#d8d8d8", line="#ffffff", cursor="#00306e", cursor_blurred="#3d3d3d", label="#ff9dff",
)  # fmt: skip
# Textual's own has blue, which cannot be read on the black of many terminals.
ANSI_DARK: Final = replace(BUILTIN_THEMES["ansi-dark"], primary="ansi_cyan")
ANSI_LIGHT: Final = BUILTIN_THEMES["ansi-light"]

THEMES: Final = {theme.name: theme for theme in (DBTEND, LIGHT, HIGH_CONTRAST, ANSI_DARK, ANSI_LIGHT)}
ANSI_THEMES: Final = (ANSI_DARK.name, ANSI_LIGHT.name)
"""Themes with the sixteen colours of the terminal."""

ANSI_VARIABLES: Final = {
    "dim": "ansi_default",
    "line": "ansi_default",
    "cursor": "ansi_default",
    "cursor-blurred": "ansi_default",
    "label": "ansi_magenta",
}
"""The variables for the themes that take their colours from the terminal."""

_ROLES: Final = {
    Role.TEXT: ("foreground", False),
    Role.DIM: ("dim", False),
    Role.STRONG: ("foreground", True),
    Role.HEADING: ("primary", True),
    Role.SQL: ("primary", False),
    Role.KEY: ("primary", True),
    Role.BAR: ("primary", False),
    Role.WARNING: ("warning", True),
    Role.LABEL: ("label", True),
    Role.PENDING: ("dim", False),
    Role.RUNNING: ("primary", True),
    Role.COMPLETED: ("success", False),
    Role.FAILED: ("error", True),
    Role.CANCELLED: ("warning", False),
    Role.SKIPPED: ("secondary", False),
}
"""The colour variable of each role, and whether it is bold."""


@frozen
class Appearance:
    """The styles of roles and cursor. Textual's component classes would cost a quarter of the start-up time."""

    roles: Mapping[Role, Style]
    cursor: Style
    """The cursor line of the focused list."""
    cursor_blurred: Style
    """The cursor line of other lists."""


def appearance(variables: Mapping[str, str], *, ansi: bool) -> Appearance:
    """`ansi`: colours come from the terminal, so the cursor is shown without any."""
    roles = {
        role: Style(color=Color.parse(variables[name]).rich_color, bold=bold or None)
        for role, (name, bold) in _ROLES.items()
    }
    if ansi:
        return Appearance(roles, Style(reverse=True), Style(bold=True))
    cursor, blurred = (Style(bgcolor=Color.parse(variables[v]).rich_color) for v in ("cursor", "cursor-blurred"))
    return Appearance(roles, cursor, blurred)


_APPEARANCES: Final[dict[str, Appearance]] = {}


def appearance_of(app: App[Any]) -> Appearance:
    """The appearance of the current theme; `theme_variables` would be outdated right after a change."""
    if app.theme not in _APPEARANCES:
        _APPEARANCES[app.theme] = appearance(app.get_css_variables(), ansi=app.current_theme.ansi)
    return _APPEARANCES[app.theme]


def offered_themes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The themes to choose from: with NO_COLOR only those of the terminal, as Textual greys the others."""
    return ANSI_THEMES if "NO_COLOR" in environ else tuple(THEMES)


def suitable_theme(wanted: str | None, environ: Mapping[str, str]) -> str:
    """The wanted theme if the terminal supports it, else `dbtend` on a terminal with all colours.

    Otherwise the theme of the terminal's sixteen colours. Raises UsageError for an unknown theme.
    """
    if wanted is not None and wanted not in THEMES:
        hint = f"use one of {', '.join(THEMES)}"
        raise UsageError("console.theme", f"unknown theme {wanted!r}", hint)
    if wanted in offered_themes(environ):
        return str(wanted)
    shows_all = environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}
    return DBTEND.name if shows_all and "NO_COLOR" not in environ else ANSI_DARK.name
