"""The keys of each action: those of the action table, or those of the config file.

One process is one console, so there is one keymap, chosen before the first screen is drawn.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from textual.keys import KEY_NAME_REPLACEMENTS, Keys

from engine.domain.errors import UsageError
from engine.domain.spelling import closest
from tui.console.actions import ACTIONS, BY_ID, Action, may_meet

SHOWN: Final = {
    "plus": "+",
    "minus": "-",
    "colon": ":",
    "question_mark": "?",
    "slash": "/",
    "asterisk": "*",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
}
"""Keys that are printed differently from their name."""
_NAMES: Final = {shown: name for name, shown in SHOWN.items()}
_KNOWN: Final = frozenset(key.value for key in Keys) | {"escape", "tab", "enter", "space"}
_EATEN: Final = {
    "ctrl+s": "stops the output of many terminals",
    "ctrl+q": "resumes the output of many terminals",
    "ctrl+i": "is tab to a terminal",
    "ctrl+m": "is enter to a terminal",
    "ctrl+j": "is enter to many terminals",
    "ctrl+h": "is backspace to many terminals",
    "ctrl+c": "always leaves the console",
}
"""Keys that the terminal keeps, or sends as another key."""

KeySettings = Mapping[str, str]
"""From the id of an action to its keys, comma-separated: `{"retry": "R", "help": "?,f1"}`."""

_custom: dict[str, tuple[str, ...]] = {}


def use(settings: KeySettings) -> None:
    """Give these actions these keys, and all others those of the table.

    Raises UsageError for an unknown action or key, and for a key with two meanings.
    """
    remapped = {name: tuple(_keys(name, words)) for name, words in settings.items()}
    _refuse_conflicts(remapped)
    _custom.clear()
    _custom.update(remapped)


def remapped() -> dict[str, str]:
    """The differences from the table, in Textual's format."""
    return {name: ",".join(keys) for name, keys in _custom.items()}


def keys_of(action_id: str) -> tuple[str, ...]:
    return _keys_by(BY_ID[action_id], _custom)


def shown_keys(action_id: str) -> list[str]:
    """All keys of an action, as printed: `esc`, `?`, `↓`."""
    return [SHOWN.get(key, key) for key in keys_of(action_id)]


def key_of(action_id: str) -> str:
    """The first key of an action, as printed."""
    return shown_keys(action_id)[0]


def with_keys(sentence: str) -> str:
    """Replaces action ids in braces by their keys: `Press {retry} to try again.`"""
    return sentence.format_map(_Shown())


class _Shown(dict[str, str]):
    def __missing__(self, action_id: str) -> str:
        return key_of(action_id)


def _keys_by(action: Action, custom: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return custom.get(action.same_key_as or action.id, tuple(action.keys.split(",")))


def _keys(action_id: str, words: str) -> Iterator[str]:
    what = f"console.keys.{action_id}"
    action = BY_ID.get(action_id)
    if action is None:
        close = closest(action_id, BY_ID)
        hint = f"did you mean {close}?" if close else "the page on keys of the documentation lists them all"
        raise UsageError(what, "no such action", hint)
    if action.same_key_as:
        raise UsageError(what, f"shares the key of {action.same_key_as}", f"give {action.same_key_as} another key")
    if action_id == "leave-console":
        raise UsageError(what, "cannot have another key", "ctrl+c always quits the console")
    for word in words.split(",") if words != "," else [words]:
        yield _key(what, word.strip())


def _key(what: str, word: str) -> str:
    """The Textual name of a key like `R`, `?`, `ctrl+r`, `esc`, `f5`. Raises UsageError."""
    *modifiers, last = word.split("+") if word not in {"+", ""} else [word]
    key = _NAMES.get(last, last)
    if len(last) == 1 and last.isprintable() and not last.isalnum() and last not in _NAMES:
        name = unicodedata.name(last).lower().replace("-", "_").replace(" ", "_")
        key = KEY_NAME_REPLACEMENTS.get(name, name)
    whole = "+".join([*modifiers, key])
    if whole in _EATEN:
        raise UsageError(what, f"{word} {_EATEN[whole]}", "choose another key")
    is_one_character = len(last) == 1 and last.isprintable() and not last.isspace()
    if not (whole in _KNOWN or (not modifiers and is_one_character)):
        raise UsageError(what, f"unknown key {word!r}", "use a key such as R, ?, f5, space, esc or ctrl+r")
    return whole


def _refuse_conflicts(custom: Mapping[str, tuple[str, ...]]) -> None:
    for one, other in combinations([action for action in ACTIONS if not action.same_key_as], 2):
        if not (one.id in custom or other.id in custom) or not may_meet(one.place, other.place):
            continue
        shared = set(_keys_by(one, custom)) & set(_keys_by(other, custom))
        if shared:
            key = min(shared)
            mine, others = (one, other) if one.id in custom else (other, one)
            raise UsageError(
                f"console.keys.{mine.id}",
                f"{SHOWN.get(key, key)} is also the key of {others.id} ({others.help.lower()})",
                f"choose another key, or give {others.id} another key, too",
            )
