"""What the command line takes: one parser per command, and errors that say what to type instead.

Words that are no options (targets, job ids) are collected whole, wherever they stand, so that options may
come before and after the command and between targets.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from engine.errors import NotAvailableError, UsageError
from tui.commands import values

NOT_YET: Final = frozenset({"advise", "pause", "resume", "prune"})
_NOT_YET_OPTIONS: Final = {
    "--time-limit": 1, "--until": 1, "--jobs": 1, "--detach": 0, "--needed": 0, "--stop-at-limit": 0, "--force": 0,
}  # fmt: skip
_TARGET_HELP: Final = "TARGET: a path, sqlite:PATH, or a name from the config file."


@dataclass(frozen=True, slots=True)
class Command:
    """One command: how it is called, and what it takes."""

    usage: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    example: str
    notes: str = ""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        found = re.match(r"argument (\S+?)(?:/\S+)?: (.*)", message, re.DOTALL)
        what, why = (found[1], found[2]) if found else (self.prog, message)
        if why.startswith("expected"):
            why = "needs a value"
        elif why.startswith("ignored explicit argument"):
            why = "takes no value"
        raise UsageError(what, why, f"see {self.prog} --help")


class _NotYet(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> NoReturn:
        raise not_available(option_string or "")


def not_available(what: str) -> NotAvailableError:
    return NotAvailableError(what, "is not available yet", "see dbtend --help for what is")


def _request_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--op", dest="operations", action="append", type=values.operation, metavar="OPERATION",
        help=f"one of {', '.join(values.OPERATIONS)}; repeatable, order kept (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--on-failure", type=values.on_failure, metavar="continue|stop", help="what follows a failed operation"
    )
    parser.add_argument("--lock-timeout", type=values.seconds, metavar="SECONDS", help="how long to wait for a lock")
    _workers_option(parser)
    for option, takes in _NOT_YET_OPTIONS.items():
        parser.add_argument(option, action=_NotYet, nargs=None if takes else 0, help=argparse.SUPPRESS)
    _json_option(parser)


def _workers_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=values.workers, metavar="N", help="how many targets at once")


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _console_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.add_argument("--read-only", action=_NotYet, nargs=0, help=argparse.SUPPRESS)


def _demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", type=values.path, metavar="DIR", help="build it in DIR and leave it there")
    _console_options(parser)
    _json_option(parser)


def _history_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", type=values.text, metavar="T", help="only this target")
    parser.add_argument("--status", type=values.status, metavar="S", help="only jobs that ended, or stand, like this")
    parser.add_argument(
        "--op", dest="operation", type=values.operation, metavar="OPERATION", help="with this operation"
    )
    parser.add_argument("--since", type=values.since, metavar="DATE|7d", help="created then or later")
    parser.add_argument("--until", type=values.until, metavar="DATE", help="created up to the end of then")
    parser.add_argument("--grep", type=values.text, metavar="TEXT", help="with an error that contains TEXT")
    parser.add_argument("--limit", type=values.limit, default=50, metavar="N", help="at most so many (default: 50)")
    parser.add_argument("--before", type=values.parent_id, metavar="JOB", help="older than this job: the next page")
    _json_option(parser)


def _retry_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--failed", action="store_true", help="only the operations that did not complete")
    _workers_option(parser)
    _json_option(parser)


def _worker_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--idle-exit", type=values.seconds, metavar="SECONDS", help="end after so long without work")
    _workers_option(parser)


COMMANDS: Final[Mapping[str, Command]] = {
    "demo": Command(
        "[--keep DIR]", "try everything on a sample database made for it", _demo_options, "dbtend demo",
        "Without a terminal on stdout, all operations run headless and the result is printed.",
    ),
    "plan": Command(
        "TARGET... [OPTIONS]", "show exactly what `run` would do, and change nothing", _request_options,
        "dbtend plan sales.db --op vacuum", _TARGET_HELP,
    ),
    "run": Command(
        "TARGET... [OPTIONS]", "run maintenance in the foreground and wait for it", _request_options,
        "dbtend run sales.db --op vacuum --op analyze",
        _TARGET_HELP + "\n\nCtrl-C asks for a safe cancel; a second one leaves at once.\n\n"
        "Exit codes: 0 all completed, 1 an operation failed, 2 wrong usage or no such target,\n"
        "3 something was skipped, 4 refused before it began, 130 cancelled.",
    ),
    "history": Command(
        "[FILTERS]", "all jobs that ever ran, newest first", _history_options,
        "dbtend history --status failed --since 7d",
    ),
    "show": Command(
        "JOB", "one job (42 or 42.2): steps, log, effects", _json_option, "dbtend show 42"
    ),
    "cancel": Command("JOB", "ask a job (42 or 42.2) to end safely", _json_option, "dbtend cancel 42"),
    "retry": Command(
        "JOB [--failed]", "run the request of an earlier job once more", _retry_options, "dbtend retry 42 --failed"
    ),
    "worker": Command(
        "[--idle-exit SECONDS]", "carry out jobs in the background until stopped", _worker_options,
        "dbtend worker --workers 4",
    ),
    "doctor": Command(
        "[TARGET...]", "versions, paths, permissions: what is wrong, and the fix", _json_option,
        "dbtend doctor sales.db",
    ),
}  # fmt: skip
CONSOLE: Final = Command("[TARGET...]", "open the console", _console_options, "dbtend sales.db")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line: `command` (None for the console), `words`, and the command's options.

    Raises UsageError, NotAvailableError; `--help` and `--version` raise SystemExit(0) after they printed.
    """
    dashes = argv.index("--") if "--" in argv else len(argv)
    options, literal = list(argv[:dashes]), list(argv[dashes + 1 :])
    at = _first_word(options)
    name = None if at is None else options[at]
    if name in NOT_YET:
        raise not_available(f"dbtend {name}")
    if at is None or name not in COMMANDS:
        name = None
    else:
        del options[at]
    parser = parser_of(name)
    if name is None and ("--help" in options or "-h" in options):
        print(overview())
        raise SystemExit(0)
    args, rest = parser.parse_known_args(options)
    for word in rest:
        if word.startswith("-") and word != "-":
            raise _unknown_option(word, name, parser)
    args.command, args.words = name, [*rest, *literal]
    return args


def parser_of(name: str | None) -> argparse.ArgumentParser:
    command = CONSOLE if name is None else COMMANDS[name]
    prog = "dbtend" if name is None else f"dbtend {name}"
    parser = _Parser(
        prog=prog,
        usage=f"{prog} {command.usage}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}."
        + (f"\n\n{command.notes}" * bool(command.notes)),
        epilog=f"Example: {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_options(parser)
    parser.add_argument("--store", type=values.path, metavar="PATH", help="another store of jobs (also DBTEND_STORE)")
    parser.add_argument("--config", type=values.path, metavar="PATH", help="another config file (also DBTEND_CONFIG)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version")
    return parser


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"dbtend {values.version()}")
        parser.exit()


def overview() -> str:
    """What `dbtend --help` shows."""
    commands = "\n".join(f"  {name:8} {command.summary}" for name, command in COMMANDS.items())
    return f"""\
dbtend: tend your databases. A terminal console for database maintenance.

usage: dbtend [TARGET...]            open the console
       dbtend COMMAND [OPTIONS]      without the console, for scripts and cron

{_TARGET_HELP}

commands:
{commands}

options, before or after the command:
  --store PATH   another store of jobs (also DBTEND_STORE)
  --config PATH  another config file (also DBTEND_CONFIG)
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


def _unknown_option(word: str, command: str | None, parser: argparse.ArgumentParser) -> UsageError:
    option = word.partition("=")[0]
    close = get_close_matches(option, _options_of(parser), 1)
    hint = f"did you mean {close[0]}?" if close else f"see {parser.prog} --help"
    if command is None and any(option in _options_of(parser_of(name)) for name in COMMANDS):
        hint = "options of a command come after it, as in dbtend run sales.db --op vacuum"
    return UsageError(option, f"is no option of {parser.prog}", hint)


def _options_of(parser: argparse.ArgumentParser) -> list[str]:
    return re.findall(r"--[a-z-]+", parser.format_help())
