"""`dbtend demo`: a sample database that needs maintenance, and a store of its own, so that nothing is touched."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from engine import Request, StoreLocation
from engine.config.model import Config, TargetEntry
from engine.domain.errors import UsageError
from engine.inspection.demo_database import DATABASE, SHOWN, build_demo_database
from tui.commands import output
from tui.commands.console import open_console
from tui.commands.run import run_requests
from tui.commands.settings import Settings
from tui.presentation.exit_codes import OK
from tui.presentation.text import plain, size
from tui.workers.detached import DetachedWorker

_SAID_EVERY: Final = 3.0
"""Seconds."""


def demo(args: argparse.Namespace, settings: Settings) -> int:
    if args.words:
        raise UsageError("demo", "takes no TARGET: it makes its own", "dbtend run TARGET works on yours")
    if args.store is not None and args.store.is_shared:
        raise UsageError("--store", "the demo keeps its jobs to itself", "leave it out, or give the path of a file")
    if args.keep is None:
        directory = Path(tempfile.mkdtemp(prefix="dbtend-demo-"))
        try:
            return _demo(directory, args, settings)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    try:
        args.keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(str(args.keep), f"cannot be created: {error.strerror}", "give another directory") from None
    return _demo(args.keep, args, settings)


def _progress() -> Callable[[float], None]:
    """Says every few seconds how much of the sample is done: on a busy machine it takes long."""
    said_at = time.monotonic()

    def say(fraction: float) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _SAID_EVERY:
            output.line(f"{fraction * 100:.0f} % of the sample is made")
            said_at = time.monotonic()

    return say


def _demo(directory: Path, args: argparse.Namespace, settings: Settings) -> int:
    database, store = directory / DATABASE, args.store or StoreLocation(directory / "jobs.db")
    on_screen = sys.stdout.isatty() and not args.json
    if args.json:
        build_demo_database(database)
    else:
        output.line("Making a sample database that needs maintenance.")
        build_demo_database(database, _progress())
    if on_screen:
        target = TargetEntry(name=DATABASE, url=str(database))
        worker = DetachedWorker(store, grace=0)
        try:
            open_console(replace(settings, store=store), [target], Config().console, worker, mouse=not args.no_mouse)
        finally:
            worker.stop()  # what it works on is a sample, and may be removed now
        return OK
    before = database.stat().st_size
    if not args.json:
        output.line(f"{plain(str(database))}: {size(before)}, a sample that needs maintenance")
    asked = Request(target=str(database), operations=SHOWN)
    code = run_requests(store, [asked], as_json=args.json)
    if not args.json:
        output.line(f"{plain(str(database))}: {size(before)} before, {size(database.stat().st_size)} after")
    return code
