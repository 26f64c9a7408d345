"""How the console is coloured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from textual.theme import Theme

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
    variables={"dim": "#7f8b98", "line": "#3a4450", "cursor": "#2b3b49", "cursor-blurred": "#1f2830"},
)
ANSI_VARIABLES: Final = {
    "dim": "ansi_default",
    "line": "ansi_default",
    "cursor": "ansi_default",
    "cursor-blurred": "ansi_default",
}
"""The same variables for the themes that take their colours from the terminal."""


ANSI_THEMES: Final = ("ansi-dark", "ansi-light")


def suitable_theme(environ: Mapping[str, str]) -> str:
    """Our own theme where the terminal shows all colours, else its own sixteen, which always fit.

    With NO_COLOR too: Textual takes the colours out of an ANSI theme, but only greys another one.
    """
    shows_all = environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}
    return DBTEND.name if shows_all and "NO_COLOR" not in environ else "ansi-dark"
