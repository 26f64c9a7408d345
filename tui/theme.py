"""How the console is coloured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import Theme

from tui.views.line import Role

DBTEND: Final = Theme(
    name="dbtend",
    primary="#6cb6c8",
    secondary="#8a9bb0",
    accent="#e0b464",
    success="#83b98a",
    warning="#e0b464",
    error="#e0787a",
    foreground="#ced6de",
    background="#14181d",
    surface="#14181d",
    panel="#1f262e",
    dark=True,
    variables={
        "dim": "#7f8b98",
        "line": "#3a4450",
        "cursor": "#2b3b49",
        "cursor-blurred": "#1f2830",
        "label": "#d99adf",
    },
)
ANSI_VARIABLES: Final = {
    "dim": "ansi_default",
    "line": "ansi_default",
    "cursor": "ansi_default",
    "cursor-blurred": "ansi_default",
    "label": "ansi_magenta",
}
"""The same variables for the themes that take their colours from the terminal."""
ANSI_THEMES: Final = ("ansi-dark", "ansi-light")

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
"""For each role the variable of its colour, and whether it is bold."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How roles and the cursor look. Component classes would say the same, at a quarter of the start-up time."""

    roles: Mapping[Role, Style]
    cursor: Style
    """On the line under the cursor of the focused list."""
    cursor_blurred: Style
    """The same where the list is not focused."""


def looks(variables: Mapping[str, str], *, ansi: bool) -> Looks:
    """`ansi`: colours come from the terminal, so the cursor must be seen without any."""
    roles = {
        role: Style(color=Color.parse(variables[name]).rich_color, bold=bold or None)
        for role, (name, bold) in _ROLES.items()
    }
    if ansi:
        return Looks(roles, Style(reverse=True), Style(bold=True))
    cursor, blurred = (Style(bgcolor=Color.parse(variables[v]).rich_color) for v in ("cursor", "cursor-blurred"))
    return Looks(roles, cursor, blurred)


_LOOKS: Final[dict[str, Looks]] = {}


def looks_of(app: App[Any]) -> Looks:
    """The looks of the app's theme."""
    if app.theme not in _LOOKS:
        _LOOKS[app.theme] = looks(app.theme_variables, ansi=app.native_ansi_color)
    return _LOOKS[app.theme]


def suitable_theme(environ: Mapping[str, str]) -> str:
    """Our own theme where the terminal shows all colours, else its own sixteen, which always fit.

    With NO_COLOR too: Textual takes the colours out of an ANSI theme, but only greys another one.
    """
    shows_all = environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}
    return DBTEND.name if shows_all and "NO_COLOR" not in environ else "ansi-dark"
