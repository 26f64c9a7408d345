"""Actions on marked jobs and on batches: cancel, retry, pin, all after one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from engine import JobId, ParentJob
from engine.domain.batches import Batch, BatchId, Retries
from engine.domain.errors import DbtendError
from engine.domain.frozen import frozen
from engine.inspection import inspector
from engine.submission.retry import is_rest, repeatable, retry_request
from tui.console.console_screen import ConsoleScreen
from tui.console.context import ConsoleContext
from tui.console.views.cancel_question import cancel_consequences
from tui.console.views.line import Role
from tui.console.views.many_jobs import Jobs, format_marked, left_out, named, open_children
from tui.presentation.risk import confirmation_needed, is_production, production_risk, word_to_type
from tui.presentation.text import counted, sentences


@frozen
class _BatchRetry:
    batch: Batch
    jobs: Sequence[ParentJob]
    only_incomplete: bool
    known: Retries
    """The retries of it when the person was asked."""
    patterns: int
    """How many patterns of it cannot be repeated."""

    @property
    def what(self) -> str:
        name = BatchId(self.batch.id)
        if is_rest(self.jobs, self.known.of_last):
            return f"{counted(len(self.jobs), 'job')} of {name} that the last retry did not submit"
        return (
            f"{counted(len(self.jobs), 'job')} of {name} that did not complete"
            if self.only_incomplete
            else f"all of {name}"
        )


class ManyJobActions:
    """What the keys for jobs do with several jobs and batches."""

    def __init__(
        self, screen: ConsoleScreen[Any], clear_marks: Callable[[], None], show: Callable[[ParentJob], None]
    ) -> None:
        """`show`: called with each job that a retry makes."""
        self._screen, self._context = screen, screen.context
        self._clear_marks, self._show = clear_marks, show

    async def cancel(self, jobs: Jobs, batches: Sequence[Batch]) -> None:
        still = [(parent, job) for parent, job in jobs if open_children(parent, job)]
        going_on = [batch for batch in batches if batch.is_cancellable]
        if not still and not going_on:
            self._screen.say(f"Nothing to cancel: {_all_of(jobs, batches)} ended.", Role.WARNING)
            return
        members: list[ParentJob] = []
        lines: list[str] = []
        try:
            for batch in going_on:
                opened = [job for job in await self._context.engine.batch_jobs(batch.id) if not job.status.is_final]
                rest = f", and {batch.unsubmitted:,} not submitted" if batch.unsubmitted else ""
                lines.append(f"{BatchId(batch.id)}: {counted(len(opened), 'open job')} of {batch.total:,}{rest}")
                members += opened
        except DbtendError as error:
            self._screen.say_error(error)
            return

        async def cancel() -> None:
            for batch in going_on:
                await self._context.engine.cancel_batch(batch.id)
            for _, job in still:
                await self._context.engine.cancel(job)
            self._clear_marks()

        meant = [*still, *((parent, JobId(parent.id)) for parent in members)]
        children = [(child, parent.request) for parent, job in meant for child in open_children(parent, job)]
        what = format_marked(len(still), len(going_on))
        question = f"Cancel {what}?\n{named(still, self._context.names.of, lines)}"
        self._context.ask(
            f"Cancel {lines[0]}?" if _is_one(jobs, batches) else question,
            cancel_consequences(children, self._context.clock())
            + left_out(len(jobs) + len(batches), len(still) + len(going_on), "have already ended"),
            cancel,
        )

    async def retry(self, jobs: Jobs, batches: Sequence[Batch]) -> None:
        """Ask, and run those that have ended again: of a batch what did not complete, or all if all completed; of a
        job what its time limit left, if it left something."""
        parents = {parent.id: parent for parent, _ in jobs if parent.status.is_final}
        over = [batch for batch in batches if batch.is_over]
        if not parents and not over:
            still = "none of the " + format_marked(len({p.id for p, _ in jobs}), len(batches)) + " has ended"
            still = f"{BatchId(batches[0].id)} has not ended" if _is_one(jobs, batches) else still
            self._screen.say(f"Nothing to retry: {still}.", Role.WARNING)
            return
        try:
            known = await self._context.engine.newest_job()
            repeats = [await self._repeat_of(batch) for batch in over]
        except DbtendError as error:
            self._screen.say_error(error)
            return
        again = [*parents.values(), *(job for repeat in repeats for job in repeat.jobs)]
        needed = await asyncio.to_thread(_confirmations, again)
        confirmed = {id_ for id_, reasons in needed.items() if reasons}
        marked = [(parent, JobId(parent.id)) for parent in parents.values()]
        lines = [repeat.what for repeat in repeats]
        question = (
            f"Run {format_marked(len(marked), len(repeats))} again?\n{named(marked, self._context.names.of, lines)}"
        )
        one = _is_one(jobs, batches)
        patterns = sum(repeat.patterns for repeat in repeats)
        consequences = (
            "Each becomes a new job." if marked else "",
            "They become a new batch." if one else "Each batch becomes a new batch." if repeats else "",
            f"Not {counted(patterns, 'pattern')} that could not be listed." if patterns else "",
        )
        ask_about(
            self._context,
            f"Run {lines[0]} again?" if one else question,
            " ".join(filter(None, consequences))
            + left_out(len({p.id for p, _ in jobs}) + len(batches), len(marked) + len(repeats), "have not ended"),
            partial(self._retry_all, parents.values(), repeats, confirmed, known),
            again,
            list(dict.fromkeys(why for reasons in needed.values() for why in reasons)),
        )

    async def _retry_all(
        self, parents: Collection[ParentJob], repeats: Sequence[_BatchRetry], confirmed: Collection[int], known: int
    ) -> None:
        """`confirmed`: the ids of the jobs that a person has confirmed; `known`: see `Engine.retry`."""
        refused: list[DbtendError] = []
        joined: list[ParentJob] = []
        for repeat in repeats:
            try:
                joined += await self._retry_batch(repeat, confirmed=any(job.id in confirmed for job in repeat.jobs))
            except DbtendError as error:
                refused.append(error)
        for parent in sorted(parents, key=lambda parent: parent.id):
            try:
                self._context.supervisor.check_worker_can_connect([parent.target])
                again = await self._context.engine.retry(
                    parent.id,
                    only_incomplete=parent.is_left_by_window,
                    confirmed=parent.id in confirmed,
                    known=known,
                )
                self._show(again)
            except DbtendError as error:  # for example an identical job is open
                refused.append(error)
        self._clear_marks()
        self._context.supervisor.start_worker()
        if refused:
            number = len(parents) + len(repeats)
            of = f"{len(refused):,} of {number:,} not started: " if number > 1 else ""
            self._context.tell(f"{of}{self._context.format_error(refused[0])}", Role.FAILED)
        else:
            self._context.tell_joined(joined)

    async def _repeat_of(self, batch: Batch) -> _BatchRetry:
        """Raises UsageError if nothing of it can be repeated."""
        jobs = await self._context.engine.batch_jobs(batch.id)
        known = await self._context.engine.retries(batch.id)

        def chosen() -> tuple[bool, list[ParentJob], list[ParentJob]]:
            left = any(not child.leaves_nothing for job in jobs for child in job.children)
            return left, *repeatable(batch, jobs, only_incomplete=left, repeated=known.of_last)

        left, again, patterns = await asyncio.to_thread(chosen)
        return _BatchRetry(batch, again, left, known, len(patterns))

    async def _retry_batch(self, repeat: _BatchRetry, *, confirmed: bool) -> list[ParentJob]:
        """Returns the open jobs that do the same already."""
        self._context.supervisor.check_worker_can_connect(job.target for job in repeat.jobs)
        asked_at = self._context.clock()
        with self._context.submitting(len(repeat.jobs)) as on_portion:
            made = await self._context.engine.retry_batch(
                repeat.batch.id,
                only_incomplete=repeat.only_incomplete,
                confirmed=confirmed,
                known=repeat.known,
                on_portion=on_portion,
            )
        self._show(next((job for job in made if job.created_at >= asked_at), made[0]))
        return [job for job in made if job.created_at < asked_at]

    def pin(self, jobs: Jobs, batches: Sequence[Batch]) -> None:
        """Pin all these jobs, or remove their pins if all are pinned."""
        if batches:
            name = BatchId(batches[0].id)
            self._screen.say(f"{name} is a batch. Only jobs can be pinned: unfold it and mark its jobs.", Role.WARNING)
            return
        parents = {parent.id: parent for parent, _ in jobs}
        pinned = not all(parent.pinned for parent in parents.values())

        async def pin() -> None:
            for parent_id in parents:
                self._context.feed.reload((await self._context.engine.pin(parent_id, pinned=pinned)).id)
            self._clear_marks()
            self._context.tell(f"{counted(len(parents), 'job')} {'pinned' if pinned else 'no longer pinned'}.")

        self._context.write(pin)


def _confirmations(jobs: Iterable[ParentJob]) -> dict[int, list[str]]:
    return {job.id: confirmation_of(job) for job in jobs}


def _is_one(jobs: Jobs, batches: Sequence[Batch]) -> bool:
    return not jobs and len(batches) == 1


def _all_of(jobs: Jobs, batches: Sequence[Batch]) -> str:
    if _is_one(jobs, batches):
        return f"{BatchId(batches[0].id)} has"
    return f"all {format_marked(len(jobs), len(batches))} have"


def ask_about(
    context: ConsoleContext,
    question: str,
    consequence: str,
    do: Callable[[], Awaitable[None]],
    jobs: Collection[ParentJob],
    needed: Sequence[str],
) -> None:
    """Ask before jobs run again; on production, or with `needed`, the answer is the typed name of the target.

    `needed`: why typed confirmation is needed, without a final stop.
    """
    names = {parent.target: context.names.of(parent.target) for parent in jobs}
    labels = [name.label for name in names.values() if is_production(name.label)]
    if not labels and not needed:
        context.ask(question, consequence, do)
        return
    word = word_to_type([name.name for name in names.values()], labels[0] if labels else None)
    why = sentences([*filter(None, (_production_risk(context, job) for job in jobs)), *needed])
    context.ask_typed(question, f"{consequence} {why}".rstrip(), word, do)


def _production_risk(context: ConsoleContext, parent: ParentJob) -> str:
    """What it would block in production, as far as its database was inspected."""
    known = context.inspected.get(parent.target)
    asked = parent.request.operations
    locks = {o.operation: o.lock for o in known.operations if o.operation in asked} if known else {}
    name = context.names.of(parent.target)
    return production_risk(name.name, name.label, locks)


def confirmation_of(parent: ParentJob) -> list[str]:
    """Why a retry of this job needs confirmation, without a final stop."""
    with suppress(DbtendError):  # the target is gone: the retry itself says so
        return confirmation_needed(inspector.needs_confirmation(retry_request(parent)))
    return []
