"""`dbtend cancel`: asks a job or a batch to end, or with --force ends a job."""

from __future__ import annotations

import argparse

from engine import BatchId, Engine, JobId, ParentJob, StoreLocation
from engine.domain.errors import UsageError
from engine.system.clock import now
from tui.commands import batches, output, report
from tui.commands.force import cancel_by_force
from tui.commands.lookup import existing_store
from tui.commands.run_async import run_async
from tui.commands.settings import Settings, one_job
from tui.presentation import json_format, typed_values
from tui.presentation.exit_codes import OK


def cancel(args: argparse.Namespace, settings: Settings) -> int:
    wanted = typed_values.job_or_batch_id(one_job(args))
    store = existing_store(settings.store, wanted)
    if isinstance(wanted, BatchId):
        return batches.cancel(wanted, args, settings)
    if args.force:
        return cancel_by_force(wanted, store, args, settings)
    if args.confirm is not None:
        raise UsageError("--confirm", "there is nothing to confirm without --force", "add --force, or leave it out")
    before, job = run_async(_cancel(store, wanted))
    if args.json:
        output.document({"jobs": [json_format.job(job)]})
    else:
        for line in report.cancel_lines(before, job, wanted, now()):
            output.line(line)
    return OK


async def _cancel(store: StoreLocation, wanted: JobId) -> tuple[ParentJob, ParentJob]:
    async with Engine.open(store) as engine:
        before = await engine.job(wanted.parent)
        return before, await engine.cancel(wanted)
