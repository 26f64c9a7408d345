"""The page of the plans of several targets: a summary, then each plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from engine import Advice, Plan, Request, Verdict
from engine.domain.errors import DbtendError
from engine.domain.extent import Extent
from engine.domain.frozen import frozen
from tui.console.views.line import Line, Role, fit, line, named, named_column, wrapped
from tui.console.views.plan_document import plan_document, what_to_do
from tui.presentation.plan_summary import duration_in_all
from tui.presentation.plan_totals import operation_totals
from tui.presentation.target_names import TargetName
from tui.presentation.text import cells, counted, plain, shortened, size

NAME_LEAST: Final = 16
NAME_MOST: Final = 40
MANY: Final = 5
"""The plans of more targets than this are folded at first."""

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
    prepare: Callable[[], Awaitable[PlanRequest]] | None = None
    """Inspects the target and finds out the request; None: it is known."""


@frozen
class PlanKey:
    """The key of a line that belongs to a target; each line has another, so that the cursor can scroll a long plan."""

    target: int
    """Its place among the targets of the page."""
    line: int


@frozen
class PlannedTarget:
    """A target and its plan, None while it is made."""

    wanted: PlanRequest
    plan: Plan | None = None
    error: DbtendError | None = None
    extent: Extent | None = None
    """Its database before the plan was made."""

    @property
    def is_open(self) -> bool:
        is_wanted = self.wanted.request is not None or self.wanted.prepare is not None
        return is_wanted and self.plan is None and self.error is None

    @property
    def runs(self) -> bool:
        return self.plan is not None and self.plan.runs

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


def folded_plans_document(planned: Sequence[PlannedTarget], width: int, unfolded: Collection[int]) -> list[Line]:
    """A line for each target, below it the plan if it is unfolded: first what needs attention, skipped ones last."""
    skipped = sum(not one.is_open and one.plan is None for one in planned)
    lines = [*_summary(planned, width), *_operations(planned, width)]
    if skipped:
        lines += [line((f"{skipped:,} skipped, at the end", Role.DIM))]
    lines += [*what_to_do([one.error for one in planned if one.error is not None], width), line()]
    longest = max((cells(str(one.wanted.name)) for one in planned), default=0)
    names = min(longest, max(width // 4, NAME_LEAST), NAME_MOST)
    for at in sorted(range(len(planned)), key=lambda at: _attention(planned[at])):
        one = planned[at]
        rows = [_folded(one, names, width, is_unfolded=at in unfolded)]
        if at in unfolded and one.plan is not None:
            rows += [
                line("    ", *row.spans) for row in plan_document(one.plan, one.wanted.name, width - 4, is_alone=False)
            ]
        elif at in unfolded and one.why_not:
            rows += wrapped(one.why_not, width, Role.DIM, indent=4)
        lines += [Line(row.spans, PlanKey(at, number)) for number, row in enumerate(rows)]
    return lines


def _attention(one: PlannedTarget) -> int:
    if one.error is not None:
        return 0
    if one.plan is None:
        return 3 if one.is_open else 4
    worst = _worst(one.plan)
    is_to_do = one.runs or worst is Verdict.REFUSE
    return {Verdict.REFUSE: 0, Verdict.WARN: 1, Verdict.OK: 2}[worst] if is_to_do else 4


def _worst(plan: Plan) -> Verdict:
    if any(operation.verdict is Verdict.REFUSE for operation in plan.operations):
        return Verdict.REFUSE
    is_warned = plan.warnings or any(o.verdict is Verdict.WARN for o in plan.operations if o.steps)
    return Verdict.WARN if is_warned else Verdict.OK


_SHORT: Final = {
    Verdict.OK: ("", Role.COMPLETED),
    Verdict.WARN: ("  warning", Role.WARNING),
    Verdict.REFUSE: ("  refused", Role.FAILED),
}


def _folded(one: PlannedTarget, names: int, width: int, *, is_unfolded: bool) -> Line:
    """`► sales  vacuum analyze, needs 1.2 GB, about 4 s  warning`; `names`: cells of the column of names."""
    marker = "▼ " if is_unfolded else "► "
    name = named_column(one.wanted.name, names)
    if one.is_open:
        return line((marker, Role.DIM), *name, ("  planning …", Role.DIM))
    room = width - len(marker) - names - 2
    if one.plan is None or not one.runs:
        refused = next((o.refused for o in one.plan.operations if o.refused), "") if one.plan is not None else ""
        why = f"refused: {refused}" if refused else f"skipped: {one.why_not or 'nothing to run'}"
        role = Role.FAILED if refused or one.error is not None else Role.DIM
        return line((marker, Role.DIM), *name, "  ", (shortened(plain(why), room), role))
    running = one.plan.to_run
    needs = disk_needed(one.plan)
    operations = " ".join(operation.operation.value for operation in running)
    parts = (
        f"planned on {one.plan.made_on}: {operations}" if one.plan.made_on else operations,
        f"needs {size(needs)}" if needs else "",
        duration_in_all(running),
    )
    word, role = _SHORT[_worst(one.plan)]
    text = shortened(", ".join(filter(None, parts)), room - len(word))
    return line((marker, Role.DIM), *name, f"  {text}", (word, role))


def _summary(planned: Sequence[PlannedTarget], width: int) -> list[Line]:
    plans = [one.plan for one in planned if one.plan is not None and one.runs]
    operations = [operation for plan in plans for operation in plan.to_run]
    refused = any(o.verdict is Verdict.REFUSE for one in planned if one.plan for o in one.plan.operations)
    warned = any(o.verdict is Verdict.WARN for o in operations) or any(plan.warnings for plan in plans)
    worst = Verdict.REFUSE if refused else Verdict.WARN if warned else Verdict.OK
    needs = sum(disk_needed(plan) for plan in plans)
    targets = counted(len(plans), "target")
    if any(one.is_open for one in planned):
        targets = f"{len(plans):,} of {counted(len(planned), 'target')} so far"
    counts = (
        f"{targets}, {counted(len(operations), 'operation')}",
        f"needs {size(needs)} of disk space" if needs else "needs almost no disk space",
        duration_in_all(operations),
    )
    words, role = _WORDS[worst]
    if not plans and not any(one.is_open for one in planned):
        return [*wrapped(f"Nothing to run on {counted(len(planned), 'target')}.", width, Role.STRONG), line()]
    return [
        *wrapped(f"{', '.join(filter(None, counts))}; nothing has run yet.", width, Role.STRONG),
        line((words, role)) if plans else line(),
    ]


def _operations(planned: Sequence[PlannedTarget], width: int) -> list[Line]:
    """A line for each operation: on how many databases, and for how long."""
    totals = list(operation_totals([one.plan for one in planned if one.plan is not None]))
    longest = max((cells(name) for name, _ in totals), default=0)
    return [line(fit(name, longest), "  ", shortened(text, width - longest - 2)) for name, text in totals]


def disk_needed(plan: Plan) -> int:
    """Bytes of disk space needed at once: steps on one database run one after the other."""
    return max((step.disk_needed or 0 for operation in plan.operations for step in operation.steps), default=0)
