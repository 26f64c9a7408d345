"""The doctor's checks of schedules: whether a worker fires them, and which nights were missed."""

from __future__ import annotations

import asyncio
from typing import Final

from engine.config.model import Config
from engine.domain.errors import StoreError
from engine.domain.schedules import FiringStatus, Night, disabled_ones
from engine.schedules.no_targets import no_targets
from engine.schedules.overlaps import overlaps
from engine.system.clock import now
from tui.commands.settings import Settings
from tui.presentation.health_check import Check, Level
from tui.presentation.schedule_format import local, overlap_text, result_text, tight_text, window_warning
from tui.presentation.text import counted

_WHAT: Final = "schedules"


async def schedule_checks(settings: Settings, config: Config, *, has_config: bool) -> list[Check]:
    """Nothing where the store cannot be read, which another check says. `has_config`: the config file could be read."""
    schedules = config.schedules
    try:
        async with settings.reading_engine() as engine:
            is_served = await engine.fires_schedules(settings.config_path)
            states = await engine.schedule_states()
            disabled, size = disabled_ones(states), await engine.pool_size()
            others = [await engine.fired_by_other(schedule, settings.config_path) for schedule in schedules]
            tight = await engine.tight_windows(config)
            newest = {schedule.name: await engine.firings(schedule.name, limit=1) for schedule in schedules}
    except StoreError:
        return []
    if not has_config:
        found = "a worker goes on with those that it read before"
        return [Check(Level.WARN, _WHAT, found, "correct the config file")] if is_served else []
    number = counted(len(schedules), "schedule")
    checks = [Check(Level.OK, _WHAT, f"{number}, fired by a worker")]
    if not is_served:
        checks = [Check(Level.WARN, _WHAT, f"{number}, and no permanent worker fires them", "run dbtend worker")]
    for one, other in zip(schedules, others, strict=True):
        for firing in newest[one.name]:
            if firing.status is FiringStatus.MISSED:
                found = f"{one.name}, {local(firing.due_at, one, now=now())}: {result_text(Night(firing=firing))}"
                checks.append(Check(Level.WARN, _WHAT, found, f"see dbtend schedules {one.name}"))
        if other is not None:
            checks.append(Check(Level.WARN, _WHAT, f"{other.what} {other.why}", other.hint))
        if why := await no_targets(one, config):
            checks.append(Check(Level.WARN, _WHAT, f"{one.name} has no targets: {why}", "correct its targets"))
        if warning := window_warning(one):
            checks.append(Check(Level.WARN, _WHAT, warning, "give another until, or another start"))
    wanted = config.defaults.workers
    if is_served and size and size != wanted:
        found = f"{size:,} worker {'process runs' if size == 1 else 'processes run'}, and the config file says {wanted}"
        checks.append(Check(Level.WARN, "workers", found, "restart dbtend worker, unless it has --workers"))
    for overlap in await asyncio.to_thread(overlaps, config, now(), disabled=disabled):
        fix = "give them other times or other targets"
        checks.append(Check(Level.WARN, _WHAT, overlap_text(overlap, now()), fix))
    for window in tight:
        fix = "give it more time, more workers or fewer targets"
        checks.append(Check(Level.WARN, _WHAT, tight_text(window, now()), fix))
    return checks
