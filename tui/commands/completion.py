"""`dbtend completion SHELL`: prints the completion script of a shell, which asks for the names of targets in turn."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from engine.domain.errors import UsageError
from engine.domain.lazy_import import lazy
from tui.commands import output
from tui.commands.settings import Settings
from tui.presentation.exit_codes import OK

if TYPE_CHECKING:
    from tui.commands import completion_script
else:
    completion_script = lazy("tui.commands.completion_script", "at each tab, the shell asks for names only")


def completion(args: argparse.Namespace, settings: Settings) -> int:
    if args.targets:
        for target in settings.config().targets:
            if target.name.isprintable():  # one line each, which no shell and no terminal reads as anything else
                output.line(target.name)
        return OK
    known = f"choose from {', '.join(completion_script.SHELLS)}"
    if not args.words:
        raise UsageError("dbtend completion", "needs the name of a shell", known)
    unknown = [word for word in args.words if word not in completion_script.SHELLS] or args.words[1:]
    if unknown:
        raise UsageError(repr(unknown[0]), "is not the one shell that dbtend completion takes", known)
    output.write(completion_script.completion_script(args.words[0]))
    return OK
