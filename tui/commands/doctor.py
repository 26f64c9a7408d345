"""`dbtend doctor`: checks versions, paths, permissions and targets, with the fix for each problem."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from engine.config.model import Config, TargetEntry
from engine.fleet.target_words import all_configured_entries
from tui.commands import output
from tui.commands.diagnostics import examine
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.targets import target_entries
from tui.presentation.exit_codes import FAILED, OK
from tui.presentation.health_check import Check, Level, to_show
from tui.presentation.json_fields import fields
from tui.presentation.text import padded, plain


def doctor(args: argparse.Namespace, settings: Settings) -> int:
    checks = run_async(examine(settings, partial(_targets, args.words), of_each=bool(args.words)))
    return print_checks(checks, as_json=args.json)


def _targets(words: Sequence[str], config: Config) -> Sequence[TargetEntry]:
    return target_entries(words, config) if words else all_configured_entries(config)


def print_checks(checks: Sequence[Check], *, as_json: bool) -> int:
    """The exit code: FAILED where one found a problem."""
    if as_json:
        output.document({"checks": [_form(check) for check in checks]})
    else:
        for check in to_show(checks):
            fix = f"  ({plain(check.fix)})" if check.fix else ""
            output.line(f"{padded(check.level, 8)} {padded(plain(check.what), 12)} {plain(check.found)}{fix}")
    return FAILED if any(check.level is Level.PROBLEM for check in checks) else OK


def _form(check: Check) -> dict[str, object]:
    form = fields(check, "level", "what", "found", "fix")
    return {**form, "facts": dict(check.facts)} if check.facts else form
