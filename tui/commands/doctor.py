"""`dbtend doctor`: checks versions, paths, permissions and targets, with the fix for each problem."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from engine.config.model import Config, TargetEntry
from engine.fleet.target_words import all_configured_entries
from tui.commands.check_report import print_checks
from tui.commands.diagnostics import examine
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.targets import target_entries


def doctor(args: argparse.Namespace, settings: Settings) -> int:
    checks = run_async(examine(settings, partial(_targets, args.words), of_each=bool(args.words)))
    return print_checks(checks, as_json=args.json)


def _targets(words: Sequence[str], config: Config) -> Sequence[TargetEntry]:
    return target_entries(words, config) if words else all_configured_entries(config)
