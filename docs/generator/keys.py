"""The keys of the console, as the table of actions has them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Final

from docs.generator.tables import Block, code, codes, table
from tui.console.actions import ACTIONS
from tui.console.keymap import shown_keys


def keys() -> str:
    parts = []
    for place, actions in groupby(ACTIONS, key=lambda action: action.place):
        rows = ([codes(shown_keys(action.id)), action.help, code(action.id)] for action in actions)
        parts.append(f"## {place}\n\n{table(['keys', 'what they do', 'name in the config file'], rows)}")
    return "\n\n".join(parts)


BLOCKS: Final[Mapping[str, Block]] = {"keys": keys}
