"""Submits, cancels, claims and finishes jobs; see `JobWriter`, `JobClaims` and `HistoryPruning`."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.domain.advice import Measurement
from engine.domain.claims import Claim, Outcome, Report
from engine.domain.errors import OwnershipLostError, StoreBusyError, StoreError, StoreUncertainError
from engine.domain.jobs import JobId
from engine.domain.lazy_import import lazy
from engine.domain.requests import OnDuplicate
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.store.postgres import queries, values
from engine.store.postgres.ownership import LostClaims
from engine.store.protocol import NewBatch, NewJob
from engine.store.rows import FIRINGS_KEPT, FIRINGS_KEPT_OF_EACH

if TYPE_CHECKING:
    import importlib.metadata as metadata

else:
    metadata = lazy("importlib.metadata", "only a worker process tells its version")


class JobWrites(LostClaims):
    """Submits, cancels, claims and finishes jobs; see `JobWriter`, `JobClaims` and `HistoryPruning`."""

    async def submit(
        self, jobs: Sequence[NewJob], on_duplicate: OnDuplicate, batch: NewBatch | None = None
    ) -> list[int]:
        await self._refuse_namesake()
        submission = uuid.uuid4().hex
        new = values.as_jsonb([values.new_job(job, self._targets_here) for job in jobs])
        try:
            ids = await self._pool.call(
                *("submit", new, on_duplicate, values.new_batch(batch), submission, self._run, self._who, self._at())
            )
        except StoreBusyError as error:
            ids = await self._submitted(submission, error)
            if not ids:
                raise StoreBusyError(error.what, f"{error.why}: nothing was submitted", error.hint) from error
            if len(ids) < len(jobs):  # which open jobs the others joined was in the answer
                why = f"{error.why}; the new jobs are submitted"
                raise StoreUncertainError(error.what, why, "look at `dbtend history`") from error
        self._pool.acknowledged.note_jobs(ids)
        return list(ids)

    async def begin_batch(self, batch: NewBatch, jobs: int) -> int:
        await self._refuse_namesake()
        return int(await self._pool.call("begin_batch", values.new_batch(batch), jobs, self._at()))

    async def _submitted(self, submission: str, error: StoreBusyError) -> list[int]:
        """The stored jobs of a submit whose answer was lost."""
        try:
            return list(await self._pool.call("submitted", submission))
        except StoreError:
            why = f"{error.why}; this may or may not be submitted"
            raise StoreUncertainError(error.what, why, "look at `dbtend history` first") from error

    async def claim(self, owner: str, parents: Collection[int] | None = None, run: str | None = None) -> Claim | None:
        if self._claims.may_be_unknown:
            await self._hand_back_unknown(owner)
        among = None if parents is None else list(parents)
        with self._claims.asking():
            found = await self._pool.call("claim", owner, self._queues, among, run, self._at())
            return self._claims.take(values.claim(found, owner, self._targets_here))

    async def require_owned(self, claim: Claim) -> None:
        parent, ordinal = claim.job.parent, claim.job.ordinal
        asked = {"parent": parent, "ordinal": ordinal, "owner": claim.owner, "attempt": claim.attempt}
        ((is_owned,),) = await self._pool.rows(queries.IS_OWNED, asked)
        if not is_owned:
            raise OwnershipLostError(f"{claim.job} is no longer run by this process")

    async def report(self, claim: Claim, report: Report) -> None:
        await self._pool.call("report", values.token(claim), values.report(report))

    async def finish(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        ended = (values.token(claim), values.outcome(outcome), values.report(report))
        with self._ending(claim):
            await self._pool.call("finish", *ended, self._at())

    async def finish_and_claim(
        self,
        claim: Claim,
        outcome: Outcome,
        report: Report,
        parents: Collection[int] | None = None,
        run: str | None = None,
    ) -> Claim | None:
        if self._claims.may_be_unknown:
            await self._hand_back_unknown(claim.owner)
        among = None if parents is None else list(parents)
        ended = (values.token(claim), values.outcome(outcome), values.report(report))
        with self._ending(claim), self._claims.asking():
            found = await self._pool.call("finish_and_claim", *ended, self._queues, among, run, self._at())
            return self._claims.take(values.claim(found, claim.owner, self._targets_here))

    async def release(self, claim: Claim, report: Report) -> None:
        with self._ending(claim):
            await self._pool.call("release", values.token(claim), values.report(report), self._at())

    @contextmanager
    def _ending(self, claim: Claim) -> Iterator[None]:
        """Around what ends a claim. Told again because its answer was lost, it changes nothing."""
        try:
            yield
        except OwnershipLostError:
            self._claims.drop(claim)
            raise
        self._claims.drop(claim)

    async def cancel_requests(self, owner: str) -> set[JobId]:
        rows = await self._pool.rows(queries.CANCEL_REQUESTS, {"owner": owner})
        return {JobId(parent_id, ordinal) for parent_id, ordinal in rows}

    async def has_pending(self, parents: Collection[int] | None = None, run: str | None = None) -> bool:
        among = None if parents is None else list(parents)
        asked = {"queues": self._queues, "parents": among, "run": run}
        ((is_there,),) = await self._pool.rows(queries.HAS_PENDING, asked)
        return bool(is_there)

    async def request_cancel(self, job: JobId, reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        await self._pool.call("request_cancel", job.parent, job.ordinal, reason, self._who, self._at())

    async def cancel_all(self, parent_ids: Collection[int], reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        await self._pool.call("cancel_all", list(parent_ids), reason, self._who, self._at())

    async def cancel_batch(self, batch_id: int) -> None:
        await self._pool.call("cancel_batch", batch_id, self._who, self._at())

    async def pause(self, by: str) -> None:
        await self._pool.call("pause", by, self._at())

    async def resume(self) -> None:
        await self._pool.call("resume", self._at())

    async def pin(self, parent_id: int, pinned: bool) -> None:
        await self._pool.call("pin", parent_id, pinned)

    async def prunable(self, status: Status, *, before: Micros, keep_last: int, after: int, limit: int) -> list[int]:
        asked = {"status": status, "before": before, "keep_last": keep_last, "after": after, "limit": limit}
        return [parent_id for (parent_id,) in await self._pool.rows(queries.PRUNABLE, asked)]

    async def prune(self, parent_ids: Collection[int]) -> int:
        return int(await self._pool.call("prune", list(parent_ids)))

    async def prune_changes(self, *, before: Micros, limit: int) -> int:
        return int(await self._pool.call("prune_changes", before, limit))

    async def prune_firings(self) -> None:
        await self._pool.call("prune_firings", await self._now() - FIRINGS_KEPT, FIRINGS_KEPT_OF_EACH)

    async def save_measurement(self, target: str, measured: Measurement) -> None:
        found = values.facts_text(measured.found)
        await self._pool.call("save_measurement", self._stored(target), measured.state, found, self._at())
