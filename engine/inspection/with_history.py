"""Advice on a target with what the store knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from engine.domain.advice import Advice, Measurement, TargetHistory
from engine.domain.damage import Damage, DamageSource, newly_seen
from engine.domain.errors import ServerDiedError, StoreError, TargetDamagedError, TargetError
from engine.domain.server_names import names_server
from engine.domain.steps import Micros
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.history import stale_journal
from engine.history.target_history import damage_record, target_history
from engine.inspection import inspector
from engine.system.overwritten_file import leftover_journals
from engine.targets import resolve

if TYPE_CHECKING:
    from engine.store.protocol import JobReader, Store
    from engine.targets.operation_specs import TargetInfo


async def advise(
    store: Store,
    target: str,
    now: Micros,
    *,
    budget: float | None,
    limits: Thresholds = DEFAULT_THRESHOLDS,
    read_only: bool = False,
    recover: bool = False,
) -> tuple[Advice, ...]:
    """See `Engine.advise`. Raises TargetError."""
    url, past = await _known(store, target, now)
    async with noting(store, url, past, now, read_only=read_only):
        advice, measured = await inspector.advise_and_measure(
            target, past, budget=budget, limits=limits, read_only=read_only, recover=recover
        )
    if not read_only:
        await _keep(store, url, past, advice, measured)
    return advice


async def inspect_and_advise(
    store: Store, target: str, now: Micros, *, budget: float | None, limits: Thresholds, read_only: bool
) -> tuple[TargetInfo, tuple[Advice, ...]]:
    """See `Engine.inspect_and_advise`. Raises TargetError."""
    url, past = await _known(store, target, now)
    async with noting(store, url, past, now, read_only=read_only):
        info, advice, measured = await inspector.inspect_and_advise(
            target, past, budget=budget, limits=limits, read_only=read_only, recover=False, opened=lambda: None
        )
    if not read_only:
        await _keep(store, url, past, advice, measured)
    return info, advice


async def _known(store: Store, target: str, now: Micros) -> tuple[str, TargetHistory]:
    """The canonical URL of a target that is opened next, and its history. Raises TargetError."""
    url = await url_to_open(store, target)
    return url, await past_of(store, url, now)


async def url_to_open(store: Store, target: str) -> str:
    """The canonical URL of a target that is opened next. Raises TargetRefusedError, UsageError."""

    def look() -> tuple[str, bool]:
        url = inspector.canonical_url(target)  # resolving links may be slow
        return url, bool(leftover_journals(url))

    url, has_journal = await asyncio.to_thread(look)
    if has_journal:
        await stale_journal.refuse_stale_journal(store, url)
    return url


@asynccontextmanager
async def noting(store: Store, url: str, past: TargetHistory, now: Micros, *, read_only: bool) -> AsyncIterator[None]:
    """Around an inspection: damage that keeps the database from being opened is recorded."""
    try:
        yield
    except TargetDamagedError as error:
        if not read_only:
            await note_error(store, url, past, error, now)
        raise


async def _keep(
    store: Store, url: str, past: TargetHistory, advice: Sequence[Advice], measured: Measurement | None
) -> None:
    await note_damage(store, url, past, [one for item in advice for one in item.seen_damage])
    if measured is not None:
        with suppress(StoreError):  # then the next call measures again
            await store.save_measurement(url, measured)


async def note_error(store: Store, url: str, past: TargetHistory, error: TargetDamagedError, at: Micros) -> None:
    """Record the damage that kept an inspection from reading a database. `at`: when that began."""
    if isinstance(error, ServerDiedError):  # that is known by each URL of the database
        with suppress(StoreError):
            await store.name_database(url, error.database)
    await note_damage(store, url, past, [Damage.of_error(error, source=DamageSource.INSPECTION, at=at)])


async def note_damage(store: Store, url: str, past: TargetHistory, seen: Sequence[Damage]) -> None:
    """Record damage that was seen, if it is not on record. A store that cannot be written hears of it the next time."""
    if change := newly_seen(damage_record(past), seen):
        await learn_database(store, url, is_damaged=True)
        with suppress(StoreError):
            await store.save_damage(url, change)


async def learn_database(store: Store, url: str, *, is_damaged: bool = False) -> None:
    """Keep which database this URL names: damage that is on record by its other names counts for this one, too.

    A server is not asked where no such damage can be, or where the store knows the answer. Files come and go: one is
    kept if it is damaged, if a job works on it, or if it was known at another path.
    """
    with suppress(StoreError, TargetError):  # then only the damage on record by this URL counts
        if names_server(url):
            if await store.has_damaged_servers() and not await store.database_names(url):
                await store.name_database(url, await resolve(url).identify())
            return
        key = await resolve(url).identify_for_damage()
        names = await store.database_names(url, key)
        if (names or is_damaged) and names.get(url) != key:
            await store.name_database(url, key)


async def past_of(store: Store, url: str, now: Micros) -> TargetHistory:
    await learn_database(store, url)
    return await past_of_file(store, url, now)


async def past_of_file(store: JobReader, url: str, now: Micros) -> TargetHistory:
    """The history of a target by this URL alone. For a file: of the file that is there now."""
    try:
        file = await asyncio.to_thread(inspector.fingerprint, url)  # a disk may hang
    except TargetError:  # the inspection that follows reports it
        file = None
    return await target_history(store, url, now, file)
