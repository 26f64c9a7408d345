"""`dbtend plan`: exactly what `run` would do. It changes nothing, and creates no store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine import Plan, Request
from engine.domain.errors import TargetError
from engine.domain.humanize import counted
from engine.domain.lazy_import import lazy
from engine.domain.steps import Micros
from engine.domain.time_limits import deadline
from engine.inspection.inspector import for_each
from engine.system.clock import now
from tui.commands import output, plan_report
from tui.commands.advising import adviser, to_run
from tui.commands.passwords import ask_for_missing
from tui.commands.progress_line import ProgressLine
from tui.commands.run_async import run_async
from tui.commands.run_order import in_run_order
from tui.commands.settings import Settings, requests
from tui.commands.targets import entries_of, named_targets
from tui.presentation.exit_codes import FAILED, OK, REFUSED, weightiest
from tui.presentation.job_times import limit_text

if TYPE_CHECKING:
    from tui.commands import plan_overview
    from tui.presentation import json_format
else:
    plan_overview = lazy("tui.commands.plan_overview", "only many plans need it")
    json_format = lazy("tui.presentation.json_format", "only --json needs it")

MANY: Final = 5
"""More plans than this are not printed in full."""


def plan(args: argparse.Namespace, settings: Settings) -> int:
    settings = replace(settings, read_only=True)  # what a crash left half done is not rolled back either
    expansion = named_targets(entries_of(args, settings.config()), args, settings)
    wanted = requests(args, expansion.targets)
    ask_for_missing([request.target for request in wanted])
    chosen = to_run(wanted, expansion.targets, args, settings)
    asked = run_async(in_run_order(chosen.requests, expansion.targets, args, settings.reading_engine()))
    here = [request for request in asked if len(wanted) == 1 or request.options.if_needed is None]
    if there := len(asked) - len(here):
        number = counted(there, "target")
        output.notice(f"{number} cannot be planned here: a worker decides what is needed when the job begins")
    made = run_async(_plans(here, settings))
    errors = [one.error for one in expansion.unlisted] + [one.error for one in chosen.failed]
    errors += [one for one in made if isinstance(one, TargetError)]
    if len(made) == 1 and errors and len(wanted) == 1:
        raise errors[0]
    plans = [one for one in made if isinstance(one, Plan)]
    if args.json:
        output.document({"jobs": [json_format.plan(plan) for plan in plans]})
    elif plans:
        at = now()
        closes = deadline(chosen.requests[0].options, at)  # it is the same for all
        workers = args.workers or settings.config().defaults.workers
        output.line(_text(plans, at, closes, workers))
        if closes is not None:
            output.line(f"\nif it is run now, {limit_text(chosen.requests[0].options, closes, at)}")
    for error in errors:
        output.error(error, as_json=False)
    refused = any(operation.refused for plan in plans for operation in plan.operations)
    return weightiest({REFUSED if refused else OK, chosen.code, FAILED if errors else OK})


def _text(plans: Sequence[Plan], at: Micros, closes: Micros | None, workers: int) -> str:
    if len(plans) > MANY:
        fitting = plan_overview.fitting_text(plans, at, closes, workers)
        return "\n".join(plan_overview.overview_lines(plans, fitting))
    blocks = ["\n".join(plan_report.plan_lines(plan)) for plan in plans]
    return "\n\n".join([plan_report.total(plans), *blocks] if len(plans) > 1 else blocks)


async def _plans(asked: Sequence[Request], settings: Settings) -> list[Plan | TargetError]:
    by_target = {request.target: request for request in asked}
    async with adviser(settings) as looking:
        with ProgressLine(len(by_target)) as progress:
            plan_of = progress.counting(lambda target: looking.plan(by_target[target]), "planned")
            plans = await for_each(list(by_target), plan_of)
        await looking.tell_interrupted(list(by_target))
        return plans
