"""Schedules and surveys; see `ScheduleStore` and `SurveyStore`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.damage import Damage, DamageChange
from engine.domain.lazy_import import lazy
from engine.domain.schedules import Firing, ScheduleState
from engine.domain.steps import Micros
from engine.domain.surveys import LastJob, Survey
from engine.store.damage_rows import decoded_damage
from engine.store.postgres import queries, values
from engine.store.postgres.store_base import StoreBase
from engine.store.protocol import NewBatch, NewJob
from engine.store.row_checks import LATEST
from engine.store.rows import decode_firing, decode_state
from engine.store.survey_rows import COLUMNS as SURVEY
from engine.store.survey_rows import KEPT as SURVEYS_KEPT
from engine.store.survey_rows import decoded_last_jobs, decoded_surveys, encode_survey

if TYPE_CHECKING:
    import importlib.metadata as metadata

else:
    metadata = lazy("importlib.metadata", "only a worker process tells its version")


class PlannedWork(StoreBase):
    """Schedules and surveys; see `ScheduleStore` and `SurveyStore`."""

    async def schedule_states(self) -> Mapping[str, ScheduleState]:
        states = map(decode_state, await self._pool.rows(queries.SCHEDULE_STATES))
        return {state.name: state for state in states}

    async def observe_schedules(self, seen: Collection[ScheduleState]) -> None:
        states = [{"name": one.name, "start": one.start, "config": one.config, "since": one.since} for one in seen]
        await self._pool.call("observe_schedules", values.as_jsonb(states))

    async def forget_schedules(self, names: Collection[str]) -> None:
        await self._pool.call("forget_schedules", list(names))

    async def enable_schedule(self, name: str) -> None:
        await self._pool.call("enable_schedule", name, self._at())

    async def disable_schedule(self, name: str, by: str) -> None:
        await self._pool.call("disable_schedule", name, values.clean(by), self._at())

    async def last_handled(self, schedule: str, now: Micros) -> Micros | None:
        rows = await self._pool.rows(queries.LAST_HANDLED, {"schedule": schedule, "now": now})
        return next((at for (at,) in rows), None)

    async def last_fired(self, schedule: str, since: Micros) -> Micros | None:
        rows = await self._pool.rows(queries.LAST_FIRED, {"schedule": schedule, "since": since})
        return next((at for (at,) in rows), None)

    async def open_batch(self, schedule: str) -> int | None:
        ((found,),) = await self._pool.rows("SELECT open_batch(%s)", (schedule,))
        return None if found is None else int(found)

    async def fire(self, firing: Firing, jobs: Sequence[NewJob], batch: NewBatch) -> Firing | None:
        await self._refuse_namesake()
        new = values.as_jsonb([values.new_job(job, self._targets_here) for job in jobs])
        asked = (values.firing(firing), new, values.new_batch(batch), None, self._run, self._who, self._at())
        rows = await self._pool.write(queries.FIRE, asked)
        return decode_firing(rows[0]) if rows else None

    async def record_firings(self, firings: Collection[Firing]) -> list[Firing]:
        asked = values.as_jsonb([values.firing_values(firing) for firing in firings])
        return [decode_firing(row) for row in await self._pool.write(queries.RECORD_FIRINGS, (asked,))]

    async def firings(
        self, schedule: str | None = None, *, since: Micros | None = None, until: Micros | None = None, limit: int
    ) -> list[Firing]:
        asked = {"schedule": schedule, "since": since or 0, "until": LATEST if until is None else until, "limit": limit}
        return [decode_firing(row) for row in await self._pool.rows(queries.FIRINGS, asked)]

    async def surveys(self, targets: Collection[str]) -> Mapping[str, Survey]:
        names = [self._stored(target) for target in targets]
        return decoded_surveys(self._here(await self._pool.rows(queries.SURVEYS, {"targets": names})))

    async def save_surveys(self, done: Collection[Survey]) -> None:
        await self._refuse_namesake()
        stored = [replace(survey, target=self._targets_here.stored(survey.target)) for survey in done]
        rows = [dict(zip(SURVEY, encode_survey(survey), strict=True)) for survey in stored]
        await self._pool.call("save_surveys", values.as_jsonb(rows), await self._now() - SURVEYS_KEPT)

    async def known_databases(self) -> frozenset[str]:
        return frozenset([target for (target,) in self._here(await self._pool.rows(queries.KNOWN))])

    async def forget_databases(self, targets: Collection[str]) -> None:
        await self._pool.call("forget_databases", [self._stored(target) for target in targets])

    async def has_damaged_servers(self) -> bool:
        ((is_damaged,),) = await self._pool.rows(queries.HAS_DAMAGED_SERVERS)
        return bool(is_damaged)

    async def database_names(self, target: str, database: str = "") -> Mapping[str, str]:
        asked = {"target": self._stored(target), "database": self._targets_here.database(database)}
        rows = self._here(await self._pool.rows(queries.NAMES, asked))
        return {name: self._targets_here.database_here(key) for name, key in rows}

    async def name_database(self, target: str, database: str) -> Sequence[Damage]:
        if (await self.database_names(target)).get(target) != database:
            await self._refuse_namesake()
            await self._pool.call("name_database", self._stored(target), self._targets_here.database(database))
        rows = await self._pool.rows(queries.DAMAGE, {"targets": [self._stored(target)]})
        return decoded_damage(self._here(rows)).get(target, ())

    async def save_damage(self, target: str, change: DamageChange) -> None:
        await self._refuse_namesake()
        await self._pool.call("save_damage", self._stored(target), values.damage(change))

    async def last_jobs(self, targets: Collection[str]) -> Mapping[str, LastJob | None]:
        names = [self._stored(target) for target in targets]
        return decoded_last_jobs(self._here(await self._pool.rows(queries.LAST_JOBS, {"targets": names})))
