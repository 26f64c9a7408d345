"""Collects events for recipients, makes a message of them when the night is over, and sees to its delivery."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import takewhile
from typing import Final, Protocol

from engine.config.model import Config
from engine.domain.errors import StoreError
from engine.domain.events import HistoryFilter
from engine.domain.humanize import counted
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.notifications import DeliveryResult, Event, EventKind, Message, MessageStatus, MessageText, Recipient
from engine.domain.past_runs import PastRun
from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.domain.steps import Micros
from engine.history.trends import RUNS
from engine.notify import job_events
from engine.notify.delivery import Parcel, deliver
from engine.notify.told_batches import told_batches
from engine.store.protocol import (
    SUBMITTING,
    ChangeFeed,
    Hosts,
    JobReader,
    Leadership,
    NotificationStore,
    ScheduleStore,
    SurveyStore,
)
from engine.system.background import in_background, pause_loop
from engine.system.clock import elapsed

PAGE: Final = 500
"""Changes that are read at once."""
JOBS_READ: Final = 1_000
"""The newest jobs of a target in which an operation is looked for."""
JOBS_OF_TARGET: Final = 20
"""The newest jobs of a schedule on a target among which those that were left out are counted."""
LOOK_EVERY: Final = 30.0
"""Seconds between two rounds in which nothing changed: surveys, and messages that are due again."""
PAUSE = 0.5
"""Seconds between two rounds at least."""
URGENT_AFTER: Final = 10.0
"""Seconds after which critical events and operations that take longer than usual are sent, also while jobs are open:
one message may hold several."""
RETRY_AFTER: tuple[float, ...] = (60.0, 300.0, 900.0, 3600.0)
"""Seconds between two attempts; the last one holds for all further ones."""
GIVE_UP_AFTER: Final = 3 * 86_400.0
"""Seconds after which a message that was never taken is given up."""

ROLE: Final = "notify"
"""The role of the process that sends messages; where many hosts share the store, one for each recipient."""

Compose = Callable[[Message], MessageText]
Configured = Callable[[], Config]
log = logging.getLogger("dbtend")


class NotifiedStore(JobReader, ChangeFeed, SurveyStore, ScheduleStore, NotificationStore, Leadership, Protocol):
    """What telling people needs of a store."""

    @property
    def hosts(self) -> Hosts | None: ...


class Notifier:
    """Tells people what happens on a store. Of all processes only one does so at a time for each recipient.

    Hosts that share a store may have different recipients: each tells those of its own config file that no other tells.

    Collected events and messages are in the store: a process that dies loses nothing. One that dies
    between the delivery and its record has the message delivered again, with the same key.
    """

    def __init__(self, store: NotifiedStore, config: Configured, compose: Compose, clock: Callable[[], Micros]) -> None:
        self._store = store
        self._read_config = config
        self._config = Config()
        """The config of this round."""
        self._compose = compose
        self._clock = clock
        self._roles: set[str] = set()
        """The roles that this process has."""
        self._looked_at = 0.0
        """When this process last looked for free roles."""
        self._taken_over: set[str] = set()
        """The recipients whose messages this process has taken over."""
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        """By recipient: one that hangs keeps no other waiting."""
        self._delivered = asyncio.Event()
        """Set when one of them has ended: the next message of its recipient can go."""
        self._running = _RunningOperations(store, elapsed(clock))
        self._told_running: dict[str, set[JobId | None]] = {}
        """By recipient, the running operations already reported. The store has them, too: this saves writes."""
        self._moved_at = clock()
        """When a job changed last, as far as known."""

    async def run(self) -> None:
        """Tell people, as long as this process is the one that does. Never returns."""
        while True:
            try:
                async with self.holding_roles() as held:
                    if self._roles:
                        await self._take_turns(held)
            except StoreError as error:  # the disk is full, or the server away: that may pass
                log.warning("messages cannot be sent now: %s; it is tried again", error)
            except Exception:  # a defect must not end it for good
                log.exception("messages cannot be sent now")
            await pause_loop(LOOK_EVERY)

    @asynccontextmanager
    async def holding_roles(self) -> AsyncIterator[AsyncExitStack]:
        """Be the process that tells the recipients of the current config that no other process tells.

        Yields the stack that holds their roles. Raises StoreError.
        """
        await self._renew_config()
        self._roles, self._taken_over = set(), set()
        async with AsyncExitStack() as held:
            await self._take_roles(held)
            yield held

    async def _take_roles(self, held: AsyncExitStack) -> None:
        """Take the roles for the recipients of the config file that no other process has."""
        self._looked_at = time.monotonic()
        for role in sorted(self._wanted_roles() - self._roles):
            async with AsyncExitStack() as taking:
                if await taking.enter_async_context(self._store.holding_role(role)):
                    self._roles.add(role)
                    held.push_async_exit(taking.pop_all())

    def _wanted_roles(self) -> set[str]:
        if self._store.hosts is None:
            return {ROLE}
        return {role_for(recipient.name, self._store.hosts) for recipient in self._config.notify}

    @property
    def _recipients(self) -> Sequence[Recipient]:
        """The recipients that this process tells."""
        return [each for each in self._config.notify if role_for(each.name, self._store.hosts) in self._roles]

    async def _take_turns(self, held: AsyncExitStack) -> None:
        """Tell people. Returns when a recipient is no longer in the config file: another host may have it."""
        try:
            while True:
                seen = self._store.last_change()
                pause = LOOK_EVERY
                try:
                    await self._renew_config()
                    await self._forget_removed()
                    if self._roles - self._wanted_roles():
                        await asyncio.gather(*self._deliveries.values())  # cut short, they would be made once more
                        return
                    if time.monotonic() - self._looked_at >= LOOK_EVERY:
                        await self._take_roles(held)
                    if self._recipients:
                        await self._take_over()
                        await self._collect()
                        await self._collect_running()
                        await self._make_due_messages()
                        await self._begin_deliveries()
                        pause = await self._seconds_until_due()
                except StoreError as error:
                    log.warning("messages cannot be sent now: %s", error)
                except Exception:  # a defect must not end it for good
                    log.exception("messages cannot be sent now")
                await pause_loop(PAUSE)
                await self._wait(seen, pause)
        finally:
            await self._stop_deliveries()

    async def _take_over(self) -> None:
        """Take over what a dead process was delivering to them, once."""
        if new := {recipient.name for recipient in self._recipients} - self._taken_over:
            await self._store.take_over_messages(new)
            self._taken_over |= new

    async def _wait(self, seen: int, seconds: float) -> None:
        """Wait until a job changes or a delivery ends, at most so many seconds."""
        waits = {asyncio.ensure_future(self._store.next_change(seen)), asyncio.ensure_future(self._delivered.wait())}
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._delivered.clear()

    async def tell_now(self) -> Sequence[str]:
        """Collect what happened, and try once to deliver it, with what waits from before; why that failed.

        Nothing happens where another process tells people. Raises StoreError.
        """
        async with self.holding_roles():
            await self._take_over()
            await self._collect()
            for recipient in self._recipients:
                await self._store.make_message(recipient.name)
            await self._begin_deliveries()
            await asyncio.gather(*self._deliveries.values())
            states = await self._store.recipient_states([recipient.name for recipient in self._recipients])
            return [f"{state.name}: {state.error}" for state in states if state.error and state.waiting]

    async def _renew_config(self) -> None:
        self._config = await asyncio.to_thread(self._read_config)

    async def collect(self) -> None:
        """Collect what happened since the last time, for each recipient that no other process tells."""
        async with self.holding_roles():
            await self._collect()

    async def _collect(self) -> None:
        recipients = self._recipients
        known = await self._store.seen_by_recipients()
        if new := [recipient.name for recipient in recipients if recipient.name not in known]:
            await self._store.register_recipients(new, since=self._config.changed_at)
            known = await self._store.seen_by_recipients()
        events = _JobEvents(self._store)
        for recipient in recipients:
            await self._collect_for(recipient, known[recipient.name], events)

    async def _forget_removed(self) -> None:
        """Forget recipients that the config file no longer has, if it can be read: nothing waits for them any more.

        Where many hosts share the store, they may be in the file of another.
        """
        names = {recipient.name for recipient in self._config.notify}
        if self._config.changed_at is None or self._store.hosts is not None:
            return
        if not set(await self._store.seen_by_recipients()) - names:
            return
        for name, number in (await self._store.forget_recipients(sorted(names))).items():
            if (task := self._deliveries.get(name)) is not None:
                task.cancel()
            log.info("%s is no recipient any more: %s dropped", name, counted(number, "message or event"))

    async def _collect_for(self, recipient: Recipient, seen: int, events: _JobEvents) -> None:
        while page := await self._store.changes(seen, PAGE):
            self._moved_at = self._clock()
            ended = [
                change.job.parent
                for change in page
                if change.job and change.job.ordinal is None and change.new is not None and change.new.is_final
            ]
            new_events = self._told(await events.of_jobs(ended), recipient)
            seen = page[-1].seq
            await self._store.collect_events(recipient.name, new_events, seen=seen)
        calm = await self._store.no_longer_critical(recipient.name)
        of_firings = map(job_events.of_firing, await self._store.firings_to_tell(recipient.name))
        new_events = self._told([*await self._critical(recipient), *of_firings], recipient)
        # A recipient that was told of the miss is told of this, too, whatever other events it has asked for.
        new_events += map(job_events.fired_after_all, await self._store.newly_fired_after_all(recipient.name))
        if calm or new_events:
            await self._store.collect_events(recipient.name, new_events, seen=seen, calm=calm)

    def _told(self, events: Iterable[Event], recipient: Recipient) -> list[Event]:
        schedules = self._config.schedules
        return [event for event in events if job_events.is_told(event, recipient, schedules)]

    async def _critical(self, recipient: Recipient) -> list[Event]:
        surveys = await self._store.surveys(await self._store.newly_critical(recipient.name))
        return [event for survey in surveys.values() if (event := job_events.critical(survey)) is not None]

    async def _collect_running(self) -> None:
        """Collect what takes longer than usual now."""
        recipients = [recipient for recipient in self._recipients if EventKind.LONGER_THAN_USUAL in recipient.on]
        if not recipients:
            return
        events = await self._running.longer_than_usual(
            self._clock(), at_least=min(recipient.longer_by for recipient in recipients)
        )
        for recipient in recipients:
            told = self._told_running.setdefault(recipient.name, set())
            told &= {event.job for event in events}
            if new := [event for event in self._told(events, recipient) if event.job not in told]:
                await self._store.collect_events(recipient.name, new, seen=0)
                told |= {event.job for event in new}

    async def _make_due_messages(self) -> None:
        since = await self._store.collected_since()
        if not since:
            return
        urgent_since = await self._store.collected_since(only_urgent=True)
        is_open = await self._store.has_served_jobs() or await self._store.role_is_held(SUBMITTING)
        at = self._clock()
        for recipient in self._recipients:
            if recipient.name not in since:
                continue
            is_over = not is_open and at - self._moved_at >= recipient.settle * 1e6
            if is_over or at - since[recipient.name] >= recipient.latest * 1e6:
                await self._store.make_message(recipient.name)
            elif at - urgent_since.get(recipient.name, at) >= URGENT_AFTER * 1e6:
                await self._store.make_message(recipient.name, only_urgent=True)

    async def _begin_deliveries(self) -> None:
        by_name = {recipient.name: recipient for recipient in self._recipients}
        self._deliveries = {name: task for name, task in self._deliveries.items() if not task.done()}
        for message in await self._store.waiting_messages():
            recipient = by_name.get(message.recipient)
            is_due = _is_due(message.next_try_at, self._clock())
            if recipient is not None and recipient.name not in self._deliveries and is_due:
                task = asyncio.create_task(self._deliver(recipient, message), name="dbtend-notify")
                task.add_done_callback(lambda _: self._delivered.set())
                self._deliveries[recipient.name] = task

    async def _deliver(self, recipient: Recipient, message: Message) -> None:
        try:
            await self._store.begin_delivery(message.id)
            await self._record(message, await self._attempt(recipient, message))
        except StoreError as error:
            log.warning("what became of a message to %s cannot be recorded: %s", recipient.name, error)
        except Exception:  # a defect must not end the others
            log.exception("a message to %s was not delivered", recipient.name)

    async def _attempt(self, recipient: Recipient, message: Message) -> DeliveryResult:
        """A defect is an attempt that failed: it is tried again later, and given up in the end."""
        try:
            zones = {schedule.name: schedule.timezone for schedule in self._config.schedules}
            batches = await told_batches(message.events, self._store)
            text = self._compose(replace(message, batches=batches, zones=zones))
            return await deliver(recipient, Parcel(key=message.key, text=text, done=message.done))
        except Exception as defect:
            log.exception("a message to %s was not delivered", recipient.name)
            return DeliveryResult(error=f"internal error: {type(defect).__name__}", done=message.done)

    async def _record(self, message: Message, result: DeliveryResult) -> None:
        at = self._clock()
        after = RETRY_AFTER[min(message.attempts, len(RETRY_AFTER) - 1)]
        if result.error is None:
            status = MessageStatus.SENT
        elif at - message.created_at >= GIVE_UP_AFTER * 1e6:
            status = MessageStatus.GIVEN_UP
        else:
            status = MessageStatus.WAITING
        if result.error is not None:
            end = "given up" if status is MessageStatus.GIVEN_UP else f"next try in {after:g} s"
            log.warning("message to %s was not delivered: %s (%s)", message.recipient, result.error, end)
        elif result.refused is not None:
            log.warning("message to %s: %s", message.recipient, result.refused)
        await self._store.end_delivery(
            message.id,
            status,
            error=result.error or result.refused,
            done=result.done,
            next_try_at=at + round(after * 1e6),
        )

    async def _seconds_until_due(self) -> float:
        """The seconds until there is something to do although no job changes, or until the next regular look."""
        at, due = self._clock(), [LOOK_EVERY]
        recipients = {recipient.name: recipient for recipient in self._recipients}
        for name, since in (await self._store.collected_since()).items():
            if (recipient := recipients.get(name)) is not None:
                due.append((since - at) / 1e6 + recipient.latest)
                due.append((self._moved_at - at) / 1e6 + recipient.settle)
        urgent = (await self._store.collected_since(only_urgent=True)).items()
        due += [(since - at) / 1e6 + URGENT_AFTER for name, since in urgent if name in recipients]
        return max(min(due), PAUSE)

    async def _stop_deliveries(self) -> None:
        for task in self._deliveries.values():
            task.cancel()
        if self._deliveries:
            await asyncio.wait(self._deliveries.values())


class _JobEvents:
    """The events of jobs, each worked out once for all recipients."""

    def __init__(self, store: NotifiedStore) -> None:
        self._store = store
        self._known: dict[int, tuple[Event, ...]] = {}

    async def of_jobs(self, ids: Collection[int]) -> list[Event]:
        """Jobs that were removed since have none."""
        for job in await self._store.jobs([job_id for job_id in dict.fromkeys(ids) if job_id not in self._known]):
            self._known[job.id] = tuple(job_events.events_of(job, await self._past(job)))
        return [event for job_id in dict.fromkeys(ids) for event in self._known.get(job_id, ())]

    async def _past(self, job: ParentJob) -> job_events.PastOperations:
        runs: dict[Operation, Sequence[PastRun]] = {}
        failed: dict[Operation, int] = {}
        for operation in dict.fromkeys(child.operation for child in job.children if child.is_complete):
            runs[operation] = await self._store.past_runs(
                job.target, operation, newest=job.id, jobs=JOBS_READ, runs=RUNS
            )
            last = await self._store.last_outcome(job.target, operation, before=job.id, jobs=JOBS_READ)
            if last is not None and last[0] is Status.FAILED:
                failed[operation] = last[1]
        left_out = await self._left_out(job) if job.is_left_out else 0
        if not failed and Operation.CHECK not in runs:  # nothing recovers
            return job_events.PastOperations(runs, failed, left_out)
        damaged_in, known = await self._damaged_in(job), await self._store.damage([job.target])
        is_damaged = any(damage.accepted_at is None for damage in known.get(job.target, ()))
        return job_events.PastOperations(runs, failed, left_out, damaged_in, is_damaged)

    async def _damaged_in(self, job: ParentJob) -> int | None:
        """The last job before it whose check found damage, if no full check was clean since."""
        check = Operation.CHECK
        runs = await self._store.past_runs(job.target, check, newest=job.id - 1, jobs=JOBS_READ, runs=RUNS)
        if not any(run.status is Status.FAILED for run in runs):
            return None
        jobs = await self._store.jobs({run.job.parent for run in runs})
        for child in (
            child for earlier in sorted(jobs, key=lambda earlier: -earlier.id) for child in reversed(earlier.children)
        ):
            if job_events.found_damage(child):
                return child.id.parent
            if child.is_complete and job_events.is_full_check(child):
                return None
        return None

    async def _left_out(self, job: ParentJob) -> int:
        """How many jobs of its schedule were left out on its target, one after the other, just before it."""
        where = HistoryFilter(target=job.target, schedule=job.schedule)
        earlier = await self._store.history(where, before=job.id, limit=JOBS_OF_TARGET)
        same = [other for other in earlier if other.schedule == job.schedule and other.status.is_final]
        return sum(1 for _ in takewhile(lambda other: other.is_left_out, same))


class _RunningOperations:
    """The running operations, each with its usual duration."""

    def __init__(self, store: NotifiedStore, elapsed: Callable[[], Micros]) -> None:
        """`elapsed`: a clock that only runs forward, whatever the time of the system is set to."""
        self._store, self._elapsed = store, elapsed
        self._past: dict[JobId, Sequence[PastRun]] = {}
        self._begun: dict[tuple[JobId, int], Micros] = {}
        """When each attempt began, by `elapsed`."""
        self._looked_at: Micros | None = None

    async def longer_than_usual(self, at: Micros, *, at_least: float) -> list[Event]:
        """The events of those that take longer than usual; operations of fewer seconds have none."""
        running = {job for process in await self._store.workers() if process.alive for job in process.running}
        self._past = {job: past for job, past in self._past.items() if job in running}
        jobs = await self._store.jobs({job.parent for job in running})
        children = [(job, child) for job in jobs for child in job.children if child.id in running]
        now, events = self._elapsed(), []
        self._begun = {(child.id, child.attempt): self._began(child, at, now) for _, child in children}
        for job, child in children:
            seconds = job_events.worked(child, (now - self._begun[child.id, child.attempt]) / 1e6)
            if seconds is not None and seconds >= at_least:
                event = job_events.longer_already(job, child, await self._past_of(job, child), at, seconds)
                events += [] if event is None else [event]
        self._looked_at = now
        return events

    def _began(self, child: ChildJob, at: Micros, now: Micros) -> Micros:
        """When an attempt began, by `elapsed`: the clock may have been set since, but tells of the first look."""
        by_clock = max(at - (child.started_at or at), 0)
        since = by_clock if self._looked_at is None else min(by_clock, now - self._looked_at)
        return self._begun.get((child.id, child.attempt), now - since)

    async def _past_of(self, job: ParentJob, child: ChildJob) -> Sequence[PastRun]:
        if child.id not in self._past:
            self._past[child.id] = await self._store.past_runs(
                job.target, child.operation, newest=job.id, jobs=JOBS_READ, runs=RUNS
            )
        return self._past[child.id]


def _is_due(at: Micros, now: Micros) -> bool:
    """Whether a message is due, also after the clock was set back by more than the longest pause."""
    return at <= now or at - now > 2 * RETRY_AFTER[-1] * 1e6


def role_for(recipient: str, hosts: Hosts | None) -> str:
    """The role of the process that tells a recipient."""
    return ROLE if hosts is None else f"{ROLE} {recipient}"


async def is_telling(store: NotifiedStore, recipients: Collection[str]) -> bool:
    """Whether a process tells each of these people what happens. Raises StoreError."""
    roles = {role_for(name, store.hosts) for name in recipients} or {ROLE}
    return all([await store.role_is_held(role) for role in sorted(roles)])


@asynccontextmanager
async def notifying(notifier: Notifier) -> AsyncIterator[None]:
    """Tell people while inside."""
    async with in_background(notifier.run(), "dbtend-notifier"):
        yield
