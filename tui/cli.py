"""The `dbtend` command: reads the command line, runs a command, and turns every error into a line."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.domain.errors import DbtendError, InternalError, ReadOnlyError, SystemLimitError, UsageError
from engine.domain.lazy_import import lazy
from tui.commands import output
from tui.commands.arguments import parse
from tui.presentation.exit_codes import CANCELLED, FAILED, OK, error_code
from tui.presentation.text import plain

if TYPE_CHECKING:
    from tui.commands import naming, settings
    from tui.commands.settings import Settings
    from tui.presentation import json_schema
else:
    naming = lazy("tui.commands.naming", "--version and --help do without it")
    settings = lazy("tui.commands.settings", "--version and --help do without the engine")
    json_schema = lazy("tui.presentation.json_schema", "only --json-schema needs it")

Command = Callable[[argparse.Namespace, "Settings"], int]
_MODULES: Final[Mapping[str, str]] = {
    "retry": "run",
    "history": "lookup",
    "show": "lookup",
    "report": "html_report",
    "map": "page_map",
    "pin": "prune",
    "unpin": "prune",
    "pause": "control",
    "resume": "control",
}
"""Where those commands live whose module has another name."""
_ONLY_TELL: Final = frozenset(
    {"plan", "advise", "fleet", "map", "history", "show", "workers", "metrics", "report", "doctor", "completion"}
)
_NAMES_ONLY: Final = frozenset({"history", "show", "workers"})
"""They take no more than the names of targets from the config file, and do without those of the default one."""
_WITHOUT_WORDS: Final = frozenset({"prune", "metrics", "report", "worker", "workers", "pause", "resume"})

COLLECT_AFTER: Final = 10_000
"""Plans and screens are made of thousands of small things that stay: usually the collector looks at each 700."""


def entry() -> None:
    """The console script."""
    gc.disable()  # it would look again and again at what imports make, which stays
    if "--debug" not in sys.argv:
        sys.unraisablehook = lambda _: None  # no traceback in the middle of a screen
    # Each may have been closed by who called us. In this order each gets its own number, and no other file does.
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115
    # What is written to a closed one is lost, and that is an error: see `output.write`.
    sys.stdout = sys.stdout or open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A file name may hold bytes that are no text, and a terminal may not know every letter.
            stream.reconfigure(errors="backslashreplace")
    code = main(sys.argv[1:])
    output.let_go()
    sys.exit(code)


def main(argv: Sequence[str]) -> int:
    """Run the command that `argv` (without the program's name) asks for; the exit code."""
    flags = argv[: argv.index("--")] if "--" in argv else argv
    as_json, debug = "--json" in flags, "--debug" in flags
    try:
        args = parse(argv)
        if "json_schema" in args and args.json_schema:
            output.document(json_schema.schema_of(args.command))
            return FAILED if output.lost else OK
        if args.words and args.command in _WITHOUT_WORDS:
            raise UsageError(repr(args.words[0]), f"dbtend {args.command} takes no such word", "see its --help")
        chosen = settings.settings(args, os.environ)
        if args.command != "doctor":  # which says what is wrong
            chosen.require_config(is_read=args.command in _NAMES_ONLY)
        naming.use(chosen.config, str(chosen.store) if chosen.store_required else None)
        only_tells = _only_tells(args)
        output.ends_with_reader = only_tells and args.command is not None
        if chosen.read_only and not only_tells:
            why = "would change something, and this is read-only"
            raise ReadOnlyError(f"dbtend {args.command}", why, "leave out --read-only, and unset DBTEND_READ_ONLY")
        code = _command(args.command or "console")(args, chosen)
        return FAILED if output.lost and code == OK else code
    except SystemExit as done:  # --help and --version
        return FAILED if output.lost else int(done.code or 0)
    except KeyboardInterrupt:
        return CANCELLED
    except Exception as error:
        if debug:
            output.print_traceback()
        output.error(_as_dbtend_error(error), as_json=as_json)
        return error_code(error) if isinstance(error, DbtendError) else FAILED


def _as_dbtend_error(error: Exception) -> DbtendError:
    if isinstance(error, DbtendError):
        return error
    why = plain(f"{type(error).__name__}: {error}")
    return SystemLimitError.of(error) or InternalError("internal error", why, "repeat with --debug for details")


def _only_tells(args: argparse.Namespace) -> bool:
    """Whether the command changes nothing; the console asks before it does."""
    match args.command:
        case "prune":
            return bool(args.dry_run)
        case "notify":
            return not args.test
        case "store":
            return bool(args.words[:1] == ["check"])
        case "schedules":
            return args.run is args.enable is args.disable is None
        case _:
            return args.command is None or args.command in _ONLY_TELL


def _command(name: str) -> Command:
    """Import the module of the command that runs, and no other."""
    module = import_module(f"tui.commands.{_MODULES.get(name, name)}")
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    gc.enable()
    command: Command = getattr(module, name)
    return command


if __name__ == "__main__":
    entry()
