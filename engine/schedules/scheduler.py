"""Fires schedules: a thin loop in a permanent worker.

One process fires the schedules of a config file on a store: it holds a lock, so that several do not inspect the same
targets. In a shared store a config file is one of its host; of several with a schedule of one name, one fires it. That
a due time fires once does not depend on that: the store has one row for each.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from engine.config.watch import ConfigWatch
from engine.domain.due_times import due_until, next_due
from engine.domain.errors import DbtendError, StoreError
from engine.domain.schedules import Firing, FiringStatus, Schedule, ScheduleState, other_config
from engine.domain.steps import Micros
from engine.schedules.config_names import config_name, fired_by, role_of
from engine.schedules.decisions import IN_TIME, decide
from engine.schedules.firing import fire_and_record, skipped
from engine.schedules.work import survey_targets
from engine.store.protocol import Store
from engine.submission.manager import DatabaseMaintenanceManager
from engine.system.background import in_background, pause_loop

INTERVAL: Final = 5.0
"""The most seconds between two looks at the clock and the config file."""
RECHECKED_AFTER: Final = 60.0
"""Seconds after which another config file is read again that has a schedule of the same name."""
SURVEYED_WITHIN: Final = 86_400 * 1_000_000
"""Microseconds after its start within which a night that is over is followed by a survey of its targets."""
_MINUTE: Final = 60 * 1_000_000
MOST: Final = 1_000
"""Due times that are recorded in one transaction."""

log = logging.getLogger("dbtend")


class Scheduler:
    """The schedules of one config file on one store."""

    def __init__(
        self,
        store: Store,
        manager: DatabaseMaintenanceManager,
        config: Path,
        *,
        clock: Callable[[], Micros],
        awake: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: the time of the system, whatever is done to it. `awake`: seconds in which the machine is awake."""
        self._awake = awake
        self._store = store
        self._manager = manager
        self._watch = ConfigWatch(config)
        self._config_name = config_name(config, store)
        self._clock = clock
        self._is_new = False
        """Whether the config file was read since the last look."""
        self._may_forget = False
        """Whether schedules may have been removed from the config file since the last look."""
        self._looked_at: tuple[Micros, float] | None = None
        """When the last look was, by the clock and by `awake`."""
        self._next: dict[str, tuple[Micros, Micros | None]] = {}
        """By schedule: since when its next due time is known, and that."""
        self._preparing: dict[str, tuple[Micros, asyncio.Task[None]]] = {}
        """By schedule: the due time that fires, and the preparation of its jobs."""
        self._fired = 0
        """How often a schedule has fired here."""
        self._nights_seen: object = None
        """All that tells whether a night may have ended since all were looked at."""
        self._surveyed: dict[str, Micros] = {}
        """By schedule: the night after which its targets were surveyed."""
        self._surveying: asyncio.Task[None] | None = None
        self._foreign: dict[str, float] = {}
        """The schedules that another config file has, too, and when that was read, by the monotonic clock."""

    async def run(self) -> None:
        """Fire schedules until it is cancelled."""
        while True:
            wait = INTERVAL
            try:
                wait = await self.look()
            except StoreError as error:  # the next look tries again
                log.warning("schedules: %s", error)
            except Exception:  # a defect must not end them
                log.exception("schedules: due times could not be examined")
            await pause_loop(wait)

    async def look(self) -> float:
        """Fire due schedules and record missed due times. Returns the seconds to the next look. Raises StoreError."""
        now, wait = self._clock(), INTERVAL
        await self.read_config()
        if self._is_new:
            self._is_new = False
            self._take_over_config()
            self._may_forget = self._watch.problem is None
        schedules = self._watch.config.schedules
        states = await self._store.schedule_states() if schedules or self._may_forget else {}
        if self._may_forget:
            await self._forget_removed(states)
        own = []
        for schedule in schedules:
            state = await self._own(schedule, states, now)
            own += [schedule] if state is not None else []
            if state is not None and state.disabled_at is None:
                due = await self._look_at(schedule, state, now)
                wait = wait if due is None else min(wait, (due - now) / 1e6)
        await self._survey_after_nights(own, now)
        self._looked_at = now, self._awake()
        return max(wait, 0.0)

    def _clock_changed(self, now: Micros) -> bool:
        """Whether the clock was set, or the machine slept, since the last look. A store may have been away as long."""
        if self._looked_at is None:
            return False
        at, awake = self._looked_at
        return abs((now - at) / 1e6 - (self._awake() - awake)) > IN_TIME / 2

    async def read_config(self) -> None:
        """Read the config file if it has changed.

        Also while another process fires: its successor goes on with the last version that was good.
        """
        self._is_new = await asyncio.to_thread(self._watch.look) or self._is_new

    async def _forget_removed(self, states: Mapping[str, ScheduleState]) -> None:
        """Forget schedules that were in this config file: if they come back, nothing of the time between was missed."""
        there = {schedule.name for schedule in self._watch.config.schedules}
        removed = [
            name
            for name, state in states.items()
            if state.config == self._config_name and name not in there and state.disabled_at is None
        ]
        if removed:
            await self._store.forget_schedules(removed)
        self._may_forget = False

    async def settled(self) -> None:
        """Wait until all that is being prepared or surveyed is stored."""
        await asyncio.gather(*self._tasks())

    async def close(self) -> None:
        """Stop the preparation of firings; stores nothing."""
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[None]]:
        surveying = [] if self._surveying is None else [self._surveying]
        return [*(task for _, task in self._preparing.values()), *surveying]

    def _take_over_config(self) -> None:
        self._next.clear()
        self._foreign.clear()
        if self._watch.problem is not None:
            log.error("%s; the schedules read last stay in force", self._watch.problem)
            return
        names = ", ".join(schedule.name for schedule in self._watch.config.schedules)
        if names or self._looked_at is not None:
            log.info("schedules of %s: %s", self._config_name, names or "none")

    async def _own(self, schedule: Schedule, states: Mapping[str, ScheduleState], now: Micros) -> ScheduleState | None:
        """The state of a schedule; None if another config file has one of this name, and fires it."""
        known = states.get(schedule.name)
        if other := other_config(known, self._config_name):
            read_at = self._foreign.get(schedule.name)
            if read_at is not None and time.monotonic() - read_at < RECHECKED_AFTER:
                return None
            self._foreign[schedule.name] = time.monotonic()
            if (error := await fired_by(other, schedule.name, self._store)) is not None:
                if read_at is None:
                    log.error("%s", error)
                return None
        seen = ScheduleState(name=schedule.name, start=schedule.definition, config=self._config_name, since=now)
        if known is not None and (known.start, known.config) == (seen.start, seen.config) and known.since <= now:
            return known
        await self._store.observe_schedules([seen])
        self._next.pop(schedule.name, None)
        return (await self._store.schedule_states())[schedule.name]

    async def _look_at(self, schedule: Schedule, state: ScheduleState, now: Micros) -> Micros | None:
        """Fire a schedule if it is due, and record its missed due times. Returns when to look again."""
        as_of, known = self._next.get(schedule.name, (now + 1, None))
        if as_of <= now and (known is None or now < known):
            return known
        fires = self._fires_now(schedule)
        handled = await self._store.last_handled(schedule.name, now)
        due = due_until(schedule, max(state.since, handled or 0, fires or 0), now, most=MOST)
        if due and fires is not None:
            await self._record([skipped(_firing(schedule, at, now)) for at in due])
        elif due:
            await self._handle(schedule, due, now)
        following = now if len(due) == MOST else next_due(schedule, now)
        self._next[schedule.name] = now, following
        return following

    async def _survey_after_nights(self, schedules: Collection[Schedule], now: Micros) -> None:
        """Survey the targets of a schedule when its night is over, also of one that a person started.

        Looks only when a job has changed, and at every full minute: of nights without jobs in other processes.
        """
        if self._surveying is not None and not self._surveying.done():
            return
        seen = self._store.last_change(), now // _MINUTE, [schedule.name for schedule in schedules], self._fired
        if seen == self._nights_seen:
            return
        for schedule in schedules:
            at = await self._store.last_fired(schedule.name, now - SURVEYED_WITHIN)
            if at is None or at == self._surveyed.get(schedule.name):
                continue
            if await self._store.open_batch(schedule.name) is not None:
                continue
            self._surveyed[schedule.name] = at
            self._surveying = asyncio.create_task(self._survey(schedule), name="dbtend-survey")
            return
        self._nights_seen = seen

    async def _survey(self, schedule: Schedule) -> None:
        try:
            await survey_targets(schedule, self._watch.config, self._store, self._clock)
        except DbtendError as error:
            log.warning("schedule %s: its targets are not surveyed: %s", schedule.name, error)
        except Exception:  # a defect must not end the schedules
            log.exception("schedule %s: its targets are not surveyed", schedule.name)

    def _fires_now(self, schedule: Schedule) -> Micros | None:
        """The due time whose jobs are being prepared."""
        at, task = self._preparing.get(schedule.name, (None, None))
        return None if task is None or task.done() else at

    async def _handle(self, schedule: Schedule, due: list[Micros], now: Micros) -> None:
        decision = decide(schedule, due, now, clock_changed=self._clock_changed(now))
        await self._record(decision.missed)
        if decision.fires is not None:
            at = decision.fires
            task = asyncio.create_task(self._fire(schedule, _firing(schedule, at, now)), name="dbtend-firing")
            self._preparing[schedule.name] = at, task

    async def _fire(self, schedule: Schedule, firing: Firing) -> None:
        try:
            recorded = await fire_and_record(
                self._store, self._manager, schedule, self._watch.config, firing, self._clock
            )
        except StoreError as error:
            self._not_yet(schedule, error)
            return
        if recorded.firing is not None:
            self._fired += recorded.firing.status is FiringStatus.FIRED
            self._tell(recorded.firing)

    def _not_yet(self, schedule: Schedule, error: StoreError) -> None:
        log.warning("schedule %s: %s; it is tried again", schedule.name, error)
        self._next.pop(schedule.name, None)

    async def _record(self, firings: Collection[Firing]) -> None:
        for one in await self._store.record_firings(firings) if firings else ():
            self._tell(one)

    def _tell(self, firing: Firing) -> None:
        due = datetime.fromtimestamp(firing.due_at / 1e6).astimezone().isoformat(" ", "minutes")
        details = [
            f"batch b{firing.batch}" if firing.batch is not None else "",
            firing.reason or "",
            firing.error or "",
        ]
        more = ", ".join(filter(None, details))
        log.info("schedule %s, due %s: %s%s", firing.schedule, due, firing.status, f" ({more})" if more else "")


def _firing(schedule: Schedule, at: Micros, now: Micros) -> Firing:
    return Firing(schedule=schedule.name, due_at=at, status=FiringStatus.FIRED, recorded_at=now)


@asynccontextmanager
async def scheduling(
    store: Store, manager: DatabaseMaintenanceManager, config: Path, *, clock: Callable[[], Micros]
) -> AsyncIterator[None]:
    """Fire the schedules of a config file while inside, unless another process does."""
    async with in_background(_lead(store, manager, config, clock), "dbtend-schedules"):
        yield


async def _lead(store: Store, manager: DatabaseMaintenanceManager, config: Path, clock: Callable[[], Micros]) -> None:
    scheduler, logged = Scheduler(store, manager, config, clock=clock), ""
    while True:
        try:
            async with store.holding_role(role_of(config_name(config, store))) as is_leader:
                if is_leader:
                    logged = ""
                    await scheduler.run()
            await scheduler.read_config()
        except StoreError as error:  # the disk is full, or the server away: that may pass
            if str(error) != logged:
                logged = str(error)
                log.warning("schedules cannot be fired now: %s; it is tried again", error)
        except Exception:  # a defect must not end it for good
            log.exception("schedules cannot be fired now")
        finally:
            await scheduler.close()
        await pause_loop(INTERVAL)


async def is_led(store: Store, config: Path) -> bool:
    """Whether a process fires the schedules of a config file. Raises StoreError."""
    return await store.role_is_held(role_of(config_name(config, store)))
