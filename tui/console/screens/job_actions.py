"""What can be done to a job from any screen that has one at hand: cancel it, run it once more, pin it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import ClassVar

from textual.binding import BindingType

from engine import ChildJob, JobId, ParentJob, Status
from engine.domain.errors import DbtendError
from engine.domain.jobs import is_cancelling
from engine.inspection import inspector
from engine.submission.retry import repeated
from tui.console.actions import bindings
from tui.console.screens.base import ConsoleScreen, Result
from tui.console.views.after_a_cancel import after_a_cancel, asked_already
from tui.console.views.line import Role
from tui.console.views.many_jobs import Jobs, left_out, named, runs_once_more, unfinished
from tui.console.views.status import child_of, operations
from tui.presentation import force_kill
from tui.presentation.job_status import format_status
from tui.presentation.risk import confirmation_needed, is_production, production_risk, word_to_type
from tui.presentation.text import counted

NOBODY_LOOKS = (
    "Its process died, and the next worker would undo what that left behind, and check for damage. "
    "Without it, what was left is undone by whoever opens the database next."
)


class JobActions(ConsoleScreen[Result]):
    """A screen with a job at hand. What becomes of it comes back as news, to all screens."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("cancel", "retry", "pin")

    @property
    def job_at_hand(self) -> tuple[ParentJob, JobId] | None:
        """A parent, and which of its children is meant, if not all of it; None where there is none."""
        raise NotImplementedError

    @property
    def marked_jobs(self) -> Jobs:
        """The jobs that are marked: an action is for all of them, then."""
        return ()

    def clear_marks(self) -> None:
        """What was to be done to the marked jobs has been done."""

    def job_made(self, parent: ParentJob) -> None:
        """A job was made that asks for the same again: show it, or say so."""
        raise NotImplementedError

    def _made(self, parent: ParentJob) -> None:
        if self in self.app.screen_stack:
            self.job_made(parent)
        else:  # it was left before that was stored
            self.context.tell(runs_once_more(parent))

    def can(self, action_id: str) -> bool:
        if self.context.is_barred(action_id):
            return False
        at_hand = [self.job_at_hand] if self.job_at_hand else []
        parents = [parent for parent, _ in self.marked_jobs or at_hand]
        if action_id == "cancel":
            return any(not parent.status.is_final for parent in parents)
        if action_id == "retry":
            return any(parent.status.is_final for parent in parents)
        if action_id in {"pin", "unpin"}:
            return bool(parents) and all(parent.pinned for parent in parents) == (action_id == "unpin")
        return super().can(action_id)

    async def action_cancel(self) -> None:
        if self.refuses("cancel"):
            return
        if self.marked_jobs:
            self._cancel_all(self.marked_jobs)
            return
        if self.job_at_hand is None:
            self.say("Nothing to cancel: put the cursor on a job that is not over.", Role.WARNING)
            return
        parent, job = self.job_at_hand
        child = child_of(parent, job)
        meant = child or parent
        if meant.status.is_final:
            self.say(f"Nothing to cancel: #{job} is over, {format_status(meant)[1]}.", Role.WARNING)
            return
        unfinished = [c for c in ([child] if child else parent.children) if not c.status.is_final]
        if all(map(is_cancelling, unfinished)):
            await self._cancel_what_is_cancelling(job, unfinished)
            return
        name = self.context.name_of(parent.target)
        what = f"{child.operation.value} on {name}" if child else f"on {name} and all its operations"

        async def cancel() -> None:
            after = await self.context.engine.cancel(job)
            ended = child_of(after, job) or after
            if ended.status.is_final and ended.status is not Status.CANCELLED:
                self.context.tell(f"#{job} was over before: {format_status(ended)[1]}.", Role.WARNING)

        self._ask(
            f"Cancel #{job} {what}?",
            after_a_cancel([(one, parent.target) for one in unfinished], self.context.clock()),
            cancel,
        )

    def _cancel_all(self, marked: Jobs) -> None:
        jobs = [(parent, job) for parent, job in marked if unfinished(parent, job)]
        if not jobs:
            self.say(f"Nothing to cancel: all {len(marked)} marked are over.", Role.WARNING)
            return

        async def cancel() -> None:
            for _, job in jobs:
                await self.context.engine.cancel(job)
            self.clear_marks()

        children = [(child, parent.target) for parent, job in jobs for child in unfinished(parent, job)]
        self._ask(
            f"Cancel {counted(len(jobs), 'marked job')}?\n{named(jobs, self.context.name_of)}",
            after_a_cancel(children, self.context.clock()) + left_out(len(marked), len(jobs), "are over already"),
            cancel,
        )

    async def _cancel_what_is_cancelling(self, job: JobId, children: list[ChildJob]) -> None:
        """Offer to end by force what runs; what only waits to be looked after need not wait."""
        engine = self.context.engine
        if not any(child.status is Status.RUNNING for child in children):

            async def give_up() -> None:
                await engine.cancel(job)

            self._ask(f"End #{job} without a look at its database?", NOBODY_LOOKS, give_up)
            return
        try:
            found = await engine.preview_force_cancel(job)
        except DbtendError as error:
            running = [child for child in children if child.status is Status.RUNNING]
            self.say(asked_already(job, running, error, self.context.clock()), Role.WARNING)
            return

        async def end() -> None:
            if await engine.preview_force_cancel(job) != found:
                self.context.tell("Nothing was done: something has changed since it was asked for.", Role.WARNING)
                return
            await engine.cancel(job, force=True)
            self.context.supervisor.see_to_a_worker()

        question = force_kill.question(found, self.context.name_of(found.target))
        asking = self.context.screens.typed_confirm(question, force_kill.consequences(found, job), str(found.job))
        self.app.push_screen(asking, self._if_yes(end))

    def action_retry(self) -> None:
        if self.refuses("retry"):
            return
        if self.marked_jobs:
            self._retry_all(self.marked_jobs)
            return
        parent = self.job_at_hand[0] if self.job_at_hand else None
        if parent is None or not parent.status.is_final:
            still = (
                f"#{parent.id} is still {parent.status.value}." if parent else "put the cursor on a job that is over."
            )
            self.say(f"Nothing to retry: {still}", Role.WARNING)
            return

        needed = _needs_yes(parent)

        async def retry() -> None:
            self.context.supervisor.refuse_what_no_worker_can_open([parent.target])
            self._made(await self.context.engine.retry(parent.id, confirmed=bool(needed)))
            self.context.supervisor.see_to_a_worker()

        question = f"Run #{parent.id} on {self.context.name_of(parent.target)} once more?"
        self._ask_about(question, f"{operations(parent)}, as a new job.", retry, [parent], needed)

    def _retry_all(self, marked: Jobs) -> None:
        parents = {parent.id: parent for parent, _ in marked if parent.status.is_final}
        if not parents:
            self.say(f"Nothing to retry: none of the {len(marked)} marked is over.", Role.WARNING)
            return

        needed = {parent_id: _needs_yes(parent) for parent_id, parent in parents.items()}

        async def retry() -> None:
            refused: list[DbtendError] = []
            for parent_id in sorted(parents):
                try:
                    self.context.supervisor.refuse_what_no_worker_can_open([parents[parent_id].target])
                    confirmed = bool(needed[parent_id])
                    self._made(await self.context.engine.retry(parent_id, confirmed=confirmed))
                except DbtendError as error:  # such as one that is under way again already
                    refused.append(error)
            self.clear_marks()
            self.context.supervisor.see_to_a_worker()
            if refused:
                why = self.context.in_words(refused[0])
                self.context.tell(f"{len(refused)} of {len(parents)} not: {why}", Role.FAILED)

        jobs = [(parent, JobId(parent.id)) for parent in parents.values()]
        self._ask_about(
            f"Run {counted(len(jobs), 'marked job')} once more?\n{named(jobs, self.context.name_of)}",
            "Each as a new job." + left_out(len({p.id for p, _ in marked}), len(jobs), "are not over"),
            retry,
            parents.values(),
            [sentence for sentences in needed.values() for sentence in sentences],
        )

    def _pin_all(self, marked: Jobs) -> None:
        pinned = self.can("pin")
        parents = {parent.id for parent, _ in marked}

        async def pin() -> None:
            for parent_id in parents:
                self.context.feed.look_at((await self.context.engine.pin(parent_id, pinned=pinned)).id)
            self.clear_marks()
            self.context.tell(f"{counted(len(parents), 'job')} {'pinned' if pinned else 'no longer pinned'}.")

        self.context.write(pin)

    def action_pin(self) -> None:
        if self.marked_jobs and not self.refuses("pin"):
            self._pin_all(self.marked_jobs)
            return
        if self.job_at_hand is None:
            if not self.refuses("pin"):
                self.say("Nothing to pin: put the cursor on a job.", Role.WARNING)
            return
        parent, _ = self.job_at_hand
        if self.refuses("unpin" if parent.pinned else "pin"):
            return

        async def pin() -> None:
            after = await self.context.engine.pin(parent.id, pinned=not parent.pinned)
            self.context.feed.look_at(after.id)
            self.context.tell(
                f"#{after.id} is pinned: it stays, however old it gets."
                if after.pinned
                else f"#{after.id} is no longer pinned: it goes when old history is removed."
            )

        self.context.write(pin)

    def _ask_about(
        self,
        question: str,
        consequence: str,
        do: Callable[[], Awaitable[None]],
        jobs: Collection[ParentJob],
        needed: Sequence[str],
    ) -> None:
        """Ask before these run once more: on production, and where a yes is needed, what to type is its name.

        `needed`: why somebody has to say yes, in sentences.
        """
        names = {parent.target: self.context.name_of(parent.target) for parent in jobs}
        labels = [name.label for name in names.values() if is_production(name.label)]
        if not labels and not needed:
            self._ask(question, consequence, do)
            return
        word = word_to_type([name.name for name in names.values()], labels[0] if labels else None)
        why = dict.fromkeys([*filter(None, map(self._blocking, jobs)), *needed])
        asking = self.context.screens.typed_confirm(question, " ".join([consequence, *why]), word)
        self.app.push_screen(asking, self._if_yes(do))

    def _blocking(self, parent: ParentJob) -> str:
        """Whom it would block in production, as far as its database was looked at."""
        known = self.context.looked_at.get(parent.target)
        asked = parent.request.operations
        locks = {o.operation: o.lock for o in known.operations if o.operation in asked} if known else {}
        name = self.context.name_of(parent.target)
        return production_risk(name.name, name.label, locks)

    def _ask(self, question: str, consequence: str, do: Callable[[], Awaitable[None]]) -> None:
        self.app.push_screen(self.context.screens.confirm(question, consequence), self._if_yes(do))

    def _if_yes(self, do: Callable[[], Awaitable[None]]) -> Callable[[bool | None], None]:
        def decided(yes: bool | None) -> None:
            if yes:
                self.context.write(do)

        return decided


def _needs_yes(parent: ParentJob) -> list[str]:
    """Why somebody has to say yes once more to what this asks for: a sentence each."""
    with suppress(DbtendError):  # a target that is none any more: the retry itself says why
        return confirmation_needed(inspector.needs_confirmation(repeated(parent)))
    return []
