"""`dbtend completion SHELL`: the completion script of a shell, made from the parser of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, Final

import shtab

from engine import Status
from engine.domain.errors import UsageError
from tui.commands import output
from tui.commands.arguments import whole_parser
from tui.commands.settings import Settings
from tui.presentation import typed_values
from tui.presentation.exit_codes import OK

SHELLS: Final = ("bash", "zsh", "fish")
_FILES: Final = frozenset({"PATH", "TARGET"})
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "OPERATION": typed_values.OPERATIONS,
    "STATUS": tuple(Status),
    "SHELL": SHELLS,
}
# The first word is a command or a target: shtab offers either commands or files.
_FIRST_WORD: Final = {
    "bash": '_shtab_dbtend_pos_0_choices=("${_shtab_dbtend_pos_1_choices[@]}")',
    "zsh": r"""_shtab_dbtend_options=("${(@)_shtab_dbtend_options:#\(\*\)*}")
functions[_shtab_dbtend_by_command]=$functions[_shtab_dbtend]
_shtab_dbtend() {
  _shtab_dbtend_by_command "$@"
  (( compstate[nmatches] )) || _files
}""",
}


def completion(args: argparse.Namespace, _: Settings) -> int:
    output.write(script(_shell(args.words)))
    return OK


def script(shell: str) -> str:
    """What `shell` has to read, so that it completes dbtend."""
    parser = whole_parser()
    for action in _actions(parser):
        _say_what_it_takes(action)
    return str(shtab.complete(parser, shell, preamble=_FIRST_WORD.get(shell, ""))) + "\n"


def _shell(words: list[str]) -> str:
    known = f"choose from {', '.join(SHELLS)}"
    if not words:
        raise UsageError("dbtend completion", "needs the name of a shell", known)
    if words[0] not in SHELLS:
        raise UsageError(repr(words[0]), "is no shell that dbtend has completions for", known)
    if len(words) > 1:
        raise UsageError(repr(words[1]), "dbtend completion takes one shell", known)
    return words[0]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _say_what_it_takes(action: Any) -> None:
    """An action's metavar says what its values are: files, or one of several words."""
    metavar = action.metavar or ""
    if metavar in _FILES:
        action.complete = shtab.FILE
    elif metavar == "DIR":
        action.complete = shtab.DIRECTORY
    elif metavar in _CHOICES:
        action.choices = _CHOICES[metavar]
    elif "|" in metavar and metavar.islower():
        action.choices = tuple(metavar.split("|"))
