"""The page of the plans of several targets: a summary, then each plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from engine import Advice, Plan, Request, Status, Verdict
from engine.domain.batches import FailedRequest
from engine.domain.errors import DbtendError, TargetBusyError, TargetError
from engine.domain.extent import Extent
from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome
from engine.domain.statuses import format_ending
from engine.submission.manager import failure_reason
from tui.console.views.line import Line, Role, fit, line, named, named_column, wrapped
from tui.console.views.plan_document import plan_document, what_to_do
from tui.presentation.plan_summary import duration_in_all
from tui.presentation.plan_totals import PlanTotals, disk_needed
from tui.presentation.target_names import TargetName
from tui.presentation.text import cells, counted, plain, shortened, size

NOT_PLANNED: Final = "not planned"
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
    failed: FailedRequest | None = None
    """What would run on it, and why it cannot be opened."""
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
        return self.error.why_and_hint if self.error is not None else self.wanted.why_nothing

    @property
    def failed(self) -> FailedRequest | None:
        """What is stored of it among several: a job that has failed; None: nothing, or it has a plan."""
        if not isinstance(self.error, TargetError) or isinstance(self.error, TargetBusyError):
            return None  # what is locked now may be free in a moment
        if self.wanted.request is not None:
            return FailedRequest(self.wanted.request, self.error)
        return self.wanted.failed

    @property
    def outcome(self) -> str:
        """What becomes of it without a plan, by the word of its job."""
        failed = self.failed
        if isinstance(self.error, TargetBusyError):
            is_locked = type(self.error) is TargetBusyError  # not a server that starts up, or has no connection left
            return f"locked, {NOT_PLANNED}" if is_locked else NOT_PLANNED
        if failed is None:
            return JobOutcome.SKIPPED.value
        return format_ending(Status.FAILED, failure_reason(failed.error))


def plans_document(planned: Sequence[PlannedTarget], width: int) -> list[Line]:
    """Targets on which nothing runs, with the reason; then the plans of the others."""
    totals = PlanTotals(one.plan for one in planned if one.plan is not None)
    lines = _summary(totals, len(planned), sum(one.is_open for one in planned), width)
    for one in planned:
        if not one.is_open and one.plan is None:
            (name, *label) = named(one.wanted.name, width - cells(one.outcome) - 2)
            lines += [line(name, *label, (f"  {one.outcome}", Role.WARNING))]
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


class FoldedPlans:
    """The plans of very many targets as they are made: a line for each, and below it the plan if it is unfolded.

    What one target adds to the page is made once, for its plan.
    """

    def __init__(self, planned: Iterable[PlannedTarget]) -> None:
        self.open = 0
        """How many plans are not made yet."""
        self._planned = list(planned)
        self._unfolded: set[int] = set()
        """The places of the targets whose plans are shown."""
        self._attention = [0] * len(self._planned)
        self._totals = PlanTotals()
        self._unplanned = Counter[str]()
        """How many of those without a plan have each outcome."""
        self._errors: list[DbtendError] = []
        self._rows: dict[int, tuple[Line, ...]] = {}
        self._layout = (0, 0)
        """The width for which rows were made, and the cells of their column of names."""
        self._longest = max((cells(str(one.wanted.name)) for one in self._planned), default=0)
        for at in range(len(self._planned)):
            self._count(at)

    @property
    def planned(self) -> Sequence[PlannedTarget]:
        return self._planned

    @property
    def runs(self) -> bool:
        return self._totals.running > 0

    def put(self, at: int, one: PlannedTarget) -> None:
        """The plan of the target at this place, or why there is none; one that was not open is counted already."""
        if not self._planned[at].is_open:
            return
        self.open -= 1
        self._planned[at] = one
        self._rows.pop(at, None)
        self._count(at)

    def _count(self, at: int) -> None:
        one = self._planned[at]
        self._attention[at] = _attention(one)
        if one.is_open:
            self.open += 1
        elif one.plan is not None:
            self._totals.add(one.plan)
        else:
            self._unplanned[one.outcome] += 1
        if one.error is not None:
            self._errors.append(one.error)

    def fold(self, places: AbstractSet[int], *, fold: bool | None) -> None:
        """Fold or unfold these; None: the other way round."""
        if fold is True or (fold is None and places <= self._unfolded):
            self._unfolded -= places
        else:
            self._unfolded |= places
        for at in places:
            self._rows.pop(at, None)

    def document(self, width: int) -> list[Line]:
        """First what needs attention, last what needs nothing."""
        names = min(self._longest, max(width // 4, NAME_LEAST), NAME_MOST)
        if self._layout != (width, names):
            self._layout = (width, names)
            self._rows.clear()
        lines = _summary(self._totals, len(self._planned), self.open, width)
        lines += _operations(self._totals, width)
        if self._unplanned:
            counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self._unplanned.items()))
            lines += [line((counts, Role.DIM))]
        lines += [*what_to_do(self._errors, width), line()]
        for at in sorted(range(len(self._planned)), key=self._attention.__getitem__):
            lines += self._rows.get(at) or self._rows_of(at, names, width)
        return lines

    def _rows_of(self, at: int, names: int, width: int) -> Sequence[Line]:
        one, is_unfolded = self._planned[at], at in self._unfolded
        rows = [_folded(one, names, width, is_unfolded=is_unfolded)]
        if is_unfolded and one.plan is not None:
            rows += [
                line("    ", *row.spans) for row in plan_document(one.plan, one.wanted.name, width - 4, is_alone=False)
            ]
        elif is_unfolded and one.why_not:
            rows += wrapped(one.why_not, width, Role.DIM, indent=4)
        self._rows[at] = tuple(Line(row.spans, PlanKey(at, number)) for number, row in enumerate(rows))
        return self._rows[at]


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
        why = f"refused: {refused}" if refused else f"{one.outcome}: {one.why_not or 'nothing to run'}"
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


def _summary(totals: PlanTotals, count: int, open_: int, width: int) -> list[Line]:
    """`count`: of all targets; `open_`: how many of their plans are not made yet."""
    targets = f"{totals.running:,} of {counted(count, 'target')} so far" if open_ else counted(totals.running, "target")
    counts = (
        f"{targets}, {counted(totals.operations_to_run, 'operation')}",
        f"needs {size(totals.disk_needed)} of disk space" if totals.disk_needed else "needs almost no disk space",
        totals.duration,
    )
    if not totals.running and not open_:
        return [*wrapped(f"Nothing to run on {counted(count, 'target')}.", width, Role.STRONG), line()]
    return [
        *wrapped(f"{', '.join(filter(None, counts))}; nothing has run yet.", width, Role.STRONG),
        line(_WORDS[totals.worst]) if totals.running else line(),
    ]


def _operations(totals: PlanTotals, width: int) -> list[Line]:
    """A line for each operation: on how many databases, and for how long."""
    rows = list(totals.by_operation())
    longest = max((cells(name) for name, _ in rows), default=0)
    return [line(fit(name, longest), "  ", shortened(text, width - longest - 2)) for name, text in rows]
