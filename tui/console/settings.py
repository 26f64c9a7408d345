"""What the config file says of the console, beyond what the engine knows of it: themes and keys."""

from __future__ import annotations

import os
from pathlib import Path

from engine.config.model import ConsoleConfig
from engine.domain.errors import ConfigError, UsageError
from tui.console import keymap
from tui.console.theme import suitable_theme


def take_on(config: ConsoleConfig, file: Path) -> None:
    """Use its keys from now on. Raises ConfigError for a theme or keys that cannot be."""
    try:
        keymap.use(config.keys)
        suitable_theme(config.theme, os.environ)
    except UsageError as error:
        from engine.config.table import place_of  # which reads TOML: here it is certain that there is some

        place = place_of(file, *error.what.split("."))
        raise ConfigError(place, f"{error.what} {error.why}", error.hint) from None
