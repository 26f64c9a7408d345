"""`dbtend plan`: exactly what `run` would do. It changes nothing, and creates no store."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from engine import Plan, Request
from engine.domain.errors import UsageError
from engine.domain.time_limits import deadline
from engine.system.clock import now
from tui.commands import output, plan_report
from tui.commands.advising import adviser, to_run
from tui.commands.passwords import ask_for_missing
from tui.commands.settings import Settings, requests
from tui.commands.targets import named_targets
from tui.presentation import json_format
from tui.presentation.exit_codes import REFUSED
from tui.presentation.job_times import limit_text


def plan(args: argparse.Namespace, settings: Settings) -> int:
    entries = named_targets(args, settings.config()).targets
    wanted = requests(args, entries)
    ask_for_missing([request.target for request in wanted])
    asked, code = to_run(wanted, entries, args, settings)
    plans = asyncio.run(_plans(asked, settings))
    if args.json:
        output.document({"jobs": [json_format.plan(plan) for plan in plans]})
    elif plans:
        blocks = ["\n".join(plan_report.plan_lines(plan)) for plan in plans]
        output.line("\n\n".join(blocks))
        if (closes := deadline(asked[0].options, now())) is not None:  # it is the same for all
            output.line(f"\nif it is run now, {limit_text(asked[0].options, closes, now())}")
    refused = any(operation.refused for plan in plans for operation in plan.operations)
    return REFUSED if refused else code


async def _plans(asked: Sequence[Request], settings: Settings) -> list[Plan]:
    async with adviser(settings) as looking:
        plans = [await looking.plan(request) for request in asked]
    urls = [plan.target for plan in plans]
    for url in urls:
        if urls.count(url) > 1:
            raise UsageError(url, "is named twice", "name each database once")
    return plans
