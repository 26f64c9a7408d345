"""Actions on jobs: cancel, retry, pin. The same on every screen that shows jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from engine import ChildJob, JobId, ParentJob, Status
from engine.domain.errors import DbtendError
from engine.domain.jobs import is_cancelling
from engine.domain.lazy_import import lazy
from tui.console.console_screen import Actions, ConsoleScreen
from tui.console.views.line import Role
from tui.console.views.many_jobs import Jobs, open_children, retry_message
from tui.console.views.status import child_of, operations
from tui.presentation.job_status import format_status

if TYPE_CHECKING:
    from engine.domain.batches import Batch
    from tui.console.parts import many_job_actions
    from tui.console.parts.many_job_actions import ManyJobActions
    from tui.console.views import cancel_question
    from tui.presentation import force_kill
else:
    many_job_actions = lazy("tui.console.parts.many_job_actions", "only an action needs it")
    cancel_question = lazy("tui.console.views.cancel_question", "only a cancel needs it")
    force_kill = lazy("tui.presentation.force_kill", "only a forced cancel needs it")

NO_CLEANUP = (
    "Its process died. The next worker would clean up what it left and check for damage. "
    "Without that, the next program that opens the database cleans up."
)


class JobSelection(Protocol):
    @property
    def selected_job(self) -> tuple[ParentJob, JobId] | None:
        """A parent, and the job that is meant: itself or one of its children; None: no job is selected."""

    @property
    def selected_batch(self) -> Batch | None:
        """The batch that is selected instead of a job; None: no batch is."""

    @property
    def marked_jobs(self) -> Jobs:
        """The marked jobs but for those of marked batches: with any mark, an action is for all of them."""

    @property
    def marked_batches(self) -> Sequence[Batch]: ...

    def clear_marks(self) -> None: ...


class JobActions:
    """What the keys for jobs do. Results come back as news, to all screens."""

    def __init__(
        self, screen: ConsoleScreen[Any], selection: JobSelection, show_new_job: Callable[[ParentJob], None]
    ) -> None:
        """`show_new_job`: called with the job that a retry makes."""
        self._screen, self._context, self._selection = screen, screen.context, selection
        self._show_new_job = show_new_job
        self.actions: Actions = {"cancel": self.cancel, "retry": self.retry, "pin": self.pin, "unpin": self.pin}

    def _many(self) -> ManyJobActions:
        return many_job_actions.ManyJobActions(self._screen, self._selection.clear_marks, self._show)

    def _show(self, parent: ParentJob) -> None:
        if self._screen in self._screen.app.screen_stack:
            self._show_new_job(parent)
        else:  # the screen was left before the job was stored
            self._context.tell(retry_message(parent))

    @property
    def _several(self) -> tuple[Jobs, Sequence[Batch]] | None:
        """The marked jobs and batches, or else the batch under the cursor; None: one job is meant."""
        jobs, batches = self._selection.marked_jobs, self._selection.marked_batches
        if jobs or batches:
            return jobs, batches
        batch = self._selection.selected_batch
        return ((), (batch,)) if batch is not None else None

    def can(self, action_id: str) -> bool:
        selected = self._selection.selected_job
        jobs, batches = self._several or ([selected] if selected else [], ())
        parents = [parent for parent, _ in jobs]
        if action_id == "cancel":
            return not all(parent.status.is_final for parent in parents) or any(one.is_cancellable for one in batches)
        if action_id == "retry":
            return any(parent.status.is_final for parent in parents) or any(batch.is_over for batch in batches)
        can_pin = bool(parents) and not batches
        return can_pin and all(parent.pinned for parent in parents) == (action_id == "unpin")

    async def cancel(self) -> None:
        if self._screen.refuses("cancel"):
            return
        if self._several is not None:
            await self._many().cancel(*self._several)
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
        name = self._context.names.of(parent.target)
        what = f"{child.operation.value} on {name}" if child else f"on {name} and all its operations"

        async def cancel() -> None:
            after = await self._context.engine.cancel(job)
            ended = child_of(after, job) or after
            if ended.status.is_final and ended.status is not Status.CANCELLED:
                self._context.tell(f"#{job} had already ended: {format_status(ended)[1]}.", Role.WARNING)

        self._context.ask(
            f"Cancel #{job} {what}?",
            cancel_question.cancel_consequences([(one, parent.request) for one in children], self._context.clock()),
            cancel,
        )

    async def _cancel_again(self, job: JobId, children: list[ChildJob]) -> None:
        """After an earlier cancel: offer to kill what runs, or to skip the cleanup that a pending child waits for."""
        engine = self._context.engine
        if not any(child.status is Status.RUNNING for child in children):

            async def skip_cleanup() -> None:
                await engine.cancel(job)

            self._context.ask(f"End #{job} without cleanup of its database?", NO_CLEANUP, skip_cleanup)
            return
        try:
            found = await engine.preview_force_cancel(job)
        except DbtendError as error:
            running = [child for child in children if child.status is Status.RUNNING]
            self._screen.say(
                cancel_question.already_cancelled(job, running, error, self._context.clock()), Role.WARNING
            )
            return

        async def end() -> None:
            if await engine.preview_force_cancel(job) != found:
                self._context.tell("Not killed: the job has changed since the question. Try again.", Role.WARNING)
                return
            await engine.cancel(job, force=True)
            self._context.supervisor.start_worker()

        question = force_kill.question(found, self._context.names.of(found.target))
        self._context.ask_typed(question, force_kill.consequences(found, job), str(found.job), end)

    async def retry(self) -> None:
        if self._screen.refuses("retry"):
            return
        if self._several is not None:
            await self._many().retry(*self._several)
            return
        parent = self._selection.selected_job[0] if self._selection.selected_job else None
        if parent is None or not parent.status.is_final:
            still = (
                f"#{parent.id} is still {parent.status.value}." if parent else "put the cursor on a job that has ended."
            )
            self._screen.say(f"Nothing to retry: {still}", Role.WARNING)
            return

        try:
            known = await self._context.engine.newest_job()
        except DbtendError as error:
            self._screen.say_error(error)
            return
        needed = many_job_actions.confirmation_of(parent)

        async def retry() -> None:
            self._context.supervisor.check_worker_can_connect([parent.target])
            again = await self._context.engine.retry(
                parent.id, only_incomplete=is_left, confirmed=bool(needed), known=known
            )
            self._show(again)
            self._context.supervisor.start_worker()

        is_left = parent.is_left_by_window
        name = f"#{parent.id} on {self._context.names.of(parent.target)}"
        question = f"Run the rest of {name}?" if is_left else f"Run {name} again?"
        what = "what its time limit left" if is_left else operations(parent)
        many_job_actions.ask_about(self._context, question, f"A new job runs {what}.", retry, [parent], needed)

    def pin(self) -> None:
        if self._several is not None and not self._screen.refuses("pin"):
            self._many().pin(*self._several)
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
