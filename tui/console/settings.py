"""Checks and applies the theme and keys of the config file."""

from __future__ import annotations

import os
from pathlib import Path

from engine.config.model import ConsoleConfig
from engine.domain.errors import ConfigError, UsageError
from tui.console import keymap
from tui.console.theme import suitable_theme


def apply_console_settings(config: ConsoleConfig, file: Path) -> None:
    """Apply the keys. Raises ConfigError for an unknown theme or invalid keys."""
    try:
        keymap.use(config.keys)
        suitable_theme(config.theme, os.environ)
    except UsageError as error:
        from engine.config.typed_table import key_location  # imported when needed: it reads TOML

        place = key_location(file, *error.what.split("."))
        raise ConfigError(place, f"{error.what} {error.why}", error.hint) from None
