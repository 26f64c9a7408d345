"""The completion script of a shell, made from the parser of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, Final

import shtab

from engine import Status
from tui.commands.arguments import whole_parser
from tui.presentation import typed_values

SHELLS: Final = ("bash", "zsh", "fish")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "OPERATION": typed_values.OPERATIONS,
    "STATUS": tuple(Status),
    "SHELL": SHELLS,
    "ACTION": ("init", "check", "copy"),
}
# A target is a file or a name from the config file. What bash calls `..._file_...` it completes as file names.
_TARGET: Final = {
    "bash": "_dbtend_file_or_name",
    "zsh": "_dbtend_file_or_name",
    "fish": "(__fish_complete_path (commandline -ct)) (dbtend completion --targets 2>/dev/null)",
}
# The first word is a command or a target: shtab offers either the one or the other.
_PREAMBLE: Final = {
    "bash": r"""_shtab_dbtend_pos_0_choices=("${_shtab_dbtend_pos_1_choices[@]}")
_dbtend_file_or_name() {
  compgen -f -- "$1"
  local name
  while IFS= read -r name; do
    [[ $name == "$1"* ]] && echo "$name"
  done < <(dbtend completion --targets 2>/dev/null)
}""",
    "zsh": r"""_dbtend_file_or_name() {
  local -a names=(${(f)"$(dbtend completion --targets 2>/dev/null)"})
  _alternative 'files:file:_files' 'names:target:compadd -a names'
}
functions[_dbtend_command]=$functions[_shtab_dbtend_commands]
_shtab_dbtend_commands() {
  _alternative 'commands:command:_dbtend_command' 'targets:target:_dbtend_file_or_name'
}
_shtab_dbtend_options=("${(@)_shtab_dbtend_options:#\(\*\)*}")
functions[_shtab_dbtend_by_command]=$functions[_shtab_dbtend]
_shtab_dbtend() {
  _shtab_dbtend_by_command "$@"
  (( compstate[nmatches] )) || _dbtend_file_or_name
}""",
}


def completion_script(shell: str) -> str:
    """What `shell` has to read, so that it completes dbtend."""
    parser = whole_parser()
    for action in _actions(parser):
        _set_choices(action)
    return str(shtab.complete(parser, shell, preamble=_PREAMBLE.get(shell, ""))) + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _set_choices(action: Any) -> None:
    """An action's metavar says what its values are: targets, files, or one of several words."""
    metavar = action.metavar or ""
    if metavar == "TARGET":
        action.complete = _TARGET
    elif metavar in {"PATH", "STORE"}:
        action.complete = shtab.FILE
    elif metavar == "DIR":
        action.complete = shtab.DIRECTORY
    elif metavar in _CHOICES:
        action.choices = _CHOICES[metavar]
    elif "|" in metavar and metavar.islower():
        action.choices = tuple(metavar.split("|"))
