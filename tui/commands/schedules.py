"""`dbtend schedules`: when each is due, how its nights went, the next one by its estimates; run, enable, disable."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine import Engine, ParentJob, Pause
from engine.config.model import Config
from engine.domain.due_times import firing_closes_at, is_open, next_due, overlaps_itself
from engine.domain.errors import ConfigError, DbtendError, UsageError
from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy
from engine.domain.schedules import Firing, FiringStatus, Night, Schedule, disabled_ones
from engine.domain.spelling import closest
from engine.domain.time_zones import zone_named
from engine.schedules.night import PlannedNight
from engine.schedules.no_targets import no_targets
from engine.schedules.overlaps import Overlap, overlaps
from engine.schedules.tight_windows import TightWindow
from engine.system.clock import now
from engine.system.current_user import user_at_host
from tui.commands import output
from tui.commands.naming import name_of
from tui.commands.progress_line import FEW, ProgressLine
from tui.commands.report import columns
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.terminal_question import can_ask, have_typed
from tui.commands.waiting import nothing_starts
from tui.presentation import schedule_format
from tui.presentation.exit_codes import FAILED, OK, REFUSED, weightiest
from tui.presentation.night_picture import planned_picture, real_picture
from tui.presentation.schedule_format import ScheduleRow
from tui.presentation.text import GLYPH, plain

if TYPE_CHECKING:
    from tui.commands import foreground, run, timer_units
else:
    foreground = lazy("tui.commands.foreground", "only --run needs it")
    run = lazy("tui.commands.run", "only --run needs it")
    timer_units = lazy("tui.commands.timer_units", "only --systemd and --cron need it")

_MODES: Final = ("run", "enable", "disable", "systemd", "cron")
_LISTED: Final = 10
"""Nights of a schedule that are listed."""
_TARGETS: Final = 60
"""Targets of a night that are drawn; more are counted."""
_NOT_SERVED: Final = "no permanent worker fires them: run dbtend worker, or see dbtend schedules --systemd"


def schedules(args: argparse.Namespace, settings: Settings) -> int:
    wanted = _wanted(args)
    try:
        config = _config(settings)
    except ConfigError as error:
        if not run_async(_switch_known(args, settings)):
            raise
        output.error(error, as_json=False)
        return OK
    if wanted not in {None, *(schedule.name for schedule in config.schedules)} and run_async(
        _switch_known(args, settings)
    ):
        return OK
    if not config.schedules:
        settings.require_store()
        if wanted is not None:
            raise _unknown(wanted, config)
        return _none(args, settings)
    chosen = config.schedules if wanted is None else [_named(wanted, config)]
    if args.systemd or args.cron:
        lines = timer_units.systemd_units if args.systemd else timer_units.cron_lines
        output.line("\n".join(lines(chosen, _command(settings))).rstrip())
        if run_async(_is_served(settings)):
            output.notice("a permanent worker fires them already: they do nothing beside it")
        return OK
    if args.run is not None:
        return _run(chosen[0], config, args, settings)
    settings.require_store()
    if args.enable is not None or args.disable is not None:
        run_async(_switch(chosen[0].name, settings, on=args.enable is not None))
    return _show(chosen, config, args, settings, in_full=bool(args.words))


def _config(settings: Settings) -> Config:
    try:
        return settings.config()
    except ConfigError:
        if run_async(_is_served(settings)):
            output.notice("the worker goes on with the schedules that it read before")
        raise


def _none(args: argparse.Namespace, settings: Settings) -> int:
    if args.json:
        output.document({"schedules": [], "is_served": False})
    elif not settings.config_path.exists():
        output.notice(f"there is no config file {settings.config_path}: write one with a section [schedules.NAME]")
    else:
        output.notice(f"{settings.config_path} has no schedules: add a section [schedules.NAME]")
    if not args.json and settings.store.exists():
        for text in run_async(_of_other_configs(settings)):
            output.line(text)
    return OK


async def _of_other_configs(settings: Settings) -> list[str]:
    async with settings.reading_engine() as engine:
        return schedule_format.other_lines(await engine.schedule_states(), known=())


def _wanted(args: argparse.Namespace) -> str | None:
    """The one schedule that is named. Raises UsageError."""
    given = [*args.words, *(name for name in (args.run, args.enable, args.disable) if name is not None)]
    modes = [name for name in _MODES if getattr(args, name) not in {None, False}]
    if len(modes) > 1:
        raise UsageError(f"--{modes[1]}", f"does not go with --{modes[0]}", "leave one of them out")
    for option, name in (("as_due", "--as-due"), ("confirmed", "--yes")):
        if getattr(args, option) and args.run is None:
            raise UsageError(name, "goes with --run", "give --run NAME, or leave it out")
    if args.as_due and args.confirmed:
        raise UsageError("--yes", "does not go with --as-due", "leave one of them out")
    if len(given) > 1:
        raise UsageError("schedules", "takes one SCHEDULE", "name one schedule, or none for all")
    return given[0] if given else None


def _named(name: str, config: Config) -> Schedule:
    """Raises UsageError."""
    found = next((schedule for schedule in config.schedules if schedule.name == name), None)
    if found is None:
        raise _unknown(name, config)
    return found


def _unknown(name: str, config: Config) -> UsageError:
    names = [schedule.name for schedule in config.schedules]
    close = closest(name, names)
    known = f"there is {', '.join(names)}" if names else "it has none"
    hint = f"did you mean {close}?" if close else known
    return UsageError(repr(name), "is no schedule of the config file", hint)


async def _is_served(settings: Settings) -> bool:
    if not settings.store.exists():
        return False
    async with settings.engine() as engine:
        return await engine.fires_schedules(settings.config_path)


def _command(settings: Settings) -> list[str]:
    """What runs a schedule whose name is added, from any directory."""
    program = shutil.which("dbtend")
    words = [str(Path(program).absolute())] if program else [sys.executable, "-P", "-m", "tui.cli"]
    words += ["schedules", "--store", str(settings.store)]
    return [*words, "--config", str(settings.config_path.absolute()), "--as-due", "--run"]


def _run(schedule: Schedule, config: Config, args: argparse.Namespace, settings: Settings) -> int:
    if not args.as_due:
        _confirm_outside_window(schedule, is_confirmed=args.confirmed)
    recorded: Firing | None = None
    config_path = settings.config_path.absolute()

    async def submit(engine: Engine) -> Sequence[ParentJob]:
        nonlocal recorded
        if args.as_due:
            recorded, jobs = await engine.fire_as_due(schedule, config, config_path)
        else:
            recorded, jobs = await engine.fire(schedule, config)
        if not jobs:
            is_well = args.as_due and (
                recorded is None or (recorded.status is FiringStatus.FIRED and not recorded.error)
            )
            tell = output.remark if is_well else output.notice
            tell(f"{schedule.name}: {_without_jobs(schedule, recorded)}")
        elif recorded is not None and recorded.error:
            output.notice(f"{schedule.name}: by hand: {plain(recorded.error)}")
        return jobs

    how = foreground.Foreground(
        store=settings.store,
        workers=config.defaults.workers,
        max_running=config.defaults.workers,
        grace=config.defaults.grace,
        retention=config.retention,
        config=settings.config_path,
    )
    code = run.in_foreground(how, submit, run.printing(as_json=args.json, many=True), config)
    if recorded is None:
        return code
    if recorded.status is FiringStatus.FIRED:
        return weightiest({code, REFUSED}) if recorded.error else code
    return FAILED if recorded.status is FiringStatus.MISSED else code


def _confirm_outside_window(schedule: Schedule, *, is_confirmed: bool) -> None:
    """Raises UsageError while its window is closed, unless the user confirms."""
    if is_open(schedule, now()):
        return
    why = schedule_format.outside_window_text(schedule, now())
    if is_confirmed:
        output.notice(f"{schedule.name}: {why}")
        return
    if not can_ask():
        raise UsageError(f"schedule {schedule.name}", why, "give --yes to run it now, or wait for its window")
    output.notice(f"{schedule.name}: {why}")
    have_typed(schedule.name)


def _without_jobs(schedule: Schedule, recorded: Firing | None) -> str:
    if recorded is None:
        due = next_due(schedule, now())
        return "it is not due" + (
            "" if due is None else f"; next due {schedule_format.local(due, schedule, now=now())}"
        )
    if recorded.status is FiringStatus.FIRED:
        return schedule_format.nothing_ran(recorded)
    due_at = schedule_format.local(recorded.due_at, schedule, now=now())
    return f"due {due_at}: {schedule_format.result_text(Night(firing=recorded))}"


async def _switch_known(args: argparse.Namespace, settings: Settings) -> bool:
    """Enable or disable a schedule by what the store knows, as a worker goes on with it; whether that was asked for."""
    name = args.enable or args.disable
    if name is None or not settings.store.exists():
        return False
    async with settings.engine() as engine:
        is_known = name in await engine.schedule_states()
    if is_known:
        await _switch(name, settings, on=args.enable is not None)
        output.line(f"{name}: {'enabled' if args.enable is not None else 'disabled'}")
    return is_known


async def _switch(name: str, settings: Settings, *, on: bool) -> None:
    async with Engine.open(settings.store, read_only=settings.read_only) as engine:
        if on:
            await engine.enable_schedule(name)
        else:
            await engine.disable_schedule(name, user_at_host())


@frozen
class _Looked:
    rows: Sequence[ScheduleRow]
    is_served: bool
    pause: Pause | None
    overlaps: Sequence[Overlap] = ()
    tight: Sequence[TightWindow] = ()
    of_other_configs: Sequence[str] = ()
    """A line for each schedule of the store that the config file does not have."""
    without_targets: Mapping[str, str] = field(default_factory=dict)
    """Schedules without targets, and why that is so; of one alone its plan says so."""
    jobs: Sequence[ParentJob] = ()
    """The jobs of the last night of the only schedule."""


def _show(
    chosen: Sequence[Schedule], config: Config, args: argparse.Namespace, settings: Settings, *, in_full: bool
) -> int:
    looked = run_async(_look(chosen, config, settings, in_full=in_full))
    if not args.json:
        output.line("\n".join(_full_lines(looked) if in_full else _table(looked.rows)))
    plans: list[PlannedNight] = []
    if in_full:
        run_async(_plan(looked.rows[0], config, settings, plans.append))
    plan = plans[0] if plans else None
    if args.json:
        form = {
            "schedules": [schedule_format.row_json(row, now()) for row in looked.rows],
            "is_served": looked.is_served,
        }
        if plan is not None:
            form["plan"] = schedule_format.plan_json(plan)
        output.document(form)
        return OK
    for text in looked.of_other_configs:
        output.line(text)
    if plan is not None:
        output.line("\n".join(_next_night(plan, looked.rows[0])))
    for row in looked.rows:
        if row.foreign_config:
            output.notice(schedule_format.foreign_text(row))
        if warning := schedule_format.window_warning(row.schedule):
            output.notice(warning)
    for name, why in looked.without_targets.items():
        output.notice(f"{name} has no targets: {plain(why)}")
    for overlap in looked.overlaps:
        output.notice(schedule_format.overlap_text(overlap, now()))
    for window in looked.tight:
        output.notice(schedule_format.tight_text(window, now()))
    if not looked.is_served:
        output.notice(_NOT_SERVED)
    if looked.pause is not None:
        output.notice(nothing_starts(looked.pause))
    return OK


async def _look(chosen: Sequence[Schedule], config: Config, settings: Settings, *, in_full: bool) -> _Looked:
    async with settings.reading_engine() as engine:
        path = engine.config_name(settings.config_path)
        states = await engine.schedule_states()
        nights = {one.name: await engine.nights(one.name, limit=_LISTED) for one in chosen}
        rows = [
            ScheduleRow(schedule=one, state=states.get(one.name), nights=nights[one.name], config=path)
            for one in chosen
        ]
        is_served = await engine.fires_schedules(settings.config_path)
        pause = await engine.paused()
        if not in_full:
            common = await asyncio.to_thread(overlaps, config, now(), disabled=disabled_ones(states))
            empty = {one.name: why for one in chosen if (why := await no_targets(one, config))}
            others = schedule_format.other_lines(states, known=[schedule.name for schedule in config.schedules])
            tight = await engine.tight_windows(config)
            return _Looked(rows, is_served, pause, common, tight, others, empty)
        (row,) = rows
        last = row.last_night.firing.batch if row.last_night is not None else None
        jobs = await engine.batch_jobs(last) if last is not None else []
        return _Looked(rows, is_served, pause, jobs=jobs)


async def _plan(row: ScheduleRow, config: Config, settings: Settings, planned: Callable[[PlannedNight], None]) -> None:
    """`planned`: takes the result; if it were returned, `asyncio.run` would make a text of megabytes of it."""
    due = next_due(row.schedule, now())
    if due is None:
        return
    try:
        async with settings.reading_engine() as engine:
            with ProgressLine() as progress:
                planned(await engine.planned_night(row.schedule, config, due, tell=_telling(progress)))
    except DbtendError as error:
        output.notice(f"the next night cannot be planned: {plain(str(error))}")


def _telling(progress: ProgressLine) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if total > FEW:
            progress.show(lambda: f"inspected {done:,} of {total:,} targets")

    return tell


def _table(rows: Sequence[ScheduleRow]) -> list[str]:
    table = [("SCHEDULE", "NEXT DUE", "WINDOW", "LAST", "RESULT", "TOOK", "TREND")]
    for row in rows:
        name, at = row.schedule.name, now()
        due, window = schedule_format.due_text(row, at), schedule_format.closing_text(row.schedule, at)
        if not row.nights:
            table.append((name, due, window, "never", "", "", ""))
            continue
        night = row.nights[0]
        last, batch, result, took = schedule_format.night_line(night, row.schedule, now())
        glyph = GLYPH[schedule_format.status_of(night)]
        shown = f"{glyph} {batch + ': ' if batch else ''}{result}"
        table.append((name, due, window, last, shown, took, schedule_format.trend_text(row.nights)))
    return columns(table)


def _full_lines(looked: _Looked) -> Iterator[str]:
    (row,) = looked.rows
    yield f"{row.schedule.name}: {_when(row)}"
    yield from (f"  {name:10}  {text}" for name, text in schedule_format.details(row))
    if overlaps_itself(row.schedule):
        yield "  It is due again before its window closes: then it is skipped if it still runs."
    if row.nights:
        yield ""
        rows = [schedule_format.night_line(night, row.schedule, now()) for night in row.nights]
        glyphs = [GLYPH[schedule_format.status_of(night)] for night in row.nights]
        yield from columns([(f"{glyph} {due}", *rest) for glyph, (due, *rest) in zip(glyphs, rows, strict=True)])
    yield from _last_night(row, looked.jobs)


def _when(row: ScheduleRow) -> str:
    due = schedule_format.due_text(row, now())
    return due if row.next_due(now()) is None else f"next due {due}"


def _last_night(row: ScheduleRow, jobs: Sequence[ParentJob]) -> Iterator[str]:
    if row.last_night is not None:
        begin = row.last_night.firing.due_at
        closes = firing_closes_at(row.schedule, row.last_night.firing)
        picture = real_picture(jobs, begin, closes, now(), zone_named(""), _width(), named=name_of, most=_TARGETS)
        yield from (
            "",
            f"{schedule_format.night_title(row.last_night)}, {schedule_format.local(begin, row.schedule, now=now())}",
            *(one.plain for one in picture),
        )


def _next_night(plan: PlannedNight, row: ScheduleRow) -> Iterator[str]:
    yield from ("", *schedule_format.plan_heading(plan, row, now()))
    picture = planned_picture(plan, zone_named(""), _width(), named=name_of, most=_TARGETS)
    yield from (one.plain for one in picture)


def _width() -> int:
    return shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
