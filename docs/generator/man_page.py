"""The man page, from the parser of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

from argparse_manpage.manpage import Manpage

from tui.commands.arguments import whole_parser
from tui.presentation.exit_codes import MEANINGS

SUMMARY: Final = "a terminal console and command line for database maintenance"
DESCRIPTION: Final = (
    "dbtend tends SQLite files and PostgreSQL databases. Without a command it opens the console; with one it works"
    " without, for scripts and cron. Options may stand before and after the command."
)
ENVIRONMENT: Final[Mapping[str, str]] = {
    "DBTEND_STORE": "The store of jobs, as with --store.",
    "DBTEND_HOST": "The name of this host in a store that many share, where the one of its system will not do.",
    "DBTEND_CONFIG": "The config file, as with --config.",
    "DBTEND_READ_ONLY": "With 1, look at everything and change nothing, as with --read-only.",
    "NO_COLOR": "If set, no colour is used.",
}
FILES: Final[Mapping[str, str]] = {
    "~/.config/dbtend/config.toml": "The config file: targets, defaults, console, retention.",
    "~/.local/state/dbtend/jobs.db": "The store: every job, its steps and its log.",
}


def man_page() -> str:
    parser = whole_parser()
    parser.usage = "dbtend [TARGET...] | COMMAND [OPTIONS]"
    parser.description, parser.epilog = DESCRIPTION, None
    _leave_out_repetitions(parser)
    statuses = "\n".join(f".TP\n.B {code}\n{_plain(meaning)}" for code, meaning in MEANINGS.items())
    page = Manpage(parser, format="single-commands-section")
    page.description, page.date, page.manual = SUMMARY, "", "User Commands"
    for heading, entries in (("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)):
        page.add_section(
            heading, "=", "\n".join(f".TP\n.B {_plain(name)}\n{_plain(text)}" for name, text in entries.items())
        )
    page.add_section("EXIT STATUS", "=", statuses)
    return str(page)


def _leave_out_repetitions(parser: argparse.ArgumentParser) -> None:
    """The options of every command stand once, at the top."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    common = {(action.dest, action.help) for action in parser._actions if action.dest != "words"}
    for command in commands.choices.values():
        summary_and_notes = command.description.partition("\n\nExit codes:")[0]
        command.description = summary_and_notes.partition("\n\n")[2]
        for action in command._actions:
            if (action.dest, action.help) in common:
                action.help = argparse.SUPPRESS


def _plain(text: str) -> str:
    return text.replace("-", r"\-")
