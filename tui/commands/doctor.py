"""`dbtend doctor`: checks versions, paths, permissions and targets, with the fix for each problem."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from functools import partial

from engine.config.model import Config, TargetEntry
from tui.commands import output
from tui.commands.diagnostics import examine
from tui.commands.settings import Settings
from tui.commands.targets import target_entries
from tui.presentation.exit_codes import FAILED, OK
from tui.presentation.health_check import Level, to_show
from tui.presentation.text import padded, plain


def doctor(args: argparse.Namespace, settings: Settings) -> int:
    checks = asyncio.run(examine(settings, partial(_targets, args.words)))
    if args.json:
        form = [{"level": c.level.value, "what": c.what, "found": c.found, "fix": c.fix} for c in checks]
        output.document({"checks": form})
    else:
        for check in to_show(checks):
            fix = f"  ({plain(check.fix)})" if check.fix else ""
            output.line(f"{padded(check.level, 8)} {padded(plain(check.what), 12)} {plain(check.found)}{fix}")
    return FAILED if any(check.level is Level.PROBLEM for check in checks) else OK


def _targets(words: Sequence[str], config: Config) -> Sequence[TargetEntry]:
    return target_entries(words, config) if words else config.targets
