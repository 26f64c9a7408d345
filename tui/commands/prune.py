"""`dbtend prune`, `pin` and `unpin`: what of the history is kept."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

from engine import Engine, ParentJob, Retention, Status
from tui.commands import output
from tui.commands.lookup import existing_store
from tui.commands.naming import named
from tui.commands.settings import Settings, one_job
from tui.presentation import json_format, typed_values
from tui.presentation.exit_codes import OK
from tui.presentation.text import counted


def prune(args: argparse.Namespace, settings: Settings) -> int:
    retention = settings.config().retention
    removed: Mapping[Status, int] = {}
    if settings.store.exists():
        removed = asyncio.run(_prune(settings, retention, dry_run=args.dry_run))
    numbers = {status.value: removed.get(status, 0) for status in retention.ages}
    if args.json:
        output.document({"removed": numbers, "dry_run": args.dry_run})
    else:
        begin = "would remove" if args.dry_run else "removed"
        details = ", ".join(f"{number} {status}" for status, number in numbers.items())
        output.line(f"{begin} {counted(sum(numbers.values()), 'job')}: {details}")
    return OK


async def _prune(settings: Settings, retention: Retention, *, dry_run: bool) -> Mapping[Status, int]:
    async with settings.engine() as engine:
        return await engine.prune(retention, dry_run=dry_run)


def pin(args: argparse.Namespace, settings: Settings) -> int:
    return _set_pinned(args, settings, pinned=True)


def unpin(args: argparse.Namespace, settings: Settings) -> int:
    return _set_pinned(args, settings, pinned=False)


def _set_pinned(args: argparse.Namespace, settings: Settings, *, pinned: bool) -> int:
    parent_id = typed_values.parent_id(one_job(args))
    job = asyncio.run(_pinned(existing_store(settings.store, parent_id), parent_id, pinned=pinned))
    if args.json:
        output.document({"jobs": [json_format.job(job)]})
    else:
        kept = "pinned: it is kept whatever its age" if pinned else "not pinned: it is kept as long as others"
        output.line(f"#{job.id} {named(job.target)} is {kept}")
    return OK


async def _pinned(store: Path, parent_id: int, *, pinned: bool) -> ParentJob:
    async with Engine.open(store) as engine:
        return await engine.pin(parent_id, pinned=pinned)
