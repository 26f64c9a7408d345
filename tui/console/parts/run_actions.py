"""Actions on operations: choose them, show the plans of the current or the marked targets, submit what is accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from engine import OnDuplicate, ParentJob, Request
from engine.domain.batches import NO_BATCH_OPTIONS, BatchOptions, FailedRequest
from engine.domain.errors import DuplicateRequestError, PasswordNeededError
from engine.domain.lazy_import import lazy
from tui.console.console_screen import Actions, ConsoleScreen
from tui.console.parts.target_actions import TargetActions
from tui.console.parts.target_inspector import TargetInspector
from tui.console.views.hints import nothing_to_run
from tui.console.views.line import Role
from tui.console.widgets.job_tree import JobTree
from tui.console.widgets.operation_list import OperationList
from tui.console.widgets.target_list import TargetList
from tui.presentation.target_names import TargetName

if TYPE_CHECKING:
    from tui.console.parts import plan_requests
else:
    plan_requests = lazy("tui.console.parts.plan_requests", "the first screen does without it")


class RunActions:
    def __init__(
        self,
        screen: ConsoleScreen[Any],
        targets: TargetList,
        operations: OperationList,
        jobs: JobTree,
        target_actions: TargetActions,
        inspector: TargetInspector,
        *,
        changed: Callable[[], None],
        submitted: Callable[[ParentJob], None],
    ) -> None:
        """
        Args:
            changed: called when the model has changed.
            submitted: called with the first of the jobs that were submitted.
        """
        self._screen, self._context = screen, screen.context
        self._operations, self._jobs, self._model = operations, jobs, targets.model
        self._target_actions, self._inspector = target_actions, inspector
        self._changed, self._submitted = changed, submitted
        self.actions: Actions = {"run": self.run, "plan": self.plan, "choose": self.choose}
        self._plan_wanted_for: int | None = None
        """The target whose plan the user asked for before its advice was known,"""
        self._wanted_plan_runs = False
        """and whether enter is to run it."""

    def can(self, action_id: str) -> bool:
        if action_id == "choose":
            return self._screen.focused is self._operations and self._operations.key is not None
        return len(self._model.marked) > 1 or any(map(self._model.request, self._model.selected))

    def choose(self) -> None:
        # On the target under the cursor, at once: the next key, which runs it, may have been typed already.
        self._target_actions.select()
        if self._operations.operation is not None:
            self._model.toggle(self._operations.operation)
            self._changed()

    def run(self) -> None:
        """Show the plan of the chosen operations, where enter runs it."""
        if not self._screen.refuses("run"):
            self._open_plan(runs=True)

    def plan(self) -> None:
        """Show the plan of the chosen operations, and run nothing."""
        self._open_plan(runs=False)

    def _open_plan(self, *, runs: bool) -> None:
        """Show the plan, or say why there is none."""
        self._target_actions.select()
        self._plan_wanted_for = None
        if len(self._model.marked) > 1:
            wanted = plan_requests.plan_requests(self._model, self._inspector, self._model.marked)
            self._screen.app.push_screen(self._context.screens.plans(wanted, runs=runs), self.submit)
            return
        (number,) = self._model.selected or (None,)
        request = self._model.request(number)
        if number is None or request is None:
            self._explain_no_plan(runs=runs)
            return
        state = self._model.states[number]
        plan = self._context.screens.plan(request, TargetName.of(state.entry), state.advice or (), runs=runs)
        self._screen.app.push_screen(plan, self.submit)

    def _explain_no_plan(self, *, runs: bool) -> None:
        state = self._model.state
        if self._model.is_pending:
            self._plan_wanted_for, self._wanted_plan_runs = self._model.current, runs
            self._screen.say("Inspecting the target; the plan opens when that is done.")
        elif state is not None and isinstance(state.error, PasswordNeededError):
            self._target_actions.ask_for_password(state.entry, state.error)
        else:
            self._screen.say(nothing_to_run(state, is_being_built=bool(self._operations.sample_path)), Role.WARNING)

    def plan_if_wanted(self, number: int) -> None:
        """Open the plan that was asked for before this target's advice was known."""
        if number == self._plan_wanted_for == self._model.current and self._screen.is_active:
            self._screen.say("")
            self._open_plan(runs=self._wanted_plan_runs)

    def submit(self, accepted: Sequence[Request | FailedRequest] | None) -> None:
        """Run these, and store those that have failed; None: the user has left the plan."""
        if accepted:
            requests = [one for one in accepted if isinstance(one, Request)]
            failed = [one for one in accepted if isinstance(one, FailedRequest)]
            self._context.write(partial(self._submit, requests, failed))

    def _batch_options(self, requests: Sequence[Request]) -> BatchOptions:
        saved = self._context.saved
        return NO_BATCH_OPTIONS if saved is None else saved.batch_options(request.target for request in requests)

    async def _submit(self, requests: Sequence[Request], failed: Sequence[FailedRequest]) -> None:
        supervisor = self._context.supervisor
        supervisor.check_worker_can_connect(request.target for request in requests)
        try:
            asked_at = self._context.clock()
            with self._context.submitting(len(requests) + len(failed)) as on_portion:
                jobs = await self._context.engine.submit(
                    requests,
                    on_duplicate=OnDuplicate.MERGE if len(requests) > 1 or failed else OnDuplicate.REFUSE,
                    batch=self._batch_options(requests),
                    failed=failed,
                    on_portion=on_portion,
                )
        except DuplicateRequestError as error:
            self._jobs.go_to_parent(error.parent_id)
            self._context.tell_error(error)
        else:
            urls = {request.target for request in requests}
            self._model.reset_choice([n for n, state in self._model.states.items() if state.entry.url in urls])
            self._model.unmark()
            new = [job for job in jobs if job.created_at >= asked_at]
            batch = new[0].batch if new else None
            self._jobs.put(jobs, [await self._context.engine.batch(batch)] if batch is not None else [])
            self._submitted((new or jobs)[0])
            self._changed()
            supervisor.start_worker()
            self._context.tell_joined([job for job in jobs if job.created_at < asked_at])
