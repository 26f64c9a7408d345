"""Checks and applies the theme and keys of the config file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.model import ConsoleConfig
from engine.domain.errors import ConfigError, UsageError
from engine.domain.lazy_import import lazy
from tui.console import keymap
from tui.console.theme import suitable_theme

if TYPE_CHECKING:
    from engine.config import typed_table
else:
    typed_table = lazy("engine.config.typed_table", "only an error in the config file needs it")


def apply_console_settings(config: ConsoleConfig, file: Path) -> None:
    """Apply the keys. Raises ConfigError for an unknown theme or invalid keys."""
    try:
        keymap.use(config.keys)
        suitable_theme(config.theme, os.environ)
    except UsageError as error:
        place = typed_table.key_location(file, *error.what.split("."))
        raise ConfigError(place, f"{error.what} {error.why}", error.hint) from None
