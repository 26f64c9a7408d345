"""`dbtend prune`, `pin` and `unpin`: what of the history is kept."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from engine import Engine, Status
from tui.commands import output
from tui.commands.lookup import existing_store
from tui.commands.naming import named
from tui.commands.settings import Settings, one_job, with_engine
from tui.presentation import json_format, typed_values
from tui.presentation.exit_codes import OK
from tui.presentation.text import counted, plain


def prune(args: argparse.Namespace, settings: Settings) -> int:
    retention = settings.config().retention
    removed: Mapping[Status, int] = {}
    if settings.store.exists():
        removed = with_engine(settings.engine(), lambda engine: engine.prune(retention, dry_run=args.dry_run))
    numbers = {status.value: removed.get(status, 0) for status in retention.ages}
    if args.json:
        output.document({"removed": numbers, "dry_run": args.dry_run})
    else:
        begin = "would remove" if args.dry_run else "removed"
        details = ", ".join(f"{number} {status}" for status, number in numbers.items())
        output.line(f"{begin} {counted(sum(numbers.values()), 'job')}: {details}")
        if settings.store.is_shared:  # each host prunes by its own
            has_file = settings.config_path.exists()
            whose = (
                f"that of {plain(str(settings.config_path))}"
                if has_file
                else "the default, as there is no config file here"
            )
            output.notice(f"the retention is {whose}; the jobs are those of all hosts")
    return OK


def pin(args: argparse.Namespace, settings: Settings) -> int:
    return _set_pinned(args, settings, pinned=True)


def unpin(args: argparse.Namespace, settings: Settings) -> int:
    return _set_pinned(args, settings, pinned=False)


def _set_pinned(args: argparse.Namespace, settings: Settings, *, pinned: bool) -> int:
    parent_id = typed_values.parent_id(one_job(args))
    store = existing_store(settings.store, parent_id)
    job = with_engine(Engine.open(store), lambda engine: engine.pin(parent_id, pinned=pinned))
    if args.json:
        output.document({"jobs": [json_format.job(job)]})
    else:
        kept = "pinned: it is kept whatever its age" if pinned else "not pinned: it is kept as long as others"
        output.line(f"#{job.id} {named(job.target)} is {kept}")
    return OK
