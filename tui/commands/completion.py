"""`dbtend completion SHELL`: prints the completion script of a shell, which asks for the names of targets in turn."""

from __future__ import annotations

import argparse

from engine.domain.errors import UsageError
from tui.commands import output
from tui.commands.settings import Settings
from tui.presentation.exit_codes import OK


def completion(args: argparse.Namespace, settings: Settings) -> int:
    if args.targets:
        for target in settings.config().targets:
            if target.name.isprintable():  # one line each, which no shell and no terminal reads as anything else
                output.line(target.name)
        return OK
    from tui.commands.completion_script import SHELLS, completion_script  # names are asked for at each tab

    known = f"choose from {', '.join(SHELLS)}"
    if not args.words:
        raise UsageError("dbtend completion", "needs the name of a shell", known)
    unknown = [word for word in args.words if word not in SHELLS] or args.words[1:]
    if unknown:
        raise UsageError(repr(unknown[0]), "is not the one shell that dbtend completion takes", known)
    output.write(completion_script(args.words[0]))
    return OK
