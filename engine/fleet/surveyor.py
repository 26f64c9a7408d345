"""Surveys many targets: a few at once, fewer on each server, and each within a limit of time."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from engine.config.model import TargetEntry
from engine.domain.advice import TargetHistory
from engine.domain.engines import EngineName, engine_of_head
from engine.domain.errors import (
    DbtendError,
    StoreError,
    TargetDamagedError,
    TargetError,
    TargetMissingError,
    TargetUnavailableError,
    TargetUnrecognizedError,
)
from engine.domain.frozen import frozen
from engine.domain.steps import Micros
from engine.domain.surveys import NOT_INSPECTED, LastJob, Survey, with_figures_of
from engine.fleet.expansion import Unlisted
from engine.fleet.levels import Disk, Judgement, judge, judge_error, judge_never_surveyed, judge_silence, still_critical
from engine.history.stale_journal import refuse_stale_journal
from engine.history.target_history import target_history, with_damage
from engine.inspection import inspector
from engine.inspection.with_history import learn_database, note_damage, note_error
from engine.system.daemon_threads import DaemonThreads
from engine.system.file_headers import heads_of
from engine.system.paths import real_path
from engine.targets import engine_named, file_named, lexical_url, resolve
from engine.targets.host_queue import PER_HOST, as_they_end
from engine.targets.operation_specs import TargetInfo

if TYPE_CHECKING:
    from engine.domain.advice import Advice, Measurement
    from engine.store.protocol import Store

_T = TypeVar("_T")
AT_ONCE: Final = 4
AT_A_TIME: Final = 1_000
"""How many targets are begun with before others: each takes some memory."""
TOGETHER: Final = 100
"""How many files of a directory are asked for in one thread."""
DISKS_AT_ONCE: Final = 16
"""How many files and directories are read at once, without those whose disk does not answer promptly."""
HANGING: Final = 64
"""How many files and directories are read at once, with those whose disk does not answer promptly."""
PROMPT: Final = 0.5
"""Seconds after which those are surveyed whose disk has answered; the others follow."""
TIME_LIMIT: Final = 5.0
"""Seconds for each target."""
SMALL_FILE: Final = 16_000_000
"""Bytes of a file that is read as a whole, in milliseconds: its survey says the same on a busy machine."""
BUDGET_OF_SMALL: Final = 1.0
"""Seconds for expensive measurements of a small file."""
BUDGET: Final = 0.1
"""Seconds for expensive measurements of a file that is not small: a sample of its pages is enough."""
FRESH: Final = 3_600 * 1_000_000
"""Microseconds for which a survey is not repeated, unless its target has changed."""


@frozen
class Surveyed:
    """A target with its survey."""

    entry: TargetEntry
    survey: Survey


@frozen(kw_only=True)
class _Inspected:
    """A survey with the rest of what its inspection found."""

    survey: Survey
    advice: Sequence[Advice] = ()
    measured: Measurement | None = None
    error: DbtendError | None = None
    """Why there is no advice."""


@frozen
class _Subject:
    """A target to survey."""

    entry: TargetEntry
    url: str
    engine: EngineName
    host: str | None
    state: str
    is_small: bool
    is_silent: bool = False
    """Whether its disk gave no answer."""
    is_elsewhere: bool = False
    """Whether it is a file of another host."""


class _Made(NamedTuple):
    subjects: Sequence[_Subject]
    left: Sequence[TargetEntry] = ()
    """The targets whose disk gave no prompt answer while others were surveyed, too."""


class Surveyor:
    """Surveys targets and keeps the result in a store, unless that is read-only."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], Micros],
        *,
        read_only: bool = False,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._store, self._clock, self._read_only = store, clock, read_only
        self._time_limit = time_limit
        self._disks_at_once, self._threads = asyncio.Semaphore(DISKS_AT_ONCE), DaemonThreads(HANGING)
        self._asked: dict[Path, asyncio.Task[bool | None]] = {}
        """The directories of files; where one gives no answer, its files are not waited for."""
        self._silent: set[str] = set()
        """Servers that gave no answer: their other databases are not waited for."""
        self._with_jobs: set[str] = set()
        """The targets that ever had a job, by canonical URL: only of these there is a history."""
        self._known: frozenset[str] | None = None
        """The databases that the store knows, once one of them cannot be opened."""

    async def survey(self, entries: Sequence[TargetEntry], *, refresh: bool = False) -> AsyncGenerator[Surveyed]:
        """The survey of each target, as it comes; one that cannot be inspected gets a survey that says why.

        `refresh`: survey all of them; otherwise only those without a fresh survey.
        """
        self._silent.clear()
        async with aclosing(self._subjects(entries)) as groups:
            async for subjects in groups:
                async with aclosing(self._survey_all(subjects, refresh=refresh)) as surveyed:
                    async for one in surveyed:
                        yield one

    async def needing_nothing(self, entries: Sequence[TargetEntry]) -> Collection[str]:
        """The URLs of those with a fresh survey that has no reason to do anything."""
        found = set[str]()
        async with aclosing(self._subjects(entries)) as groups:
            async for subjects in groups:
                here = [subject for subject in subjects if not (subject.is_elsewhere or subject.is_silent)]
                kept = await self._fresh(here, await self._store.last_jobs([subject.url for subject in here]))
                found |= {one.entry.url for one in here if one.url in kept and not kept[one.url].reasons}
        return found

    async def _subjects(self, entries: Sequence[TargetEntry]) -> AsyncGenerator[Sequence[_Subject]]:
        """The subjects of a survey, in the order in which disks answer."""
        self._asked.clear()
        making: list[asyncio.Task[_Made]] = []
        left = iter(entries)
        try:
            groups = _groups(islice(left, AT_A_TIME))
            while making := making + [asyncio.create_task(self._made_of(*group)) for group in groups]:
                done, _ = await asyncio.wait(making, timeout=PROMPT)
                made = [task.result() for task in making if task in done]
                making = [task for task in making if task not in done]
                groups = [(None, (entry,)) for one in made for entry in one.left] or _groups(islice(left, AT_A_TIME))
                yield [subject for one in made for subject in one.subjects]
        finally:
            for task in (*making, *self._asked.values()):
                task.cancel()

    async def advise(self, entry: TargetEntry, *, budget: float, server_wait: float) -> Sequence[Advice]:
        """The advice on a target before a job; what its inspection finds is its survey, too. Raises TargetError.

        A hot journal is rolled back.

        Args:
            budget: seconds for expensive measurements.
            server_wait: seconds to wait for a server that died under the inspection.
        """
        ((subject,), _) = await self._made_of(_directory_of(entry), [entry])
        if subject.is_elsewhere:
            inspector.fingerprint(subject.url)  # raises
        if subject.is_silent:
            await self._keep([self._survey(subject, judge_silence(self._time_limit))])
            raise TargetUnavailableError(subject.url, f"its disk gave no answer in {self._time_limit:.0f} s")
        self._with_jobs |= set(await self._store.last_jobs([subject.url]))

        async def inspected(budget: float | None) -> _Inspected:
            found = await self._inspect(subject, budget, lambda: None, recover=True)
            await self._keep([found.survey])
            if found.error is not None:
                raise found.error
            return found

        found = await inspector.again_if_server_died(subject.url, inspected, budget, seconds=server_wait)
        if found.measured is not None and not self._read_only:
            with suppress(StoreError):  # then the next call measures again
                await self._store.save_measurement(subject.url, found.measured)
        return found.advice

    async def note_unopened(self, errors: Mapping[str, DbtendError], are_jobs: bool) -> None:
        """Keep the surveys of targets that a submit could not open, by canonical URL: as the next survey finds them.

        `are_jobs`: whether each of them has a job that failed; else only of databases that the store knows.
        """
        with suppress(StoreError):  # then the next survey says so
            subjects = [
                _Subject(TargetEntry(name=url, url=url), url, engine_named(url), None, "", is_small=False)
                for url in errors
                if are_jobs or await self._is_known(url)
            ]
            await self._keep(
                [self._survey(subject, await self._judge_error(subject, errors[subject.url])) for subject in subjects]
            )

    async def _survey_all(self, subjects: Sequence[_Subject], *, refresh: bool) -> AsyncGenerator[Surveyed]:
        elsewhere = {subject.url: subject for subject in subjects if subject.is_elsewhere}
        known = await self._store.surveys(list(elsewhere)) if elsewhere else {}
        for url, subject in elsewhere.items():  # their own host keeps their surveys
            yield Surveyed(subject.entry, known.get(url) or self._survey(subject, self._judge_elsewhere(url)))
        subjects = [subject for subject in subjects if not subject.is_elsewhere]
        last_jobs = await self._store.last_jobs([subject.url for subject in subjects])
        self._with_jobs |= set(last_jobs)
        kept = {} if refresh else await self._fresh(subjects, last_jobs)
        for subject in subjects:
            if subject.url in kept:
                yield Surveyed(subject.entry, kept[subject.url])
        missing = [subject for subject in subjects if subject.url not in kept]
        surveying = as_they_end(
            missing,
            lambda subject: subject.host,
            self._within_limit,
            at_once=AT_ONCE,
            per_host=PER_HOST,
        )
        async with aclosing(surveying):
            async for ended in surveying:
                surveys = await self._keep([survey for _, survey in ended])
                for (subject, _), survey in zip(ended, surveys, strict=True):
                    yield Surveyed(subject.entry, survey)

    def _judge_elsewhere(self, url: str) -> Judgement:
        """The level of a file of another host which was never surveyed there."""
        if self._store.hosts is not None:
            return judge_never_surveyed(inspector.elsewhere(url) or "")
        try:
            inspector.fingerprint(url)
        except DbtendError as error:
            return judge_error(error)
        raise AssertionError("unreachable")

    async def _made_of(self, directory: Path | None, entries: Sequence[TargetEntry]) -> _Made:
        """The subjects of the files of a directory, or of one other entry, and the entries that must be asked alone."""
        if directory is not None:
            if directory not in self._asked:
                self._asked[directory] = asyncio.create_task(self._answer(lambda: directory.exists()))
            if await asyncio.shield(self._asked[directory]) is None:
                return _Made(list(map(_silent_subject, entries)))
        if len(entries) == 1:
            subject = await self._answer(lambda: _subject(entries[0]))
            return _Made([_silent_subject(entries[0]) if subject is None else subject])
        made: list[_Subject] = []

        def make() -> None:
            for entry in entries:
                made.append(_subject(entry))  # noqa: PERF401 - those already made count when the next one hangs

        async with self._disks_at_once:
            asking = asyncio.create_task(self._threads.run(make))
            try:
                await asyncio.wait({asking}, timeout=min(PROMPT, self._time_limit))
            finally:
                asking.cancel()
        subjects = list(made)
        return _Made(subjects, entries[len(subjects) :])

    async def _answer(self, call: Callable[[], _T]) -> _T | None:
        """What `call` gives, which reads the disk; None if that gives no answer."""
        prompt = min(PROMPT, self._time_limit)
        async with self._disks_at_once:
            asking = asyncio.create_task(self._threads.run(call))
            try:
                await asyncio.wait({asking}, timeout=prompt)
            except asyncio.CancelledError:
                asking.cancel()
                raise
        try:
            await asyncio.wait({asking}, timeout=self._time_limit - prompt)
        finally:
            asking.cancel()  # what hangs in a thread is not waited for
        return asking.result() if asking.done() else None

    async def _fresh(
        self, subjects: Sequence[_Subject], last_jobs: Mapping[str, LastJob | None]
    ) -> Mapping[str, Survey]:
        surveys = await self._store.surveys([subject.url for subject in subjects])
        now = self._clock()
        return {
            subject.url: survey
            for subject in subjects
            if (survey := surveys.get(subject.url)) is not None
            and subject.entry.is_found
            and survey.state == subject.state
            and is_fresh(survey, last_jobs.get(subject.url), now)
        }

    async def _keep(self, surveys: Sequence[Survey]) -> Sequence[Survey]:
        """Save surveys; returns them so. Each without an inspection keeps the figures of the one before, and counts as
        critical where damage is on record: a server that is down shows none."""
        with suppress(StoreError):  # then the next call surveys again
            if without := [survey.target for survey in surveys if survey.size is None]:
                earlier = await self._store.surveys(without)
                damage = await self._store.damage(without)
                surveys = [
                    still_critical(with_figures_of(survey, earlier.get(survey.target)), damage.get(survey.target, ()))
                    if survey.size is None
                    else survey
                    for survey in surveys
                ]
            if not self._read_only:
                await self._store.save_surveys(surveys)
        return surveys

    async def _within_limit(self, subject: _Subject) -> Survey:
        if subject.is_silent or subject.host in self._silent:
            return self._survey(subject, judge_silence(self._time_limit))
        answered = asyncio.Event()
        budget = BUDGET_OF_SMALL if subject.is_small else BUDGET
        inspecting = asyncio.create_task(self._inspect(subject, budget, answered.set))
        inspecting.add_done_callback(_retrieve)
        try:
            await asyncio.wait({inspecting}, timeout=self._time_limit)
        finally:
            inspecting.cancel()  # what hangs in a thread is not waited for
        if inspecting.done():
            return inspecting.result().survey
        if subject.host is not None and not answered.is_set():
            self._silent.add(subject.host)
        return self._survey(subject, judge_silence(self._time_limit))

    async def _inspect(
        self, subject: _Subject, budget: float | None, opened: Callable[[], object], *, recover: bool = False
    ) -> _Inspected:
        begun_at, past = self._clock(), None
        try:
            past = await self._past_of(subject)
            if subject.url in self._with_jobs:
                await refuse_stale_journal(self._store, subject.url)
            info, advice, measured = await inspector.inspect_and_advise(
                subject.entry.url,
                past,
                budget=budget,
                limits=subject.entry.thresholds,
                read_only=self._read_only,
                recover=recover,
                opened=opened,
            )
        except DbtendError as error:
            if isinstance(error, TargetDamagedError) and past is not None and not self._read_only:
                await note_error(self._store, subject.url, past, error, begun_at)
            judgement = await self._judge_error(subject, error)
            return _Inspected(survey=self._survey(subject, judgement, past=past, at=begun_at), error=error)
        if not self._read_only:
            await note_damage(self._store, subject.url, past, [one for item in advice for one in item.seen_damage])
        disk = await asyncio.to_thread(_disk_of, subject)
        judgement = judge(advice, past, disk=disk, limits=subject.entry.thresholds)
        survey = self._survey(subject, judgement, info, past, at=begun_at)
        return _Inspected(survey=survey, advice=advice, measured=measured)

    async def _judge_error(self, subject: _Subject, error: DbtendError) -> Judgement:
        if isinstance(error, TargetUnrecognizedError | TargetMissingError) and await self._is_known(subject.url):
            return judge_error(error, is_known=True)
        is_damaged = False
        if isinstance(error, TargetUnrecognizedError) and (path := file_named(subject.entry.url)) is not None:
            head = (await asyncio.to_thread(heads_of, [path]))[path]
            engine = engine_of_head(head or b"")
            is_damaged = engine is not None and engine.name == engine_named(subject.url)
        return judge_error(error, is_damaged=is_damaged)

    async def _is_known(self, url: str) -> bool:
        if self._known is None:
            self._known = await self._store.known_databases()
        return url in self._known

    async def _past_of(self, subject: _Subject) -> TargetHistory:
        if not self._read_only:
            await learn_database(self._store, subject.url)
        if subject.url not in self._with_jobs:
            measured, damage = await self._store.measured_and_damage(subject.url)
            return with_damage(TargetHistory(now=self._clock(), measured=measured), damage)
        file = None
        with suppress(TargetError):  # the inspection reports it
            file = await asyncio.to_thread(inspector.fingerprint, subject.entry.url)
        return await target_history(self._store, subject.url, self._clock(), file)

    def _survey(
        self,
        subject: _Subject,
        judgement: Judgement,
        info: TargetInfo | None = None,
        past: TargetHistory | None = None,
        *,
        at: Micros | None = None,
    ) -> Survey:
        """`at`: when its inspection began: a job that ends later may change what it found."""
        size = info.facts.get("size") if info is not None else None
        return Survey(
            target=subject.url,
            engine=subject.engine,
            surveyed_at=self._clock() if at is None else at,
            level=judgement.level,
            reasons=judgement.reasons,
            version=info.version if info is not None else "",
            size=size if isinstance(size, int) else None,
            reclaimable=judgement.reclaimable,
            checked_at=max(past.checked_at.values(), default=None) if past is not None else None,
            is_unclean=past is not None and past.found is not None and not past.checked_at,
            state=subject.state,
        )


def is_fresh(survey: Survey, last_job: LastJob | None, now: Micros) -> bool:
    """Whether a survey still holds: it is recent, and no job has ended since. `now`: in microseconds."""
    was_inspected = NOT_INSPECTED.isdisjoint(reason.cause for reason in survey.reasons)
    if not was_inspected or not 0 <= now - survey.surveyed_at <= FRESH:
        return False
    return is_after(survey, last_job)


def is_after(survey: Survey, last_job: LastJob | None) -> bool:
    """Whether no job has ended since a survey."""
    ended = last_job.ran_until if last_job is not None else None
    return ended is None or ended < survey.surveyed_at


def survey_of_unlisted(one: Unlisted, at: Micros) -> Surveyed:
    """The survey of a pattern or directory whose targets cannot be listed."""
    judgement = judge_error(one.error)
    survey = Survey(
        target=one.entry.url,
        engine=engine_named(one.entry.url),
        surveyed_at=at,
        level=judgement.level,
        reasons=judgement.reasons,
    )
    return Surveyed(one.entry, survey)


def _groups(entries: Iterable[TargetEntry]) -> list[tuple[Path | None, Sequence[TargetEntry]]]:
    """The entries by the directory of their file, not too many together; those that are no file each alone."""
    by_directory: dict[Path, list[TargetEntry]] = {}
    groups: list[tuple[Path | None, Sequence[TargetEntry]]] = []
    for entry in entries:
        directory = _directory_of(entry)
        if directory is None:
            groups.append((None, (entry,)))
        else:
            by_directory.setdefault(directory, []).append(entry)
    for directory, found in by_directory.items():
        groups += [(directory, found[at : at + TOGETHER]) for at in range(0, len(found), TOGETHER)]
    return groups


def _directory_of(entry: TargetEntry) -> Path | None:
    """The directory of a file; None for another target. Reads no disk."""
    try:
        path = file_named(entry.url)
    except DbtendError:
        return None
    return Path(path).parent if path is not None else None


def _silent_subject(entry: TargetEntry) -> _Subject:
    """Reads no disk."""
    url = entry.url
    with suppress(DbtendError):
        url = lexical_url(url)
    return _Subject(entry, url, engine_named(entry.url), None, "", is_small=False, is_silent=True)


def _subject(entry: TargetEntry) -> _Subject:
    """Reads the disk."""
    try:
        target = resolve(entry.url)
        url, host, state = target.url, target.host_key, target.state()
        if target.elsewhere is not None:
            return _Subject(entry, url, target.engine, None, "", is_small=False, is_elsewhere=True)
        is_small = host is None and _file_size(entry.url) <= SMALL_FILE
    except DbtendError:  # to inspect it says why
        url, host, state, is_small = entry.url, None, "", False
    limits = zlib.crc32(repr(sorted(entry.advice.items())).encode())
    return _Subject(entry, url, engine_named(entry.url), host, f"{state} {limits:x}", is_small)


def _file_size(url: str) -> int:
    try:
        return Path(file_named(url) or "").stat().st_size
    except OSError:
        return 0


def _disk_of(subject: _Subject) -> Disk | None:
    """Reads the disk; None for a server, or where the file system does not say."""
    path = file_named(subject.entry.url)
    if path is None:
        return None
    try:
        found = os.statvfs(Path(real_path(path)).parent)
    except OSError:
        return None
    return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize) if found.f_blocks else None


def _retrieve(task: asyncio.Task[_Inspected]) -> None:
    """Take the error of a task, if it has one, so that asyncio does not report it."""
    if not task.cancelled():
        task.exception()
