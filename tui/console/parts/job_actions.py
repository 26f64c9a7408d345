"""Actions on jobs: cancel, retry, pin. The same on every screen that shows jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Protocol

from engine import ChildJob, JobId, ParentJob, Status
from engine.domain.batches import Batch, BatchId
from engine.domain.errors import DbtendError
from engine.domain.humanize import listed
from engine.domain.jobs import is_cancelling
from engine.fleet.batch_retry import repeatable
from engine.inspection import inspector
from engine.submission.retry import retry_request
from tui.console.console_screen import ConsoleScreen
from tui.console.views.cancel_question import already_cancelled, cancel_consequences
from tui.console.views.line import Role
from tui.console.views.many_jobs import Jobs, left_out, named, open_children, retry_message
from tui.console.views.status import child_of, operations
from tui.presentation import force_kill
from tui.presentation.job_status import format_status
from tui.presentation.risk import confirmation_needed, is_production, production_risk, word_to_type
from tui.presentation.text import counted, sentences

NO_CLEANUP = (
    "Its process died. The next worker would clean up what it left and check for damage. "
    "Without that, the next program that opens the database cleans up."
)


class JobSelection(Protocol):
    """A list, tree or page of jobs."""

    @property
    def selected_job(self) -> tuple[ParentJob, JobId] | None:
        """A parent, and the job that is meant: itself or one of its children; None: no job is selected."""

    @property
    def selected_batch(self) -> Batch | None:
        """The batch that is selected instead of a job; None: no batch is."""

    @property
    def marked_jobs(self) -> Jobs:
        """The marked jobs: with any, an action is for all of them."""

    def clear_marks(self) -> None: ...


class JobActions:
    """What the keys for jobs do. Results come back as news, to all screens."""

    actions = frozenset({"cancel", "retry", "pin", "unpin"})

    def __init__(
        self, screen: ConsoleScreen[Any], selection: JobSelection, show_new_job: Callable[[ParentJob], None]
    ) -> None:
        """`show_new_job`: called with the job that a retry makes."""
        self._screen, self._context, self._selection = screen, screen.context, selection
        self._show_new_job = show_new_job

    def _show(self, parent: ParentJob) -> None:
        if self._screen in self._screen.app.screen_stack:
            self._show_new_job(parent)
        else:  # the screen was left before the job was stored
            self._context.tell(retry_message(parent))

    def can(self, action_id: str) -> bool:
        batch = None if self._selection.marked_jobs else self._selection.selected_batch
        if batch is not None:
            return action_id in {"cancel", "retry"} and batch.is_over == (action_id == "retry")
        selected = self._selection.selected_job
        parents = [parent for parent, _ in self._selection.marked_jobs or ([selected] if selected else [])]
        if action_id == "cancel":
            return any(not parent.status.is_final for parent in parents)
        if action_id == "retry":
            return any(parent.status.is_final for parent in parents)
        return bool(parents) and all(parent.pinned for parent in parents) == (action_id == "unpin")

    async def cancel(self) -> None:
        if self._screen.refuses("cancel"):
            return
        if self._selection.marked_jobs:
            self._cancel_all(self._selection.marked_jobs)
            return
        if self._selection.selected_batch is not None:
            await self._cancel_batch(self._selection.selected_batch)
            return
        if self._selection.selected_job is None:
            self._screen.say("Nothing to cancel: put the cursor on a waiting or running job.", Role.WARNING)
            return
        parent, job = self._selection.selected_job
        child = child_of(parent, job)
        meant = child or parent
        if meant.status.is_final:
            self._screen.say(f"Nothing to cancel: #{job} has ended ({format_status(meant)[1]}).", Role.WARNING)
            return
        children = open_children(parent, job)
        if all(map(is_cancelling, children)):
            await self._cancel_again(job, children)
            return
        name = self._context.name_of(parent.target)
        what = f"{child.operation.value} on {name}" if child else f"on {name} and all its operations"

        async def cancel() -> None:
            after = await self._context.engine.cancel(job)
            ended = child_of(after, job) or after
            if ended.status.is_final and ended.status is not Status.CANCELLED:
                self._context.tell(f"#{job} had already ended: {format_status(ended)[1]}.", Role.WARNING)

        self._ask(
            f"Cancel #{job} {what}?",
            cancel_consequences([(one, parent.target) for one in children], self._context.clock()),
            cancel,
        )

    async def _cancel_batch(self, batch: Batch) -> None:
        if batch.is_over:
            self._screen.say(f"Nothing to cancel: {BatchId(batch.id)} has ended.", Role.WARNING)
            return
        try:
            jobs = await self._context.engine.batch_jobs(batch.id)
        except DbtendError as error:
            self._screen.say_error(error)
            return
        still = [job for job in jobs if not job.status.is_final]

        async def cancel() -> None:
            await self._context.engine.cancel_batch(batch.id)

        children = [(child, job.target) for job in still for child in open_children(job, JobId(job.id))]
        self._ask(
            f"Cancel {BatchId(batch.id)}: {counted(len(still), 'open job')} of {batch.total:,}?",
            cancel_consequences(children, self._context.clock()),
            cancel,
        )

    async def _retry_batch(self, batch: Batch) -> None:
        """Run what did not complete again, or all of it if all completed."""
        name = BatchId(batch.id)
        if not batch.is_over:
            self._screen.say(f"Nothing to retry: {name} has not ended.", Role.WARNING)
            return
        try:
            jobs = await self._context.engine.batch_jobs(batch.id)
            left = any(not child.is_complete for job in jobs for child in job.children)
            again, patterns = repeatable(batch, jobs, only_incomplete=left)
        except DbtendError as error:
            self._screen.say_error(error)
            return
        needed = list(dict.fromkeys(why for job in again for why in _confirmation_of(job)))

        async def retry() -> None:
            self._context.supervisor.check_worker_can_connect(job.target for job in again)
            asked_at = self._context.clock()
            made = await self._context.engine.retry_batch(batch.id, only_incomplete=left, confirmed=bool(needed))
            joined = [job for job in made if job.created_at < asked_at]
            self._show(next((job for job in made if job.created_at >= asked_at), made[0]))
            self._context.supervisor.start_worker()
            if joined:
                names = listed([f"#{job.id}" for job in joined])
                self._context.tell(f"Joined, as they already do exactly this: {names}.", Role.WARNING)

        what = f"{counted(len(again), 'job')} of {name} that did not complete" if left else f"all of {name}"
        not_listed = f" Not {counted(len(patterns), 'pattern')} that could not be listed." if patterns else ""
        self._ask_about(f"Run {what} again?", f"They become a new batch.{not_listed}", retry, again, needed)

    def _cancel_all(self, marked: Jobs) -> None:
        jobs = [(parent, job) for parent, job in marked if open_children(parent, job)]
        if not jobs:
            self._screen.say(f"Nothing to cancel: all {len(marked)} marked jobs have ended.", Role.WARNING)
            return

        async def cancel() -> None:
            for _, job in jobs:
                await self._context.engine.cancel(job)
            self._selection.clear_marks()

        children = [(child, parent.target) for parent, job in jobs for child in open_children(parent, job)]
        self._ask(
            f"Cancel {counted(len(jobs), 'marked job')}?\n{named(jobs, self._context.name_of)}",
            cancel_consequences(children, self._context.clock())
            + left_out(len(marked), len(jobs), "have already ended"),
            cancel,
        )

    async def _cancel_again(self, job: JobId, children: list[ChildJob]) -> None:
        """After an earlier cancel: offer to kill what runs, or to skip the cleanup that a pending child waits for."""
        engine = self._context.engine
        if not any(child.status is Status.RUNNING for child in children):

            async def skip_cleanup() -> None:
                await engine.cancel(job)

            self._ask(f"End #{job} without cleanup of its database?", NO_CLEANUP, skip_cleanup)
            return
        try:
            found = await engine.preview_force_cancel(job)
        except DbtendError as error:
            running = [child for child in children if child.status is Status.RUNNING]
            self._screen.say(already_cancelled(job, running, error, self._context.clock()), Role.WARNING)
            return

        async def end() -> None:
            if await engine.preview_force_cancel(job) != found:
                self._context.tell("Not killed: the job has changed since the question. Try again.", Role.WARNING)
                return
            await engine.cancel(job, force=True)
            self._context.supervisor.start_worker()

        question = force_kill.question(found, self._context.name_of(found.target))
        asking = self._context.screens.typed_confirm(question, force_kill.consequences(found, job), str(found.job))
        self._screen.app.push_screen(asking, self._if_yes(end))

    def retry(self) -> None:
        if self._screen.refuses("retry"):
            return
        if self._selection.marked_jobs:
            self._retry_all(self._selection.marked_jobs)
            return
        if self._selection.selected_batch is not None:
            self._screen.run_worker(self._retry_batch(self._selection.selected_batch), group="retry", exclusive=True)
            return
        parent = self._selection.selected_job[0] if self._selection.selected_job else None
        if parent is None or not parent.status.is_final:
            still = (
                f"#{parent.id} is still {parent.status.value}." if parent else "put the cursor on a job that has ended."
            )
            self._screen.say(f"Nothing to retry: {still}", Role.WARNING)
            return

        needed = _confirmation_of(parent)

        async def retry() -> None:
            self._context.supervisor.check_worker_can_connect([parent.target])
            self._show(await self._context.engine.retry(parent.id, confirmed=bool(needed)))
            self._context.supervisor.start_worker()

        question = f"Run #{parent.id} on {self._context.name_of(parent.target)} again?"
        self._ask_about(question, f"A new job runs {operations(parent)}.", retry, [parent], needed)

    def _retry_all(self, marked: Jobs) -> None:
        parents = {parent.id: parent for parent, _ in marked if parent.status.is_final}
        if not parents:
            self._screen.say(f"Nothing to retry: none of the {len(marked)} marked jobs has ended.", Role.WARNING)
            return

        needed = {parent_id: _confirmation_of(parent) for parent_id, parent in parents.items()}

        async def retry() -> None:
            refused: list[DbtendError] = []
            for parent_id in sorted(parents):
                try:
                    self._context.supervisor.check_worker_can_connect([parents[parent_id].target])
                    confirmed = bool(needed[parent_id])
                    self._show(await self._context.engine.retry(parent_id, confirmed=confirmed))
                except DbtendError as error:  # for example an identical job is open
                    refused.append(error)
            self._selection.clear_marks()
            self._context.supervisor.start_worker()
            if refused:
                why = self._context.format_error(refused[0])
                self._context.tell(f"{len(refused)} of {len(parents)} not started: {why}", Role.FAILED)

        jobs = [(parent, JobId(parent.id)) for parent in parents.values()]
        self._ask_about(
            f"Run {counted(len(jobs), 'marked job')} again?\n{named(jobs, self._context.name_of)}",
            "Each becomes a new job." + left_out(len({p.id for p, _ in marked}), len(jobs), "have not ended"),
            retry,
            parents.values(),
            [sentence for sentences in needed.values() for sentence in sentences],
        )

    def _pin_all(self, marked: Jobs) -> None:
        pinned = self.can("pin")
        parents = {parent.id for parent, _ in marked}

        async def pin() -> None:
            for parent_id in parents:
                self._context.feed.reload((await self._context.engine.pin(parent_id, pinned=pinned)).id)
            self._selection.clear_marks()
            self._context.tell(f"{counted(len(parents), 'job')} {'pinned' if pinned else 'no longer pinned'}.")

        self._context.write(pin)

    def pin(self) -> None:
        if self._selection.marked_jobs and not self._screen.refuses("pin"):
            self._pin_all(self._selection.marked_jobs)
            return
        if self._selection.selected_job is None:
            if not self._screen.refuses("pin"):
                self._screen.say("Nothing to pin: put the cursor on a job.", Role.WARNING)
            return
        parent, _ = self._selection.selected_job
        if self._screen.refuses("unpin" if parent.pinned else "pin"):
            return

        async def pin() -> None:
            after = await self._context.engine.pin(parent.id, pinned=not parent.pinned)
            self._context.feed.reload(after.id)
            self._context.tell(
                f"#{after.id} is pinned: retention never removes it."
                if after.pinned
                else f"#{after.id} is no longer pinned: retention applies again."
            )

        self._context.write(pin)

    def _ask_about(
        self,
        question: str,
        consequence: str,
        do: Callable[[], Awaitable[None]],
        jobs: Collection[ParentJob],
        needed: Sequence[str],
    ) -> None:
        """Ask before jobs run again; on production, or with `needed`, the answer is the typed name of the target.

        `needed`: why typed confirmation is needed, without a final stop.
        """
        names = {parent.target: self._context.name_of(parent.target) for parent in jobs}
        labels = [name.label for name in names.values() if is_production(name.label)]
        if not labels and not needed:
            self._ask(question, consequence, do)
            return
        word = word_to_type([name.name for name in names.values()], labels[0] if labels else None)
        why = sentences([*filter(None, map(self._production_risk, jobs)), *needed])
        asking = self._context.screens.typed_confirm(question, f"{consequence} {why}".rstrip(), word)
        self._screen.app.push_screen(asking, self._if_yes(do))

    def _production_risk(self, parent: ParentJob) -> str:
        """What it would block in production, as far as its database was inspected."""
        known = self._context.inspected.get(parent.target)
        asked = parent.request.operations
        locks = {o.operation: o.lock for o in known.operations if o.operation in asked} if known else {}
        name = self._context.name_of(parent.target)
        return production_risk(name.name, name.label, locks)

    def _ask(self, question: str, consequence: str, do: Callable[[], Awaitable[None]]) -> None:
        self._screen.app.push_screen(self._context.screens.confirm(question, consequence), self._if_yes(do))

    def _if_yes(self, do: Callable[[], Awaitable[None]]) -> Callable[[bool | None], None]:
        def decided(yes: bool | None) -> None:
            if yes:
                self._context.write(do)

        return decided


def _confirmation_of(parent: ParentJob) -> list[str]:
    """Why a retry of this job needs confirmation, without a final stop."""
    with suppress(DbtendError):  # the target is gone: the retry itself says so
        return confirmation_needed(inspector.needs_confirmation(retry_request(parent)))
    return []
