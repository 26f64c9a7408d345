"""Children whose claim the server has carried out without the knowledge of their owner: the answer was lost."""

from __future__ import annotations

from contextlib import suppress

from engine.domain.claims import Report
from engine.domain.errors import OwnershipLostError, StoreError
from engine.domain.jobs import JobId
from engine.store.postgres import queries, values
from engine.store.postgres.store_base import StoreBase


class LostClaims(StoreBase):
    """What an owner does about claims that it lost, or whose answer it never got."""

    async def _hand_back_unknown(self, owner: str) -> None:
        """Hand back the children that this process owns by the word of the store alone."""
        self._claims.may_be_unknown = False
        try:
            for parent, ordinal, attempt in await self._pool.rows(queries.OWNED, {"owner": owner}):
                if not await self._claims.knows((owner, JobId(parent, ordinal), attempt)):
                    token = {"parent": parent, "ordinal": ordinal, "owner": owner, "attempt": attempt}
                    with suppress(OwnershipLostError):  # it has ended by now
                        await self._pool.call("release", values.as_jsonb(token), values.report(Report()), self._at())
        except StoreError:
            self._claims.may_be_unknown = True
            raise
