"""`dbtend store`: makes, checks and fills a store that many hosts share."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from engine import StoreLocation, store_admin
from engine.domain.errors import UsageError
from engine.domain.humanize import counted
from tui.commands import output
from tui.commands.diagnostics import store_holdups
from tui.commands.doctor import print_checks
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.presentation import json_format, store_format
from tui.presentation.exit_codes import OK
from tui.presentation.health_check import Check
from tui.presentation.text import plain

USAGE = "dbtend store init URL, dbtend store check [URL], or dbtend store copy FROM TO"


def store(args: argparse.Namespace, settings: Settings) -> int:
    match args.words:
        case ["init", text]:
            return _init(StoreLocation.parse(text), args)
        case ["check"]:
            return _check(settings, args)
        case ["check", text]:
            return _check(replace(settings, store=StoreLocation.parse(text)), args)
        case ["copy", source, to]:
            return _copy(StoreLocation.parse(source), StoreLocation.parse(to), args)
    words = " ".join(args.words)
    raise UsageError(
        "store", f"cannot be called as {plain(words)!r}" if words else "no action was given", f"use {USAGE}"
    )


def _init(location: StoreLocation, args: argparse.Namespace) -> int:
    made = run_async(store_admin.init(location))
    if args.json:
        output.document(json_format.store_made(made))
    else:
        for line in store_format.made_lines(made, plain(str(location))):
            output.line(line)
    return OK


def _check(settings: Settings, args: argparse.Namespace) -> int:
    return print_checks(run_async(_checks(settings)), as_json=args.json)


async def _checks(settings: Settings) -> list[Check]:
    found = await store_admin.check(settings.store)
    checks = store_format.store_checks(found, plain(str(settings.store)))
    if found.has_namesake:  # nothing else is opened for one of two machines of one name
        return checks
    async with replace(settings, read_only=True).engine() as engine:
        return checks + await store_holdups(engine)


def _copy(source: StoreLocation, to: StoreLocation, args: argparse.Namespace) -> int:
    is_watched = sys.stderr.isatty() and not args.json

    def show(done: int, total: int) -> None:
        if is_watched:
            output.notice(f"{counted(done, 'job')} of {total:,}")

    copied = run_async(store_admin.copy(source, to, show))
    if args.json:
        output.document(json_format.store_copied(copied))
    else:
        for line in store_format.copied_lines(copied):
            output.line(line)
    return OK
