"""Reading the command line: one parser per command, and errors that say what to type instead.

Words that are no options (targets, job ids) are collected whole, wherever they stand, so that options may
come before and after the command and between targets.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

from engine.domain.errors import UsageError
from engine.domain.spelling import closest
from tui.commands import output
from tui.commands.command_table import COMMANDS as COMMANDS
from tui.commands.command_table import CONSOLE, EVERYWHERE, TARGET_HELP, WORDS, Command
from tui.commands.options import add_options
from tui.presentation import typed_values


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stderr:
            super()._print_message(message, file)
        else:
            output.write(message)  # whose reader may be gone

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if arg_strings == ["--"] and action.nargs is None:
            return self._get_value(action, "--")  # a value, as in --object=--, which argparse would drop
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(self.prog, message, f"see {self.prog} --help")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line: `command` (None for the console), `words`, and the command's options.

    Raises UsageError, NotAvailableError; `--help` and `--version` raise SystemExit(0) after they printed.
    """
    for before, word in pairwise(["", *argv]):
        is_store = word.startswith("--store=") or before == "--store" or "store" in argv[:2]
        typed_values.refuse_password(word, names_store=is_store)
    dashes = argv.index("--") if "--" in argv else len(argv)
    options, literal = list(argv[:dashes]), list(argv[dashes + 1 :])
    at = _first_word(options)
    name = None if at is None else options[at]
    if at is None or name not in COMMANDS:
        name = None
    else:
        del options[at]
    parser = parser_of(name)
    if name is None and ("--help" in options or "-h" in options):
        output.line(overview())
        raise SystemExit(0)
    try:
        args, rest = parser.parse_known_args(options)
    except argparse.ArgumentError as error:
        raise _value_error(error, parser) from None
    for word in rest:
        if word.startswith("-") and word != "-":
            raise _unknown_option(word, name, parser)
    args.command, args.words = name, [*rest, *literal]
    return args


def parser_of(name: str | None) -> argparse.ArgumentParser:
    return _with_options(_Parser(**_description(name)), name)


def whole_parser() -> argparse.ArgumentParser:
    """One parser with every command as a subcommand: for completions and the man page, which read it.

    `parse` needs no such parser: each call builds that of its own command only.
    """
    parser = _with_options(_Parser(**_description(None)), None)
    _add_words(parser, CONSOLE)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        _add_words(_with_options(commands.add_parser(name, help=command.summary, **_description(name)), name), command)
    return parser


def _description(name: str | None) -> dict[str, Any]:
    command = CONSOLE if name is None else COMMANDS[name]
    prog = "dbtend" if name is None else f"dbtend {name}"
    return {
        "prog": prog,
        "usage": f"{prog} {command.usage}",
        "description": f"{command.summary[0].upper()}{command.summary[1:]}."
        + (f"\n\n{command.notes}" * bool(command.notes)),
        "epilog": f"Example: {command.example}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
        "exit_on_error": False,
    }


def _add_words(parser: argparse.ArgumentParser, command: Command) -> None:
    """The words that a command takes, as its usage names them: `TARGET...`, `JOB`."""
    if found := re.match(r"\[?([A-Z]+)", command.usage):
        parser.add_argument("words", metavar=found[1], nargs="*", help=WORDS[found[1]])


def _with_options(parser: argparse.ArgumentParser, name: str | None) -> argparse.ArgumentParser:
    command = CONSOLE if name is None else COMMANDS[name]
    add_options(parser, [*command.options, *EVERYWHERE])
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version")
    return parser


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        output.line(f"dbtend {typed_values.version()}")
        parser.exit()


def overview() -> str:
    """What `dbtend --help` shows."""
    commands = "\n".join(f"  {name:11} {command.summary}" for name, command in COMMANDS.items())
    return f"""\
dbtend: tend your databases. A terminal console for database maintenance.

usage: dbtend [TARGET...]            open the console
       dbtend COMMAND [OPTIONS]      without the console, for scripts and cron

{TARGET_HELP}

commands:
{commands}

options, before or after the command:
  --store STORE  another store of jobs: a path, or a URL (also DBTEND_STORE)
  --config PATH  another config file (also DBTEND_CONFIG)
  --read-only    show everything, change nothing (also DBTEND_READ_ONLY=1)
  --no-mouse     leave the mouse to the terminal (console)
  --debug        show the traceback of an error
  --version      show the version
  -h, --help     show this, or the help of a command: dbtend run --help

examples:
  dbtend demo                              look around, on a sample database
  dbtend sales.db                          open the console on a database
  dbtend plan sales.db                     see what maintenance would do
  dbtend run sales.db --op vacuum --json   run one operation from a script
  dbtend history --status failed           see what went wrong lately"""


def _first_word(options: Sequence[str]) -> int | None:
    """Where the command stands, if there is one: global options may come before it."""
    is_value = False
    for at, word in enumerate(options):
        if not is_value and not word.startswith("-"):
            return at
        is_value = not is_value and word in {"--store", "--config"}
    return None


def _value_error(error: argparse.ArgumentError, parser: argparse.ArgumentParser) -> UsageError:
    """The error in the value of an option. Its type in `typed_values` refuses a value of the wrong kind."""
    action = next(action for action in parser._actions if "/".join(action.option_strings) == error.argument_name)
    why = "takes no value" if action.nargs == 0 else "needs a value"
    return UsageError(action.option_strings[0], why, f"see {parser.prog} --help")


def _unknown_option(word: str, command: str | None, parser: argparse.ArgumentParser) -> UsageError:
    option = word.partition("=")[0]
    close = closest(option.lstrip("-"), (known.lstrip("-") for known in _options_of(parser)))
    hint = f"did you mean --{close}?" if close else f"see {parser.prog} --help"
    if command is None and any(option in _options_of(parser_of(name)) for name in COMMANDS):
        hint = "options of a command come after it, as in dbtend run sales.db --op vacuum"
    return UsageError(option, f"is no option of {parser.prog}", hint)


def _options_of(parser: argparse.ArgumentParser) -> list[str]:
    shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
    return [option for action in shown for option in action.option_strings if option.startswith("--")]
