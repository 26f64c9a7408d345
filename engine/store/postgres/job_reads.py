"""Looks up jobs and what they found; see `JobReader` and `ChangeFeed`."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from engine.domain.advice import Measurement, TargetRecords
from engine.domain.batches import Batch, Retries
from engine.domain.damage import Damage
from engine.domain.errors import no_such_batch, no_such_job
from engine.domain.events import Change, HistoryFilter, Pause
from engine.domain.jobs import JobId, ParentJob
from engine.domain.past_runs import EstimatedRun, PastRun, PastStep
from engine.domain.requests import Operation, Speed
from engine.domain.steps import Micros
from engine.domain.turns import Turns
from engine.store.damage_rows import decoded_damage
from engine.store.id_ranges import first_ids, id_ranges, portions
from engine.store.postgres import history_search, queries
from engine.store.postgres.store_base import StoreBase
from engine.store.rows import (
    decode_backup,
    decode_batch,
    decode_change,
    decode_estimated_run,
    decode_jobs,
    decode_last_done,
    decode_measured,
    decode_past_steps,
    decode_retries,
    decode_run,
    decode_turns,
)

ANY_ID = 2**63 - 1


class JobReads(StoreBase):
    """Looks up jobs and what they found; see `JobReader` and `ChangeFeed`."""

    async def job(self, parent_id: int) -> ParentJob:
        for job in await self.whole_jobs([parent_id]):
            return job
        raise no_such_job(JobId(parent_id))

    async def whole_jobs(self, ids: Collection[int]) -> list[ParentJob]:
        found: dict[int, ParentJob] = {}
        for part in portions(ids):
            found |= await self._jobs(queries.WHOLE_JOBS, {"ids": part})
        return [found[parent_id] for parent_id in ids if parent_id in found]

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        found = await self._jobs(queries.JOBS, {"ids": list(ids)})
        return [found[parent_id] for parent_id in ids if parent_id in found]

    async def open_jobs(self) -> list[ParentJob]:
        found = await self._jobs(queries.OPEN_JOBS, {})
        return [found[parent_id] for parent_id in sorted(found)]

    async def _jobs(self, query: str, asked: Mapping[str, Any]) -> dict[int, ParentJob]:
        rows = await self._pool.rows(query, asked)
        return await asyncio.to_thread(decode_jobs, self._here(rows, 1))  # there may be ten thousand steps

    async def batch(self, batch_id: int) -> Batch:
        for row in await self._pool.rows(queries.BATCH, {"id": batch_id}):
            return decode_batch(row)
        raise no_such_batch(batch_id)

    async def retries(self, batch_id: int) -> Retries:
        return decode_retries(await self._pool.rows(queries.RETRIES, {"id": batch_id}))

    async def batch_span(self, batch_id: int) -> tuple[Micros | None, Micros | None]:
        ((started_at, finished_at),) = await self._pool.rows(queries.BATCH_SPAN, {"id": batch_id})
        return started_at, finished_at

    async def batch_jobs(self, batch_id: int) -> list[ParentJob]:
        found = await self._jobs(queries.BATCH_JOBS, {"id": batch_id})
        return [found[parent_id] for parent_id in sorted(found)]

    async def history(self, where: HistoryFilter, *, before: int | None, limit: int) -> list[ParentJob]:
        return await self.jobs(await first_ids(self._search(where, before=before, newest=limit), limit))

    async def records(
        self, target: str, operations: Collection[Operation], *, since: Micros, last: int, limit: int
    ) -> TargetRecords:
        asked = {"target": self._stored(target), "jobs": limit}
        together = (
            *((queries.MEASURED, asked), (queries.BACKUPS, asked), (queries.LAST_DONE, asked)),
            (queries.DAMAGE, {"targets": [asked["target"]]}),
        )
        filters = [HistoryFilter(target=target, operation=operation, since=since) for operation in operations]
        (measured, backups, last_done, damage), jobs, newest = await asyncio.gather(
            self._pool.together(*together),
            self.history(HistoryFilter(target=target), before=None, limit=last),
            asyncio.gather(*(self.history(where, before=None, limit=limit) for where in filters)),
        )
        found = next(map(decode_measured, measured), None)
        damaged = decoded_damage(self._here(damage)).get(target, ())
        if not jobs:
            return TargetRecords(jobs=jobs, measured=found, damage=damaged)
        return TargetRecords(
            jobs=jobs,
            newest=dict(zip(operations, newest, strict=True)),
            measured=found,
            damage=damaged,
            backups=[decode_backup(row) for row in backups],
            last_done=decode_last_done(last_done),
        )

    async def search(
        self, where: HistoryFilter, *, before: int | None = None, folded: bool = False
    ) -> AsyncIterator[array[int]]:
        async for ids in self._search(where, before=before, folded=folded):
            yield ids

    async def _search(
        self, where: HistoryFilter, *, before: int | None, folded: bool = False, newest: int | None = None
    ) -> AsyncIterator[array[int]]:
        """`newest`: so many ids at most of each range."""
        targets = await self._targets(where) if where.has_target else None
        if targets == []:
            return
        newest_id = ANY_ID if before is None else before - 1
        found = history_search.first_range(where, targets, newest_id=newest_id, folded=folded, newest=newest)
        ((oldest, last, ids),) = await self._pool.rows(*found)
        if oldest is None or last is None:
            return
        yield array("q", sorted(ids, key=abs, reverse=True))
        sizes = {"first": history_search.FIRST_RANGE, "largest": history_search.LARGEST_RANGE}
        for low, high in islice(id_ranges(oldest, min(last, newest_id), **sizes), 1, None):
            query = history_search.ids_in_range(where, targets, low=low, high=high, folded=folded, newest=newest)
            rows = await self._pool.rows(*query)
            yield array("q", sorted((parent_id for (parent_id,) in rows), key=abs, reverse=True))

    async def _targets(self, where: HistoryFilter) -> list[str] | None:
        """The targets that a filter means, of all that ever had a job; None where it means them all."""
        rows = [] if where.target else await self._pool.rows(history_search.TARGETS)
        known = [where.target] if where.target else [self._targets_here.here(target) for (target,) in rows]
        meant = [self._stored(target) for target in known if where.matches_target(target)]
        return None if where.target is None and len(meant) == len(known) else meant

    async def past_runs(self, target: str, operation: Operation, *, newest: int, jobs: int, runs: int) -> list[PastRun]:
        asked = {"target": self._stored(target), "operation": operation, "newest": newest, "jobs": jobs, "runs": runs}
        return [decode_run(row) for row in await self._pool.rows(queries.PAST_RUNS, asked)]

    async def estimated_runs(self, runs: int) -> list[EstimatedRun]:
        rows = await self._pool.rows(queries.ESTIMATED_RUNS, {"runs": runs})
        return [decode_estimated_run(row) for row in self._here(rows)]

    async def past_steps(
        self, target: str, operation: str, *, speed: Speed, jobs: int, runs: int
    ) -> Mapping[str, PastStep]:
        asked = {
            "target": self._stored(target),
            "operation": operation,
            "newest": ANY_ID,
            "jobs": jobs,
            "runs": runs,
            "speed": speed,
        }
        return decode_past_steps(await self._pool.rows(queries.PAST_STEPS, asked))

    async def turns(self, target: str, *, jobs: int, steps: int) -> Turns:
        works, unfinished = await self._pool.together(
            (queries.OBJECT_TURNS, {"target": self._stored(target), "steps": steps}),
            (queries.UNFINISHED_RUNS, {"target": self._stored(target), "jobs": jobs}),
        )
        return decode_turns(works, unfinished)

    async def open_targets(self) -> list[str]:
        return [self._targets_here.here(target) for (target,) in await self._pool.rows(queries.OPEN_TARGETS)]

    async def measured_and_damage(self, target: str) -> tuple[Measurement | None, Sequence[Damage]]:
        stored = self._stored(target)
        measured, damage = await self._pool.together(
            (queries.MEASURED, {"target": stored}), (queries.DAMAGE, {"targets": [stored]})
        )
        return next(map(decode_measured, measured), None), decoded_damage(damage).get(stored, ())

    async def damage(self, targets: Collection[str]) -> Mapping[str, Sequence[Damage]]:
        names = [self._stored(target) for target in targets]
        return decoded_damage(self._here(await self._pool.rows(queries.DAMAGE, {"targets": names})))

    async def count(self) -> int:
        ((number,),) = await self._pool.rows(history_search.COUNT)
        return int(number)

    async def has_open_jobs(self) -> bool:
        ((is_open,),) = await self._pool.rows(queries.IS_OPEN)
        return bool(is_open)

    async def has_served_jobs(self) -> bool:
        ((is_served,),) = await self._pool.rows(queries.IS_SERVED, {"ours": self._targets_here.served})
        return bool(is_served)

    async def paused(self) -> Pause | None:
        found = [Pause(at=at, by=by) for at, by in await self._pool.rows(queries.PAUSE)]
        return found[0] if found else None

    def last_change(self) -> int:
        return self._watch.last_change

    def lapses(self) -> int:
        return self._watch.lapses

    async def changes(self, after: int, limit: int) -> list[Change]:
        rows = await self._pool.rows(queries.CHANGES, {"after": after, "limit": limit})
        return [decode_change(row) for row in rows]

    def last_cancel(self) -> int:
        return self._watch.cancels.last_change

    async def next_cancel(self, after: int) -> None:
        await self._watch.cancels.wait_beyond(after)

    async def next_change(self, after: int) -> None:
        await self._watch.wait_beyond(after)

    async def ended_jobs(self, since: Micros, *, limit: int) -> array[int]:
        rows = await self._pool.rows(queries.ENDED, {"since": since, "limit": limit})
        return array("q", [parent_id for (parent_id,) in rows])

    async def runs_by_size(self, runs: int) -> list[EstimatedRun]:
        rows = await self._pool.rows(queries.RUNS_BY_SIZE, {"runs": runs})
        return [decode_estimated_run(row) for row in self._here(rows)]
