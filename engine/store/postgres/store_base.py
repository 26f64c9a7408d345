"""What all parts of the shared store use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from psycopg.rows import TupleRow

from engine.domain.claims import Claim
from engine.domain.jobs import JobId
from engine.domain.steps import Micros
from engine.store.postgres import values
from engine.store.postgres.change_watch import ChangeWatch
from engine.store.postgres.connections import Pool
from engine.store.postgres.host_targets import HostTargets
from engine.store.postgres.queries import has_namesake
from engine.store.postgres.refusals import namesake_error
from engine.store.postgres.roles import Role


class StoreBase:
    """The connections of an open store, and who uses it."""

    def __init__(
        self,
        url: str,
        what: str,
        pool: Pool,
        watch: ChangeWatch,
        clock: Callable[[], Micros] | None,
        who: str,
        host: str,
        machine: str,
        queues: Sequence[str],
        rights: frozenset[Role] = frozenset(Role),
    ) -> None:
        """
        Args:
            what: the name of the store in errors, without a password.
            clock: for tests; None: the server's.
            who: who uses it, as the history shows it.
            host: the name of this host.
            machine: what tells it from others of that name; "" if unknown.
            queues: those that workers of this process serve, beside that of its host.
            rights: those of its user.
        """
        self._url, self._what = url, what
        self._pool = pool
        self._claims = HeldClaims()
        self._watch = watch
        self._clock = clock
        self._who = who
        self._rights = rights
        self._targets_here = HostTargets(host, queues)
        self._machine = machine
        self._queues = self._targets_here.served
        self._run: str | None = None
        """The run for which submitted jobs are reserved."""

    def _at(self) -> Micros | None:
        """The time for a write; None: the server's clock."""
        return None if self._clock is None else self._clock()

    async def _now(self) -> Micros:
        if self._clock is not None:
            return self._clock()
        ((now,),) = await self._pool.rows("SELECT now_micros()")
        return int(now)

    async def _refuse_namesake(self) -> None:
        """Raises StoreError where another machine works under the name of this host: it has other files."""
        ((has_one,),) = await self._pool.rows(*has_namesake(self._targets_here.host, self._machine))
        if has_one:
            raise namesake_error(self._targets_here.host)

    def _stored(self, target: str) -> str:
        """A target as a parameter of a query."""
        return values.clean(self._targets_here.stored(target))

    def _here(self, rows: Iterable[TupleRow], column: int = 0) -> list[TupleRow]:
        """Rows with the targets in a column as this host names them."""
        here = self._targets_here.here
        return [(*row[:column], here(row[column]), *row[column + 1 :]) for row in rows]


Held = tuple[str, JobId, int]
"""The owner, the child and the attempt of a claim."""


class HeldClaims:
    """The server may carry out a claim whose answer is lost: the child then reads running, without a process."""

    def __init__(self) -> None:
        self._held: set[Held] = set()
        self._asked: set[asyncio.Event] = set()
        """Claims on their way; each is set when it has its answer, or never gets one."""
        self.may_be_unknown = False
        """Whether an answer was lost since the owner looked for such children."""

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a claim, until it is taken."""
        answered = asyncio.Event()
        self._asked.add(answered)
        try:
            yield
        except BaseException:
            self.may_be_unknown = True
            raise
        finally:
            self._asked.discard(answered)
            answered.set()

    def take(self, claim: Claim | None) -> Claim | None:
        if claim is not None:
            self._held.add(_of(claim))
        return claim

    def drop(self, claim: Claim) -> None:
        """Forget a claim: its child has ended, or belongs to another process."""
        self._held.discard(_of(claim))

    async def knows(self, held: Held) -> bool:
        """Whether a child that this process owned by the store a moment ago was claimed with an answer."""
        for answered in list(self._asked):
            await answered.wait()
        return held in self._held


def _of(claim: Claim) -> Held:
    return claim.owner, claim.job, claim.attempt
