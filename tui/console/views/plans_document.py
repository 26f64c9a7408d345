"""The page of the plans of several targets: a summary, then each plan."""

from __future__ import annotations

from collections.abc import Sequence

from engine import Advice, Plan, Request, Verdict
from engine.domain.errors import DbtendError
from engine.domain.frozen import frozen
from tui.console.views.line import Line, Role, line, named, wrapped
from tui.console.views.plan_document import plan_document, what_to_do
from tui.presentation.plan_summary import duration_in_all
from tui.presentation.target_names import TargetName
from tui.presentation.text import counted, size

_WORDS = {
    Verdict.OK: ("no warnings", Role.COMPLETED),
    Verdict.WARN: ("with warnings, see below", Role.WARNING),
    Verdict.REFUSE: ("some operations would be refused, see below", Role.FAILED),
}


@frozen
class PlanRequest:
    """A request for one of several targets."""

    name: TargetName
    request: Request | None
    """None: nothing runs on it."""
    why_nothing: str = ""
    advice: Sequence[Advice] = ()
    """Its advice, if known."""


@frozen
class PlannedTarget:
    """A target and its plan, None while it is made."""

    wanted: PlanRequest
    plan: Plan | None = None
    error: DbtendError | None = None

    @property
    def is_open(self) -> bool:
        return self.wanted.request is not None and self.plan is None and self.error is None

    @property
    def runs(self) -> bool:
        return self.plan is not None and any(operation.steps for operation in self.plan.operations)

    @property
    def why_not(self) -> str:
        return str(self.error) if self.error is not None else self.wanted.why_nothing


def plans_document(planned: Sequence[PlannedTarget], width: int) -> list[Line]:
    """Targets on which nothing runs, with the reason; then the plans of the others."""
    lines = _summary(planned, width)
    for one in planned:
        if not one.is_open and one.plan is None:
            (name, *label) = named(one.wanted.name)
            lines += [line(name, *label, ("  skipped", Role.WARNING))]
            lines += wrapped(one.why_not, width, Role.FAILED if one.error else Role.DIM, indent=2)
    lines += what_to_do([one.error for one in planned if one.error is not None], width)
    for one in planned:
        if one.is_open:
            lines += [line(), *wrapped(f"Planning {one.wanted.name} ...", width, Role.DIM)]
        elif one.plan is not None:
            lines += [
                line(),
                line(("─" * width, Role.DIM)),
                *plan_document(one.plan, one.wanted.name, width, is_alone=False),
            ]
    return lines


def _summary(planned: Sequence[PlannedTarget], width: int) -> list[Line]:
    plans = [one.plan for one in planned if one.plan is not None and one.runs]
    operations = [operation for plan in plans for operation in plan.operations if operation.steps]
    refused = any(o.verdict is Verdict.REFUSE for one in planned if one.plan for o in one.plan.operations)
    warned = any(o.verdict is Verdict.WARN for o in operations) or any(plan.warnings for plan in plans)
    worst = Verdict.REFUSE if refused else Verdict.WARN if warned else Verdict.OK
    needs = sum(disk_needed(plan) for plan in plans)
    counts = (
        f"{counted(len(plans), 'target')}, {counted(len(operations), 'operation')}",
        f"needs {size(needs)} of disk space" if needs else "needs almost no disk space",
        duration_in_all(operations),
    )
    words, role = _WORDS[worst]
    return [
        *wrapped(f"{', '.join(filter(None, counts))}; nothing has run yet.", width, Role.STRONG),
        line((words, role)) if plans else line(),
    ]


def disk_needed(plan: Plan) -> int:
    """Bytes of disk space needed at once: steps on one database run one after the other."""
    return max((step.disk_needed or 0 for operation in plan.operations for step in operation.steps), default=0)
